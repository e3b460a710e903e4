"""What the consensus core asks of the world: an application, and a secret reveal.

Lives here: the two ports and the values that cross them. Never here: an implementation. Whoever knows
this file and `effects` can embed the core. Implements the seams of CONSENSUS sections 3 and 9.
"""

from collections.abc import Sequence
from typing import Protocol

from p2penergy.blocks import Draft
from p2penergy.committees import Registry


class Outcome(Protocol):
    """Result of executing a draft on the parent's state, not yet permanent."""

    @property
    def draft(self) -> Draft:
        """What was executed."""

    @property
    def receipts(self) -> Sequence[bytes]:
        """One encoded receipt per transaction, in their order."""

    @property
    def receipts_root(self) -> bytes:
        """Merkle root of the receipts."""

    @property
    def state_root(self) -> bytes:
        """Root of the state after this block."""


class Application(Registry, Protocol):
    """The replicated state machine: a pure function of the chain, held at the tip's state.

    As a `Registry` it answers for every height from tip - L - max(D, 1) - 2 up to the tip, and for what the
    committees were drawn from that the last two verification blocks brought, whatever its heights.
    """

    @property
    def height(self) -> int:
        """Height of the last committed outcome; 0 at genesis."""

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        """What this node would propose now: pending transactions within `bytes_max`, period, stages.

        `parent_certificate` is left None; the core fills it in.
        """

    def give_up(self, transactions: Sequence[bytes]) -> None:
        """Forget what a draft of `draft` held: the application itself refused to execute it."""

    def has_pending(self, slot: int) -> bool:
        """Whether a leader has something to propose in this slot."""

    def execute(self, draft: Draft) -> Outcome:
        """Execute on a scratch copy of the state after block `draft.height - 1`.

        Raises:
            InvalidBlockError (`p2penergy.blocks`): no correct proposer makes this block.
        """

    def commit(self, outcome: Outcome) -> None:
        """Make an outcome of the next height permanent."""

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        """The link whose preimage the participant must reveal next; None: has no chain."""


class RevealSource(Protocol):
    """The node's own secret chain."""

    def preimage(self, tip: bytes) -> bytes | None:
        """The link below `tip`, None where the chain does not hold it."""
