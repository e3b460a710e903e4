"""What this household's meter has signed, durably: `meter.sqlite3` in its folder.

Lives here: one small SQLite file. Never here: what to sign. Owns the invariant that a period is signed once:
its bytes are on the disk before they are sent, and whatever is sent again for it are the same bytes
(a meter that signed two figures for a period could not say which is true).
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import msgspec

from p2penergy.meters.registers import Frontier
from p2penergy.meters.samples import SourceError
from p2penergy.store.errors import StoreError
from p2penergy.store.lock import FileLock

MEMORY_FILE = "meter.sqlite3"
LOCK_FILE = "meter.lock"
FILES_REMEMBERED_MAX = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS signed (
  period INTEGER PRIMARY KEY, import_wh INTEGER NOT NULL, export_wh INTEGER NOT NULL,
  raw BLOB NOT NULL, state INTEGER NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS open_ones ON signed (state, period);
CREATE TABLE IF NOT EXISTS marks (number INTEGER PRIMARY KEY, mark TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""


class ReadingState(IntEnum):
    """How far a signed reading has come."""

    OPEN = 0
    ACCEPTED = 1
    DECLINED = 2
    """By the ledger, or beyond the periods in which it could be taken."""


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A period's figures, and the transaction with them."""

    period: int
    import_wh: int
    export_wh: int
    raw: bytes


class Memory:
    """Open while the meter is read; a second process of the same folder is refused."""

    def __init__(self, folder: Path, chain_id: bytes) -> None:
        """Raises `SourceError`: the file can't be used, is in use, or belongs to another chain."""
        path = folder / MEMORY_FILE
        try:
            self._lock = FileLock(folder / LOCK_FILE)
        except StoreError:
            raise SourceError(
                f"{path} can't be used: is {folder} there, and is another `p2penergy meter` running on it?"
            ) from None
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            found = self._fact("chain")
            if found is None:
                self._db.execute("INSERT INTO facts VALUES ('chain', ?)", (chain_id,))
        except sqlite3.Error as error:
            self.close()
            raise SourceError(f"{path} can't be used ({error}): move it away to begin a new one") from None
        if found is not None and found != chain_id:
            self.close()
            raise SourceError(f"{path} is of another community: move it away to begin a new one")

    def close(self) -> None:
        """Let another process have it."""
        self._db.close()
        self._lock.release()

    def _fact(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    @property
    def frontier(self) -> Frontier:
        """Where the registers stood."""
        kept = self._fact("frontier")
        return Frontier() if kept is None else msgspec.json.decode(kept, type=Frontier)

    def is_signed(self, period: int) -> bool:
        """Whether a period has its figures."""
        return self._db.execute("SELECT 1 FROM signed WHERE period = ?", (period,)).fetchone() is not None

    def find(self, period: int) -> tuple[SignedReading, ReadingState] | None:
        """What was signed for a period, and how far it has come."""
        row = self._db.execute(
            "SELECT period, import_wh, export_wh, raw, state FROM signed WHERE period = ?", (period,)
        ).fetchone()
        return None if row is None else (SignedReading(*row[:4]), ReadingState(row[4]))

    def has_mark(self, mark: str) -> bool:
        """Whether a batch is in already."""
        return self._db.execute("SELECT 1 FROM marks WHERE mark = ?", (mark,)).fetchone() is not None

    def keep(self, readings: Iterable[SignedReading], frontier: Frontier, mark: str) -> None:
        """All of one batch at once, or nothing; durable on return.

        A period that has its figures keeps them.
        """
        with self._transaction():
            self._db.executemany(
                "INSERT INTO signed VALUES (?, ?, ?, ?, 0, '') ON CONFLICT DO NOTHING",
                [(r.period, r.import_wh, r.export_wh, r.raw) for r in readings],
            )
            self._db.execute(
                "INSERT OR REPLACE INTO facts VALUES ('frontier', ?)",
                (msgspec.json.encode(frontier),),
            )
            if mark:
                self._db.execute("INSERT INTO marks (mark) VALUES (?) ON CONFLICT DO NOTHING", (mark,))
                self._db.execute(
                    "DELETE FROM marks WHERE number <= (SELECT max(number) FROM marks) - ?",
                    (FILES_REMEMBERED_MAX,),
                )

    def open_readings(self, count_max: int) -> list[SignedReading]:
        """The first ones without a receipt, ascending by period."""
        rows = self._db.execute(
            "SELECT period, import_wh, export_wh, raw FROM signed WHERE state = 0 ORDER BY period LIMIT ?",
            (count_max,),
        )
        return [SignedReading(*row) for row in rows]

    def settle(self, period: int, state: ReadingState, outcome: str) -> None:
        """Note what became of a reading."""
        self._db.execute(
            "UPDATE signed SET state = ?, outcome = ? WHERE period = ?", (int(state), outcome, period)
        )

    def counts(self) -> dict[ReadingState, int]:
        """How many readings are in each state."""
        rows = self._db.execute("SELECT state, count(*) FROM signed GROUP BY state")
        return dict.fromkeys(ReadingState, 0) | {ReadingState(state): count for state, count in rows}

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    """BEGIN to COMMIT, or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def read_surpluses(folder: Path, periods_max: int) -> dict[int, int]:
    """Surplus (export less import, Wh) of the latest periods that a folder's meter signed; {} before any.

    Reads beside a running meter. Raises `SourceError`: the file can't be read.
    """
    path = folder / MEMORY_FILE
    if not path.exists():
        return {}
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            question = "SELECT period, export_wh - import_wh FROM signed ORDER BY period DESC LIMIT ?"
            return dict(db.execute(question, (periods_max,)).fetchall())
        finally:
            db.close()
    except sqlite3.Error as error:
        raise SourceError(f"{path} can't be read: {error}") from None
