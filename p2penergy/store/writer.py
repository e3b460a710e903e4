"""The writer: one thread, one order, one durable commit for all that waited.

Lives here: the queue, the group commit, the poisoning after a failure. Never here: SQL of records
(`rows`), the event loop. Owns two invariants of CONSENSUS section 6: nothing is acknowledged before its
commit has returned, and after one failed commit nothing is ever acknowledged again (a file whose fsync
failed once says nothing about what it holds).
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence

from p2penergy.consensus.effects import BlockRecord, DecidedRecord, PreparedRecord, Record, VoteRecord
from p2penergy.store.errors import REFETCH, StoreBusyError, StoreError
from p2penergy.store.limits import (
    CHECKPOINT_COMMITS,
    CHECKPOINT_ROWS,
    GROUP_SUBMISSIONS_MAX,
    QUEUE_BYTES_MAX,
    QUEUE_SUBMISSIONS_MAX,
)
from p2penergy.store.ports import Done
from p2penergy.store.rows import Rows

_log = logging.getLogger(__name__)

_Submission = tuple[Sequence[Record], int, Done]


def record_bytes(record: Record) -> int:
    """What a record weighs in the queue: its large fields."""
    if isinstance(record, VoteRecord):
        return len(record.message)
    if isinstance(record, BlockRecord):
        return len(record.block)
    if isinstance(record, PreparedRecord):
        return len(record.certificate)
    if isinstance(record, DecidedRecord):
        return len(record.block) + len(record.certificate)
    return 0


class Writer:
    """Takes submissions from any thread and writes them in their order, from its own."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._rows = Rows(connection)
        self._changed = threading.Condition()
        self._waiting: deque[_Submission] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._failure: StoreError | None = None
        self.commits = 0
        """Durable commits so far; smaller than the number of submissions under load."""
        self._copied_commits = 0
        self._copied_rows = connection.total_changes
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Queue records; `done` is called from the writer's thread, must be quick and must not raise.

        Raises:
            StoreBusyError: the queue is full.
            StoreError: an earlier write failed, or the store is closed.
        """
        weight = sum(record_bytes(record) for record in records)
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if self._closing:
                raise StoreError("The ledger is closed.")
            if len(self._waiting) >= QUEUE_SUBMISSIONS_MAX or self._waiting_bytes + weight > QUEUE_BYTES_MAX:
                raise StoreBusyError(
                    f"The disk is too slow: {len(self._waiting)} writes of {self._waiting_bytes} bytes wait."
                )
            self._waiting.append((records, weight, done))
            self._waiting_bytes += weight
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued, then end the thread; the connection stays open."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[_Submission]:
        """All that waits, up to a limit; empty when closed."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_SUBMISSIONS_MAX))]
            self._waiting_bytes -= sum(weight for _, weight, _ in batch)
            return batch

    def _write(self, batch: list[_Submission]) -> None:
        try:
            if self._failure is None and any(records for records, _, _ in batch):
                self._commit(batch)
        except Exception as error:
            # Whatever it was: the thread must live on to tell all who wait.
            self._poison(error)
        for _, _, done in batch:
            self._acknowledge(done)
        if self._failure is None:
            self._copy_log()

    def _commit(self, batch: list[_Submission]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for records, _, _ in batch:
            self._rows.write(records)
        self._connection.execute("COMMIT")
        self.commits += 1

    def _poison(self, error: Exception) -> None:
        failure = self._failure_of(error)
        with self._changed:
            self._failure = failure
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            _log.debug("no rollback after a failed write: SQLite has done it already")

    def _failure_of(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if not isinstance(error, sqlite3.Error):
            said = f"A record can't be stored, by a fault of the program: {type(error).__name__}: {error}."
            remedy = "Please report it."
        elif "malformed" in str(error):
            said, remedy = f"The ledger {self._path} is damaged: {error}.", REFETCH
        else:
            said = f"The ledger {self._path} can't be written: {error}."
            remedy = "Check the disk (space, health), then start the node again."
        failure = StoreError(f"{said} Nothing more is stored or sent. {remedy}")
        failure.__cause__ = error
        return failure

    def _acknowledge(self, done: Done) -> None:
        try:
            done(self._failure)
        except Exception:
            # One caller's mistake must not leave all the others waiting for ever.
            _log.exception("a callback of the store raised")

    def _copy_log(self) -> None:
        """Copy a long log into the file, after the acknowledgements: nobody waits for it."""
        commits = self.commits - self._copied_commits
        rows = self._connection.total_changes - self._copied_rows
        if commits < CHECKPOINT_COMMITS and rows < CHECKPOINT_ROWS:
            return
        self._copied_commits, self._copied_rows = self.commits, self._connection.total_changes
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self._poison(error)
