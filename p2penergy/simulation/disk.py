"""What one simulated node would find on its disk after losing its memory.

Lives here: the durable records of one node, whole commits at a time, and what can go wrong with a
disk. Never here: files, SQLite (`p2penergy.store`). Owns the invariant that a record is here only when
its commit was complete, so that judges can ask "was it durable first?". Stands in for CONSENSUS
section 6.
"""

from collections.abc import Sequence

from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    Restored,
    ViewRecord,
    VoteRecord,
)
from p2penergy.messages import Block, Certificate, VoteKind, decode_block, decode_certificate


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
        return Restored(
            tip=self.tip(),
            view=self._views.get(height),
            votes=tuple(self._votes.get(height, ())),
            blocks=tuple(self._blocks.get(height, ())),
            prepared=self._prepared.get(height),
            amnesia_slot=self.amnesia_slot,
        )
