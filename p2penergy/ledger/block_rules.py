"""The ledger's clock, and what a block's header must say for the ledger to execute it.

Lives here: the period's bounds, and the checks of height, proposer, reveal, stage and period. Never
here: consensus rules (slots, certificates, committees), transactions. Owns the invariant that ledger
time never goes back and never runs ahead of what it may. Implements LEDGER section 1 and the reveal of
CONSENSUS section 9.
"""

from p2penergy.beacon import reveals
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.genesis import Genesis
from p2penergy.ledger import chains
from p2penergy.ledger.query import Get
from p2penergy.ledger.records import TipRecord

PERIOD_MS = 900_000


def ended_period(unix_ms: int) -> int:
    """The last settlement period that is over at a moment; its readings can be complete."""
    return max(unix_ms // PERIOD_MS - 1, 0)


def first_period(genesis: Genesis) -> int:
    """The ledger's period before the first block."""
    if genesis.market.replay:
        return genesis.market.first_period
    return max(genesis.market.first_period, ended_period(genesis.consensus.t0_ms))


def latest_period(genesis: Genesis, parent: int, slot: int) -> int:
    """The highest period that a block of `slot` on a parent of period `parent` may have.

    In a live network the last period that has ended at the slot's start, so that nobody can close a
    period before its readings could come in; in a replay network the parent's and one.
    """
    if genesis.market.replay:
        return parent + 1
    rules = genesis.consensus
    return max(parent, ended_period(rules.t0_ms + slot * rules.alpha_ms))


def check_header(genesis: Genesis, get: Get, height: int, tip: TipRecord, draft: Draft) -> None:
    """Check what a draft says of itself against the state after block `height`.

    Raises:
        InvalidBlockError: `wrong_height`, `wrong_stage`, `period_back`, `period_ahead`,
            `unknown_proposer` or `wrong_reveal`.
    """
    if draft.height != height + 1:
        raise InvalidBlockError("wrong_height", f"height {draft.height} does not follow {height}")
    if draft.stage != tip.next_stage:
        said = f"the parent gives this height the {tip.next_stage.name} stage, not {draft.stage.name}"
        raise InvalidBlockError("wrong_stage", said)
    if draft.period < tip.period:
        raise InvalidBlockError("period_back", f"period {draft.period} is before the parent's, {tip.period}")
    latest = latest_period(genesis, tip.period, draft.slot)
    if draft.period > latest:
        raise InvalidBlockError(
            "period_ahead", f"period {draft.period} is after {latest}, the latest allowed"
        )
    link = chains.link(get, draft.proposer, draft.height)
    if link is None:
        raise InvalidBlockError("unknown_proposer", f"{draft.proposer.hex()} has no hash chain")
    if not reveals(draft.reveal, link):
        raise InvalidBlockError("wrong_reveal", "the reveal is not the next link of the proposer's chain")
