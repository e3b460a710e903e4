"""The rows of a kept ledger as they are, without believing any of them.

Lives here: a read-only connection in one snapshot, and the checks that need no chain: SQLite's own, the
schema, checksums, which rows there are. Never here: what the rows should hold (`walk`, `own_votes`).
Implements the reading side of the audit for CONSENSUS section 6.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2penergy.audit.findings import LedgerReport
from p2penergy.committees import root_of
from p2penergy.messages import MalformedMessageError, decode_members
from p2penergy.store import StoreError
from p2penergy.store.schema import (
    SCHEMA_VERSION,
    about_rows,
    checksum,
    connect_reader,
    lay_out_tables,
)
from p2penergy.store.wal import refuse_damaged_log

Row = tuple[Any, ...]

_CHECKSUMMED = {
    "blocks": "SELECT height, digest, block, checksum FROM blocks ORDER BY id",
    "decisions": "SELECT * FROM decisions ORDER BY height",
    "results": "SELECT * FROM results ORDER BY height",
    "views": "SELECT * FROM views ORDER BY height",
    "votes": "SELECT height, kind, view, slot, digest, message, checksum FROM votes ORDER BY id",
    "prepared": "SELECT * FROM prepared ORDER BY height",
}


class Tables:
    """One ledger file in one read transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *arguments: int | bytes) -> Iterator[Row]:
        """The rows of a query."""
        return self._connection.execute(query, arguments)

    def row(self, query: str, *arguments: int | bytes) -> Row | None:
        """The first row of a query."""
        found: Row | None = self._connection.execute(query, arguments).fetchone()
        return found


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Tables]:
    """The tables of a file; nothing is written, not even its log copied."""
    closed = not path.with_name(path.name + "-wal").exists()
    with contextlib.closing(connect_reader(path, unchanging=closed)) as connection:
        connection.execute("BEGIN")
        yield Tables(connection)


def check_log(path: Path, report: LedgerReport) -> None:
    """The log beside the file, before anything opens it."""
    try:
        refuse_damaged_log(path)
    except StoreError as error:
        report.add("file", path.name + "-wal", str(error))


def check_structure(tables: Tables, chain_id: bytes, report: LedgerReport) -> None:
    """SQLite's own check of every page and index, the schema, and whose file this is."""
    for (finding,) in tables.rows("PRAGMA integrity_check(10)"):
        if finding != "ok":
            report.add("file", "integrity check", " ".join(str(finding).split()))
    version = tables.row("PRAGMA user_version")
    if version != (SCHEMA_VERSION,):
        report.add("file", "user_version", f"{version} instead of {SCHEMA_VERSION}")
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        lay_out_tables(fresh)
        right = set(fresh.execute(query))
    for row in set(tables.rows(query)) ^ right:
        report.add("sqlite_schema", str(row[1]), "not the schema of this version")
    _check_about(dict(tables.rows("SELECT name, value FROM about")), chain_id, report)


def _check_about(stored: dict[str, str], chain_id: bytes, report: LedgerReport) -> None:
    amnesia = stored.get("amnesia_slot")
    slot = int(amnesia) if amnesia is not None and amnesia.isdecimal() else None
    right = about_rows(chain_id, slot)
    for name in sorted(stored.keys() | right.keys()):
        if stored.get(name) != right.get(name):
            said = f"holds {stored.get(name)!r}, should hold {right.get(name)!r}"
            report.add("about", f"name {name}", said)


def check_checksums(tables: Tables, report: LedgerReport) -> None:
    """Every row that carries a checksum."""
    for table, query in _CHECKSUMMED.items():
        for row in tables.rows(query):
            where = f"height {row[0]!r}"
            if table == "votes":
                where += f", kind {row[1]!r}, view {row[2]!r}"
            sound = all(isinstance(each, int | bytes) for each in row)
            if not sound or _sum(table, row) != row[-1]:
                report.add(table, where, "its contents do not fit its checksum")


def _sum(table: str, row: Row) -> int:
    columns = row[:-1]
    if table == "votes":
        height, kind, *rest = columns
        columns = (kind, height, *rest)
    try:
        return checksum(*columns)
    except OverflowError:
        return -1


def check_committees(tables: Tables, report: LedgerReport) -> None:
    """Every committee that is told to light clients fits the root that they know it by."""
    for root, members in tables.rows("SELECT root, members FROM committees"):
        try:
            fits = root_of(decode_members(members)) == root
        except (MalformedMessageError, TypeError):
            fits = False
        if not fits:
            where = f"root {root.hex() if isinstance(root, bytes) else root!r}"
            report.add("committees", where, "its members do not fit the root")


def check_heights(tables: Tables, report: LedgerReport) -> None:
    """Which heights have rows: no gap, nothing beyond the height that is worked on."""
    found = tables.row("SELECT coalesce(max(height), 0) FROM decisions")
    assert found is not None, "an aggregate has a row"
    report.height = found[0]
    for (height,) in tables.rows("SELECT height FROM decisions WHERE height < 1"):
        report.add("decisions", f"height {height!r}", "the first block has height 1")
    orphans = "SELECT height FROM blocks WHERE height <= ? AND id NOT IN (SELECT block_id FROM decisions)"
    for (height,) in tables.rows(orphans, report.height):
        report.add("blocks", f"height {height!r}", "another block was decided, this one should be gone")
    for table in ("blocks", "views", "votes", "prepared"):
        query = f"SELECT DISTINCT height FROM {table} WHERE height NOT BETWEEN ? AND ?"
        for (height,) in tables.rows(query, max(1, report.base_height), report.height + 1):
            report.add(table, f"height {height!r}", f"the tip is {report.height}")
