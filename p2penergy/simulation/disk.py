"""What one simulated node would find on its disk after losing its memory.

Lives here: the durable records of one node, whole commits at a time, and what can go wrong with a
disk; `Disk` as a plain book for the judges, `StoredDisk` with the rows of the real node's store beside it.
Never here: files, rows themselves (`p2penergy.store`). Owns the invariant that a record is here only when
its commit was complete, so that judges can ask "was it durable first?". Stands in for CONSENSUS
section 6.
"""

from collections.abc import Iterator, Sequence

from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    Restored,
    ViewRecord,
    VoteRecord,
)
from p2penergy.consensus.errors import InvariantError
from p2penergy.messages import Block, Certificate, VoteKind, decode_block, decode_certificate
from p2penergy.store.errors import StoreError
from p2penergy.store.memory import MemoryStore
from p2penergy.store.ports import Version


class DiskError(Exception):
    """The commit did not succeed; the node must halt, for nobody knows what is durable."""


class Disk:
    """Complete commits only: a torn one was never here."""

    def __init__(self, amnesia_slot: int | None = None) -> None:
        self.amnesia_slot = amnesia_slot
        self.decided: list[DecidedRecord] = []
        self.messages: set[bytes] = set()
        """Every own message ever made durable; only asked for membership, never walked."""
        self.blocks: set[bytes] = set()
        """Digests of every block ever made durable; only asked for membership, never walked."""
        self._views: dict[int, int] = {}
        self._votes: dict[int, list[VoteRecord]] = {}
        self._blocks: dict[int, list[BlockRecord]] = {}
        self._prepared: dict[int, PreparedRecord] = {}
        self.failing = False

    def commit(self, records: Sequence[Record]) -> None:
        """All of them, or none.

        Raises:
            DiskError: the disk is full or its fsync fails.
        """
        if self.failing:
            raise DiskError("commit failed")
        for record in records:
            self._keep(record)

    def _keep(self, record: Record) -> None:
        if isinstance(record, ViewRecord):
            self._views[record.height] = max(record.view, self._views.get(record.height, 0))
        elif isinstance(record, VoteRecord):
            self._votes.setdefault(record.height, []).append(record)
            self.messages.add(record.message)
        elif isinstance(record, BlockRecord):
            self._blocks.setdefault(record.height, []).append(record)
            self.blocks.add(record.digest)
        elif isinstance(record, PreparedRecord):
            self._prepared[record.height] = record
        else:
            self.decided.append(record)
            self.blocks.add(record.digest)

    def reopen(self) -> None:
        """A process starts on it."""

    def holds(self, kind: VoteKind, height: int, view: int) -> bool:
        """Whether an own vote is stored."""
        return any(record.kind is kind and record.view == view for record in self._votes.get(height, ()))

    def prepared(self, height: int) -> PreparedRecord | None:
        """The highest prepared certificate stored for a height."""
        return self._prepared.get(height)

    def tip(self) -> tuple[Block, Certificate] | None:
        """Last decided block with its certificate."""
        if not self.decided:
            return None
        last = self.decided[-1]
        return decode_block(last.block), decode_certificate(last.certificate)

    def restored(self) -> Restored:
        """What a node gets back at start."""
        height = len(self.decided) + 1
        tip = self.tip()
        return Restored(
            tip=tip,
            view=self._views.get(height),
            votes=tuple(self._votes.get(height, ())),
            blocks=tuple(self._blocks.get(height, ())),
            prepared=self._prepared.get(height),
            amnesia_slot=self.amnesia_slot,
            proposed_slots=() if tip is None else self._proposed_slots(tip[0].header.slot),
        )

    def _proposed_slots(self, slot: int) -> tuple[int, ...]:
        decided = (self._votes.get(height, ()) for height in range(1, len(self.decided) + 1))
        slots = {vote.slot for votes in decided for vote in votes if vote.kind is VoteKind.PRE_PREPARE}
        return tuple(sorted(each for each in slots if each > slot))


class StoredDisk(Disk):
    """The real node's store, SQLite in memory: what a process gets back at start comes out of its rows.

    The plain book stays for the judges, and both must agree whenever a process starts.
    """

    def __init__(
        self, chain_id: bytes, genesis_versions: Sequence[Version], amnesia_slot: int | None = None
    ) -> None:
        super().__init__(amnesia_slot)
        self._store = MemoryStore(chain_id, genesis_versions=genesis_versions, amnesia_slot=amnesia_slot)

    def commit(self, records: Sequence[Record]) -> None:
        """See `Disk`.

        Raises:
            DiskError: the disk is full or its fsync fails.
            InvariantError: a guard of the rows struck: the core asked for what no correct core asks.
        """
        if self.failing:
            self._store.fail("no space left on device")
        try:
            self._store.persist_now(records)
        except StoreError as error:
            if self.failing:
                raise DiskError(str(error)) from error
            raise InvariantError(f"the store refuses: {error}") from error
        super().commit(records)

    def reopen(self) -> None:
        """See `Disk`: after a failed write nothing is written until then."""
        self._store.crash()

    def restored(self) -> Restored:
        """See `Disk`; raises `InvariantError` when rows and book differ."""
        stored = self._store.restored()
        if stored != super().restored():
            raise InvariantError("the store gives back something else than was made durable")
        return stored

    def state(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key that has a value after the last decided block."""
        return self._store.current_state()
