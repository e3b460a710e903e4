"""A store without a file, for the simulator: it forgets what was not durable, and fails when told to.

Lives here: the interface of `Store` over SQLite in memory, so that rows, guards and questions are the same
ones, and the faults of CONSENSUS section 11 (crash between durable and sent, torn tail, disk full, failing
fsync). Never here: files, threads, time. Owns the invariant that nothing is read or acknowledged that a
crash could take back: what is submitted becomes durable in `sync`, and only there.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from p2penergy.consensus.effects import Record
from p2penergy.store.errors import StoreBusyError, StoreError
from p2penergy.store.limits import QUEUE_SUBMISSIONS_MAX
from p2penergy.store.ports import Done, Version
from p2penergy.store.reader import Reader
from p2penergy.store.rows import Rows
from p2penergy.store.schema import lay_out


class MemoryStore(Reader):
    """One node's store; it outlives the simulated process, as a disk does."""

    def __init__(
        self,
        chain_id: bytes,
        *,
        genesis_versions: Sequence[Version] = (),
        amnesia_slot: int | None = None,
    ) -> None:
        super().__init__(Path(":memory:"))
        self._disk = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        lay_out(self._disk, chain_id, amnesia_slot)
        self._rows = Rows(self._disk)
        self._rows.genesis(genesis_versions)
        self._waiting: list[tuple[Sequence[Record], Done]] = []
        self._failure: StoreError | None = None
        self._fault: str | None = None

    @property
    def waiting(self) -> int:
        """Submissions that a crash would take back now."""
        return len(self._waiting)

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Take records; they are durable, and `done` is called, in the next `sync`.

        Raises:
            StoreBusyError: nobody called `sync` for long.
            StoreError: an earlier write failed; none succeeds before the next crash.
        """
        if self._failure is not None:
            raise self._failure
        if len(self._waiting) >= QUEUE_SUBMISSIONS_MAX:
            raise StoreBusyError(f"{len(self._waiting)} writes wait for sync().")
        self._waiting.append((tuple(records), done))

    def sync(self) -> None:
        """Make all that waits durable in one commit, then acknowledge in order, with the error if any."""
        batch, self._waiting = self._waiting, []
        if self._failure is None:
            try:
                self._write([records for records, _ in batch])
            except StoreError as error:
                self._failure = error
        for _, done in batch:
            done(self._failure)

    def persist_now(self, records: Sequence[Record]) -> None:
        """Submit and sync.

        Raises:
            StoreError: the records are not durable.
        """
        outcome: list[Exception | None] = []
        self.submit(records, outcome.append)
        self.sync()
        if outcome[0] is not None:
            raise outcome[0]

    def fail(self, reason: str) -> None:
        """Let the next `sync` fail as on a full disk or a failing fsync, and all after it until a crash."""
        self._fault = reason

    def crash(self, kept: int = 0) -> None:
        """The process or the power ends; afterwards the store is as one that was opened anew.

        Of what waits, the first `kept` submissions had reached the disk though nobody was told; a commit is
        whole or not there at all, so that a torn one counts as lost.
        """
        survivors = [records for records, _ in self._waiting[:kept]] if self._failure is None else []
        self._waiting, self._failure, self._fault = [], None, None
        self._rows = Rows(self._disk)
        self._write(survivors)

    def close(self) -> None:
        """Sync; the store stays, as a disk does."""
        self.sync()

    def _write(self, submissions: Sequence[Sequence[Record]]) -> None:
        self._disk.execute("BEGIN")
        try:
            if self._fault is not None:
                raise StoreError(f"The ledger can't be written: {self._fault}.")
            for records in submissions:
                self._rows.write(records)
        except Exception:
            self._disk.execute("ROLLBACK")
            raise
        self._disk.execute("COMMIT")

    @contextlib.contextmanager
    def _lend(self) -> Iterator[sqlite3.Connection]:
        yield self._disk
