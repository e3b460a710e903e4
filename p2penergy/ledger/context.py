"""What the rules of one block have at hand.

Lives here: `BlockContext`, passed to every rule. Never here: a rule. Implements the "pure function of the
parent's state" of CONSENSUS section 4: nothing else can be reached from a rule.
"""

from dataclasses import dataclass

from p2penergy.blocks import Draft
from p2penergy.genesis import MarketRules
from p2penergy.ledger.grid_check import GridCheck
from p2penergy.ledger.open_orders import OpenOrders
from p2penergy.ledger.scores import Standings
from p2penergy.ledger.state import Scratch
from p2penergy.signing import SignatureChecker


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
    grid: GridCheck | None
    """None where genesis describes no feeder."""
