"""What the rules of one block have at hand.

Lives here: `BlockContext` with its `Community`, passed to every rule. Never here: a rule. Implements the
"pure function of the parent's state" of CONSENSUS section 4: nothing else can be reached from a rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from p2penergy.blocks import Draft
from p2penergy.committees import Roll
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.ledger.grid_check import GridCheck
from p2penergy.ledger.needed import Needed
from p2penergy.ledger.open_orders import OpenOrders
from p2penergy.ledger.places import Places
from p2penergy.ledger.scores import Standings
from p2penergy.ledger.state import Scratch
from p2penergy.signing import SignatureChecker


@dataclass(frozen=True, slots=True)
class Community:
    """What the rules of membership need beside the state."""

    timing: ConsensusRules
    authority_key: bytes | None
    committee: Roll | None
    """Who verifies at this height; None in the validation stage."""
    volunteers: Iterable[bytes]
    """Everybody who ever volunteered, as of the parent's state."""
    busy_periods: tuple[int, ...]
    """Periods with open orders or contracts in escrow, as of the parent's state."""
    needed: Needed
    places: Places
    affected: set[bytes] = field(default_factory=set)
    """Whom the verification block's transactions up to now were about."""


@dataclass(frozen=True, slots=True)
class BlockContext:
    """One block being executed: its draft, its scratch state, and the constants of the chain."""

    draft: Draft
    scratch: Scratch
    chain_id: bytes
    checker: SignatureChecker
    market: MarketRules
    standings: Standings
    open_orders: OpenOrders
    community: Community
    grid: GridCheck | None
    """None where genesis describes no feeder."""
