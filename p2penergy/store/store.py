"""The ledger's file of one node: made, opened, written through one thread, read from any.

Lives here: what must hold before the file is used (lock, chain, schema, SQLite's own check), and the one
object that the rest of the program holds. Never here: SQL of records (`rows`, `reader`), the group commit
(`writer`). Owns the rule of CONSENSUS section 6 that a node with a key never starts with an empty vote
store by accident: `open` makes no file.

A backup that is copied back is a lost vote store too: what was signed after it is not in it.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from p2penergy.consensus.effects import Record
from p2penergy.store.errors import REFETCH, StoreError, StoreMissingError
from p2penergy.store.limits import DAMAGES_SHOWN_MAX
from p2penergy.store.lock import FileLock
from p2penergy.store.migrations import OLDEST, migrate
from p2penergy.store.ports import Base, Done, Version
from p2penergy.store.reader import Reader
from p2penergy.store.rows import Rows
from p2penergy.store.schema import READ_ERRORS, SCHEMA_VERSION, connect_writer, lay_out
from p2penergy.store.wal import refuse_damaged_log
from p2penergy.store.writer import Writer


class Store(Reader):
    """One open ledger file, to read and to write. Made by `create` or `open`; `close` it at the end."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection) -> None:
        super().__init__(path)
        self.path = path
        self._lock = lock
        self._connection = connection
        self._writer = Writer(connection, str(path))
        self._closed = False

    @classmethod
    def create(
        cls,
        path: Path,
        chain_id: bytes,
        *,
        genesis_versions: Sequence[Version] = (),
        amnesia_slot: int | None = None,
    ) -> "Store":
        """Make a new, empty ledger file and open it; whole or not at all, whenever the power fails.

        Args:
            path: where; its folder exists.
            chain_id: 32 bytes.
            genesis_versions: values that keys have before the first block, kept as height 0.
            amnesia_slot: the present slot where an earlier vote store was lost, for `restored`.

        Raises:
            StoreError: there is one already, another process uses it, or the disk refuses.
        """
        lock = FileLock(_lock_path(path))
        try:
            if path.exists():
                raise StoreError(f"{path} exists already and is not overwritten.")
            _write_new(path, chain_id, lambda rows: rows.genesis(genesis_versions), amnesia_slot)
            return cls(path, lock, _opened(path, chain_id))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def create_from(
        cls, path: Path, chain_id: bytes, base: Base, *, amnesia_slot: int | None = None
    ) -> "Store":
        """Put a ledger that begins with `base` in the place of an empty one, and open it.

        Whole or not at all, whenever the power fails. What an empty ledger may hold, votes for its first
        height, binds nobody at a later one.

        Raises:
            StoreError: the ledger there is not empty, another process uses it, or the disk refuses.
        """
        lock = FileLock(_lock_path(path))
        try:
            if path.exists():
                _require_empty(path, chain_id)
            _write_new(path, chain_id, lambda rows: rows.base(base), amnesia_slot)
            return cls(path, lock, _opened(path, chain_id))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path, chain_id: bytes) -> "Store":
        """Open an existing ledger file, after SQLite's own check of every page.

        Raises:
            StoreMissingError: there is no file.
            StoreError: another process uses it, it is another chain's or another version's, or damaged.
        """
        if not path.exists():
            raise StoreMissingError(
                f"There is no ledger at {path}, but this node has a key: the votes it signed may have been "
                "lost, and voting again could contradict them. If they are lost, run `p2penergy start "
                "--votes-lost`: the node stays silent until its old votes can do no harm."
            )
        lock = FileLock(_lock_path(path))
        try:
            return cls(path, lock, _opened(path, chain_id))
        except BaseException:
            lock.release()
            raise

    @property
    def commits(self) -> int:
        """Durable commits since it was opened."""
        return self._writer.commits

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Queue records; `done` is called from the writer's thread when all up to these are durable.

        Raises:
            StoreBusyError: the queue is full, nothing was taken.
            StoreError: an earlier write failed; none will ever succeed.
        """
        self._writer.submit(records, done)

    async def persist(self, records: Sequence[Record]) -> None:
        """Return when the records are durable; they are written even if the caller is cancelled.

        Raises:
            StoreError: they are not, and never will be.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def resolve(error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        def done(error: Exception | None) -> None:
            # The loop may have ended since: then nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(resolve, error)

        self.submit(records, done)
        await future

    def persist_now(self, records: Sequence[Record]) -> None:
        """Block until the records are durable.

        Raises:
            StoreError: they are not, and never will be.
        """
        finished = threading.Event()
        outcome: list[Exception | None] = []

        def done(error: Exception | None) -> None:
            outcome.append(error)
            finished.set()

        self.submit(records, done)
        finished.wait()
        if outcome[0] is not None:
            raise outcome[0]

    def close(self) -> None:
        """Write what is queued, copy the log into the file, let others in. Does nothing twice."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        super().close()
        # The last connection copies the log into the file; where that fails the log stays, and is
        # read again at the next start.
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _write_new(path: Path, chain_id: bytes, fill: Callable[[Rows], None], amnesia_slot: int | None) -> None:
    """Build the file under another name and rename it when it is whole."""
    building = path.with_name(path.name + ".new")
    try:
        for leftover in (building, *(building.with_name(building.name + end) for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        with contextlib.closing(connect_writer(building)) as connection:
            lay_out(connection, chain_id, amnesia_slot)
            connection.execute("BEGIN")
            fill(Rows(connection))
            connection.execute("COMMIT")
        # The log of an empty ledger that was not closed must not be taken for this one's.
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        building.rename(path)
        _sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"The ledger {path} can't be made: {error}.") from error


def _require_empty(path: Path, chain_id: bytes) -> None:
    # Opening also copies a log into the file: nothing decided can be hidden in it.
    with contextlib.closing(_opened(path, chain_id)) as connection:
        decided = connection.execute("SELECT coalesce(max(height), 0) FROM decisions").fetchone()[0]
    if decided:
        raise StoreError(f"{path} holds a chain up to height {decided} and is not replaced.")


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path, chain_id: bytes) -> sqlite3.Connection:
    """A writing connection to a file that is sound and of this chain."""
    refuse_damaged_log(path)
    try:
        connection = connect_writer(path)
    except READ_ERRORS as error:
        raise StoreError(f"The ledger {path} can't be opened: {error}. {REFETCH}") from error
    try:
        version = check_whose(connection, path, chain_id, oldest=OLDEST)
        check_pages(connection, path)
        migrate(connection, version)
        # A fresh log: what a torn commit left behind in the old one never meets new commits.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except READ_ERRORS as error:
        connection.close()
        raise StoreError(f"The ledger {path} is damaged: {error}. {REFETCH}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def check_whose(
    connection: sqlite3.Connection, path: Path, chain_id: bytes, oldest: int = SCHEMA_VERSION
) -> int:
    """The file's schema version, from `oldest` to the present one; refuses others, and another chain."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    said = f"The ledger {path} has schema version {version}, this program reads version {SCHEMA_VERSION}"
    if not OLDEST <= version <= SCHEMA_VERSION:
        raise StoreError(f"{said}: use the program that wrote it, or start with --votes-lost and a new file.")
    if version < oldest:
        raise StoreError(f"{said}: the next `p2penergy start` brings the file up to it.")
    row = connection.execute("SELECT value FROM about WHERE name = 'chain_id'").fetchone()
    stored = "" if row is None else row[0]
    if stored != chain_id.hex():
        raise StoreError(
            f"The ledger {path} belongs to the chain {stored}, but the genesis of this home is the chain "
            f"{chain_id.hex()}: put the right genesis.json beside it, or begin in a new home."
        )
    return version


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """SQLite's own check of every page's structure: about 1.5 s per GB."""
    findings = [row[0] for row in connection.execute(f"PRAGMA quick_check({DAMAGES_SHOWN_MAX})")]
    if findings != ["ok"]:
        raise StoreError(f"The ledger {path} is damaged: {' '.join(findings[0].split())}. {REFETCH}")
