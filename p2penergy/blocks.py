"""A block on its way into the state machine: the draft, and the refusal.

Lives here: the two values that both the consensus core and the ledger speak of. Never here: rules of
either. Implements the seam between CONSENSUS section 3 and LEDGER section 3.
"""

from dataclasses import dataclass

from p2penergy.messages import Block, Certificate, Stage


class InvalidBlockError(Exception):
    """The application refuses a block; `code` names the rule, the sentence says what was found."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Draft:
    """A block before its roots are known: all that execution may depend on beside the state."""

    height: int
    slot: int
    proposer: bytes
    period: int
    stage: Stage
    next_stage: Stage
    reveal: bytes
    transactions: tuple[bytes, ...]
    parent_certificate: Certificate | None


def draft_of(block: Block) -> Draft:
    """What a block's proposer drafted: the block without the roots that execution gave it."""
    header = block.header
    return Draft(
        height=header.height,
        slot=header.slot,
        proposer=header.proposer,
        period=header.period,
        stage=header.stage,
        next_stage=header.next_stage,
        reveal=header.reveal,
        transactions=block.transactions,
        parent_certificate=block.parent_certificate,
    )
