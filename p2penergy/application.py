"""What a node asks of the state machine that it runs: the consensus core's port, and the clients' side.

Lives here: the protocols. Never here: an implementation. `Ledger` satisfies them structurally, and is all
that a community's node ever runs; a benchmark puts another one behind the same consensus.
"""

from typing import Protocol

from p2penergy.consensus.ports import Application
from p2penergy.ledger import PoolResult
from p2penergy.signing import SignatureItem


class TransactionPool(Protocol):
    """Pending transactions of one node."""

    def __len__(self) -> int:
        """How many are pending."""

    @property
    def ready(self) -> int:
        """How many need not wait for a later settlement period: what the next blocks are made of."""

    def holds(self, data: bytes) -> bool:
        """Whether these very bytes are pending, hence signed by their submitter."""

    def check(self, data: bytes) -> PoolResult:
        """What `add` would say before it looks at signatures; cheap, and changes nothing."""

    def add(self, data: bytes) -> PoolResult:
        """Take a transaction in, or say why not."""

    def signature_items(self, data: bytes) -> list[SignatureItem]:
        """The signatures to check ahead, the submitter's first; [] when there is nothing to check."""


class NodeApplication(Application, Protocol):
    """A replicated state machine with clients."""

    @property
    def pool(self) -> TransactionPool:
        """What is pending."""

    @property
    def state_root(self) -> bytes:
        """Root of the current state."""

    def get(self, key: bytes) -> bytes | None:
        """The current value under a key."""

    def transaction_id(self, data: bytes) -> bytes | None:
        """The id of a transaction; None when it is malformed."""

    def concerned(self, data: bytes) -> tuple[bytes, ...]:
        """Whom a reply about a decided transaction goes to."""
