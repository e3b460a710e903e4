"""What the store takes and gives: the outcome it can write, the values it reads, and its interface.

Lives here: the protocols that the ledger's outcome and both stores satisfy. Never here: SQL, files.
Whoever knows this file and `p2penergy.consensus.effects` can replace the store. Implements the seams
of CONSENSUS section 6 and LEDGER section 3.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from p2penergy.consensus.effects import Record, Restored, VoteRecord
from p2penergy.consensus.ports import Outcome
from p2penergy.messages import Certificate, CommitteeMembers, Header
from p2penergy.store.limits import HISTORY_VERSIONS_MAX

Done = Callable[[Exception | None], None]
"""Called once with None when the records are durable, or with the error when they never will be."""


class Version(Protocol):
    """One value that a block gave to a key."""

    @property
    def key(self) -> bytes:
        """Key of the state, such as `wallet/` and an id."""

    @property
    def index(self) -> int:
        """Number of the transaction in its block; -1 where the block itself is the cause."""

    @property
    def stage(self) -> int:
        """Stage of the trade that wrote it (LEDGER section 4)."""

    @property
    def value(self) -> bytes | None:
        """None: the key was removed."""


class StoredOutcome(Outcome, Protocol):
    """An outcome with all that the store keeps of it."""

    @property
    def versions(self) -> Sequence[Version]:
        """In the order of writing."""

    @property
    def transaction_ids(self) -> Sequence[bytes]:
        """One per transaction of the draft, in their order."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A past or present version of one key, and what made it so."""

    height: int
    index: int
    stage: int
    value: bytes | None
    cause: bytes | None
    """Id of the transaction; None where the block itself is the cause."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where a ledger begins that does not begin at genesis: a decided block and the state after it."""

    height: int
    digest: bytes
    block: bytes
    certificate: bytes
    versions: Sequence[Version]
    """What every key held after it."""


class Persistence(Protocol):
    """What the node and the simulator ask of a store; `Store` and `MemoryStore` both satisfy it.

    Writing: one order for all. Reading: only what is durable, from any thread.
    """

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Queue records; `done` is called when they, and all before them, are durable."""

    def persist_now(self, records: Sequence[Record]) -> None:
        """Return when the records are durable."""

    def close(self) -> None:
        """Write what is queued and let go of the file."""

    def restored(self) -> Restored:
        """The tip and all that was signed at the height above it."""

    def current_state(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key that has a value after the tip, ascending."""

    def base(self) -> int:
        """Height at which this ledger begins: 0, or that of the snapshot which it was made from."""

    def tip(self) -> int:
        """Height of the last decided block; 0 at genesis."""

    def block(self, height: int) -> tuple[bytes, bytes] | None:
        """Block and certificate bytes of a decided height."""

    def blocks(self, first: int, count: int, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """Decided blocks from `first` on: at most `count`, and `bytes_max` beyond the first one."""

    def committee(self, root: bytes) -> CommitteeMembers | None:
        """Who a committee that decided a block was, with their keys; None for a root that is not known."""

    def headers(self, first: int, count: int) -> list[tuple[Header, Certificate]]:
        """Decided headers from `first` on with their certificates, at most `count`."""

    def history(
        self, key: bytes, height_max: int | None = None, count_max: int = HISTORY_VERSIONS_MAX
    ) -> list[HistoryEntry]:
        """Versions of a key up to a height, oldest first; the newest `count_max` of them.

        `history(key, 812, 1)` is what the key held at height 812, and which transaction made it so.
        """

    def receipts(self, height: int) -> list[bytes]:
        """Encoded receipts of a decided block, in the order of its transactions; [] above the tip."""

    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and index of a decided transaction."""

    def transaction_count(self) -> int:
        """Transactions decided so far, accepted and declined ones."""

    def votes(self, height: int) -> list[VoteRecord]:
        """Own votes of one height, in the order of storing."""
