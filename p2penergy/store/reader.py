"""Reading what is durable, from any thread.

Lives here: every question that the node, the gateway and the audit ask of the file. Never here: writing.
Owns the invariant that no block, certificate or vote is handed out whose checksum does not fit it: a damaged
row is an error that names it. The state carries none: the state root of the tip's header vouches for it.
Implements the reading half of CONSENSUS section 6 and the history of LEDGER section 3.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from p2penergy.consensus.effects import BlockRecord, PreparedRecord, Restored, VoteRecord
from p2penergy.messages import (
    Block,
    Certificate,
    CommitteeMembers,
    Header,
    MalformedMessageError,
    VoteKind,
    decode_block,
    decode_certificate,
    decode_members,
)
from p2penergy.store.errors import REFETCH, StoreError, corrupt
from p2penergy.store.limits import HEADER_BYTES_MAX, HISTORY_VERSIONS_MAX, READERS_MAX
from p2penergy.store.ports import HistoryEntry
from p2penergy.store.prefix import header_of_prefix
from p2penergy.store.results import Results, decode_results
from p2penergy.store.schema import READ_ERRORS, about_rows, checksum, connect_reader, key_digest

_DECIDED = (
    "SELECT d.height, d.block_id, d.certificate, d.checksum,"
    " b.height, b.digest, b.block, b.checksum"
    " FROM decisions d LEFT JOIN blocks b ON b.id = d.block_id WHERE d.height"
)
_HEIGHT_MAX = 2**63 - 1


class Reader:
    """Questions to a ledger file; connections are made as needed and lent to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._places = threading.BoundedSemaphore(READERS_MAX)

    def close(self) -> None:
        """Close the idle connections; questions under way must have ended."""
        while self._idle:
            self._idle.pop().close()

    def restored(self) -> Restored:
        """The tip and all that was signed at the height above it.

        Raises:
            StoreError: a row of these is damaged.
        """
        with self._lend() as connection:
            connection.execute("BEGIN")
            try:
                return _restored(connection)
            finally:
                connection.execute("COMMIT")

    def current_state(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key that has a value after the tip, ascending."""
        with self._lend() as connection:
            yield from connection.execute("SELECT key, value FROM state ORDER BY key")

    def whole(self) -> tuple[int, bytes, list[tuple[bytes, bytes]]] | None:
        """The tip's height and block, and the state after it, of one moment; None at genesis.

        Raises:
            StoreError: the block's row is damaged.
        """
        with self._lend() as connection:
            connection.execute("BEGIN")
            try:
                tip = _tip(connection)
                if not tip:
                    return None
                block, _ = _checked_pair(connection.execute(f"{_DECIDED} = ?", (tip,)).fetchone())
                state = connection.execute("SELECT key, value FROM state ORDER BY key").fetchall()
                return tip, block, state
            finally:
                connection.execute("COMMIT")

    def entries(self, prefix: bytes, count_max: int) -> list[tuple[bytes, bytes]]:
        """The first keys with this prefix that have a value after the tip, ascending, with it."""
        beyond = _beyond(prefix)
        with self._lend() as connection:
            return connection.execute(
                "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
                (prefix, beyond, count_max),
            ).fetchall()

    def base(self) -> int:
        """Height at which this ledger begins: 0, or that of the snapshot which it was made from.

        Of earlier blocks it holds nothing: no block, header, receipt, or version of the state.
        """
        with self._lend() as connection:
            return _base(connection)

    def tip(self) -> int:
        """Height of the last decided block; 0 at genesis."""
        with self._lend() as connection:
            return _tip(connection)

    def block(self, height: int) -> tuple[bytes, bytes] | None:
        """Block and certificate bytes of a decided height, None above the tip and below `base`.

        Raises:
            StoreError: the row is damaged.
        """
        with self._lend() as connection:
            row = connection.execute(f"{_DECIDED} = ?", (height,)).fetchone()
            return None if row is None else _checked_pair(row)

    def blocks(self, first: int, count: int, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """Decided blocks from `first` on: at most `count`, and `bytes_max` unless the first is larger.

        [] where `first` itself is not held.
        """
        found: list[tuple[bytes, bytes]] = []
        total_bytes = 0
        with self._lend() as connection:
            if first < _base(connection):
                return []
            for row in connection.execute(f"{_DECIDED} >= ? ORDER BY d.height LIMIT ?", (first, count)):
                pair = _checked_pair(row)
                total_bytes += len(pair[0]) + len(pair[1])
                if found and total_bytes > bytes_max:
                    break
                found.append(pair)
        return found

    def committee(self, root: bytes) -> CommitteeMembers | None:
        """Who a committee that decided a block was, with their keys; None for a root that is not known here.

        It proves itself by its root, which whoever asks compares.
        """
        with self._lend() as connection:
            row = connection.execute("SELECT members FROM committees WHERE root = ?", (root,)).fetchone()
        return None if row is None else decode_members(row[0])

    def headers(self, first: int, count: int) -> list[tuple[Header, Certificate]]:
        """Decided headers from `first` on with their certificates, at most `count`; [] below `base`.

        Reads only the beginning of each block. A header vouches for itself: its digest is checked.
        """
        found = []
        with self._lend() as connection:
            if first < _base(connection):
                return []
            rows = connection.execute(
                "SELECT d.height, d.block_id, d.certificate, d.checksum, b.digest"
                " FROM decisions d LEFT JOIN blocks b ON b.id = d.block_id"
                " WHERE d.height >= ? ORDER BY d.height LIMIT ?",
                (first, count),
            )
            for *decision, digest in rows:
                _check("decisions", f"height {decision[0]}", decision)
                with connection.blobopen("blocks", "block", decision[1], readonly=True) as blob:
                    prefix = blob.read(HEADER_BYTES_MAX)
                header = header_of_prefix(prefix, digest)
                if header is None:
                    raise corrupt("blocks", f"height {decision[0]}", "the header does not fit its digest")
                found.append((header, decode_certificate(decision[2])))
        return found

    def history(
        self, key: bytes, height_max: int | None = None, count_max: int = HISTORY_VERSIONS_MAX
    ) -> list[HistoryEntry]:
        """Versions of a key up to a height, oldest first; the newest `count_max` of them."""
        newest = _HEIGHT_MAX if height_max is None else height_max
        count = min(count_max, HISTORY_VERSIONS_MAX)
        found: list[HistoryEntry] = []
        with self._lend() as connection:
            height = _last_written(connection, key)
            while height is not None and len(found) < count:
                results = _results(connection, height)
                if height <= newest:
                    found.extend(_entries(results, height, key))
                height = _earlier(results, height, key)
        return found[:count][::-1]

    def receipts(self, height: int) -> list[bytes]:
        """Encoded receipts of a decided block, in the order of its transactions; [] where none are held."""
        with self._lend() as connection:
            held = _base(connection) <= height <= _tip(connection)
            return _results(connection, height).receipts if held else []

    def results(self, height: int) -> Results:
        """All that a decided block wrote; 0: genesis.

        Raises:
            StoreError: there are none at this height, or they are damaged.
        """
        with self._lend() as connection:
            return _results(connection, height)

    def transaction_count(self) -> int:
        """Transactions decided so far, accepted and declined ones."""
        with self._lend() as connection:
            return int(connection.execute("SELECT count(*) FROM transactions").fetchone()[0])

    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and index of a decided transaction."""
        with self._lend() as connection:
            row = connection.execute(
                "SELECT height, idx FROM transactions WHERE transaction_id = ?", (transaction_id,)
            ).fetchone()
            return None if row is None else (row[0], row[1])

    def votes(self, height: int) -> list[VoteRecord]:
        """Own votes of one height, in the order of storing."""
        with self._lend() as connection:
            return list(_votes(connection, height))

    @contextlib.contextmanager
    def _lend(self) -> Iterator[sqlite3.Connection]:
        with self._places:
            connection = None
            try:
                connection = self._idle.pop() if self._idle else connect_reader(self._path)
                yield connection
            except READ_ERRORS as error:
                raise StoreError(f"The ledger {self._path} can't be read: {error}. {REFETCH}") from error
            finally:
                if connection is not None:
                    self._idle.append(connection)


def _beyond(prefix: bytes) -> bytes:
    """The least key above all with this prefix, which begins with a letter: not all of it is 0xff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1])


def _check(table: str, row: str, columns: list[int | bytes] | tuple[int | bytes, ...]) -> None:
    """Compare a row's last column with the checksum of the others."""
    if any(not isinstance(column, int | bytes) for column in columns):
        raise corrupt(table, row, "a column is missing or of another type")
    if checksum(*columns[:-1]) != columns[-1]:
        raise corrupt(table, row, "its contents do not fit its checksum")


def _checked_pair(row: tuple[int | bytes, ...]) -> tuple[bytes, bytes]:
    where = f"height {row[0]!r}"
    _check("decisions", where, row[:4])
    _check("blocks", where, row[4:])
    if row[4] != row[0]:
        raise corrupt("decisions", where, "it names the block of another height")
    return bytes(row[6]), bytes(row[2])


def _results(connection: sqlite3.Connection, height: int) -> Results:
    row = connection.execute("SELECT * FROM results WHERE height = ?", (height,)).fetchone()
    if row is None:
        raise corrupt("results", f"height {height}", "the row is missing")
    _check("results", f"height {height}", row)
    try:
        return decode_results(row[1])
    except ValueError as error:
        raise corrupt("results", f"height {height}", str(error)) from error


def _last_written(connection: sqlite3.Connection, key: bytes) -> int | None:
    row = connection.execute(
        "SELECT height FROM state WHERE key = ? UNION ALL SELECT height FROM ended WHERE key_digest = ?",
        (key, key_digest(key)),
    ).fetchone()
    return None if row is None else int(row[0])


def _entries(results: Results, height: int, key: bytes) -> list[HistoryEntry]:
    """A block's versions of one key, newest first."""
    ids = results.transaction_ids
    return [
        HistoryEntry(height, each.index, each.stage, each.value, ids[each.index] if each.index >= 0 else None)
        for each in reversed(results.versions)
        if each.key == key
    ]


def _earlier(results: Results, height: int, key: bytes) -> int | None:
    """The block that wrote the key before this one."""
    if key not in results.previous:
        raise corrupt("results", f"height {height}", f"nothing of key {key!r}, though a pointer leads here")
    earlier = results.previous[key]
    if earlier is not None and earlier >= height:
        raise corrupt("results", f"height {height}", f"the pointer of key {key!r} does not lead back")
    return earlier


def _base(connection: sqlite3.Connection) -> int:
    # The first results are those of genesis, or all that a snapshot held.
    return int(connection.execute("SELECT coalesce(min(height), 0) FROM results").fetchone()[0])


def _tip(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(height), 0) FROM decisions").fetchone()[0])


def _votes(connection: sqlite3.Connection, height: int) -> Iterator[VoteRecord]:
    rows = connection.execute(
        "SELECT kind, height, view, slot, digest, message, checksum FROM votes WHERE height = ? ORDER BY id",
        (height,),
    )
    for row in rows:
        _check("votes", f"height {height}, kind {row[0]!r}, view {row[2]!r}", row)
        kind, _, view, slot, digest, message, _ = row
        yield VoteRecord(VoteKind(kind), height, view, slot, digest, message)


def _restored(connection: sqlite3.Connection) -> Restored:
    tip = _tip(connection)
    height = tip + 1
    view = connection.execute("SELECT * FROM views WHERE height = ?", (height,)).fetchone()
    if view is not None:
        _check("views", f"height {height}", view)
    prepared = connection.execute("SELECT * FROM prepared WHERE height = ?", (height,)).fetchone()
    if prepared is not None:
        _check("prepared", f"height {height}", prepared)
    blocks = connection.execute(
        "SELECT height, digest, block, checksum FROM blocks WHERE height = ? ORDER BY id", (height,)
    ).fetchall()
    for row in blocks:
        _check("blocks", f"height {height}, undecided", row)
    about = dict(connection.execute("SELECT name, value FROM about"))
    amnesia = about.get("amnesia_slot")
    slot = int(amnesia) if amnesia is not None and amnesia.isdecimal() else None
    if about != about_rows(bytes.fromhex(about.get("chain_id", "")), slot):
        raise corrupt("about", "all rows", "they do not fit their checksum")
    decided = _decoded_tip(connection, tip) if tip else None
    return Restored(
        tip=decided,
        view=None if view is None else view[1],
        votes=tuple(_votes(connection, height)),
        blocks=tuple(BlockRecord(*row[:3]) for row in blocks),
        prepared=None if prepared is None else PreparedRecord(*prepared[:4]),
        amnesia_slot=slot,
        proposed_slots=() if decided is None else _proposed_slots(connection, tip, decided[0].header.slot),
    )


def _proposed_slots(connection: sqlite3.Connection, tip: int, slot: int) -> tuple[int, ...]:
    """Start slots after `slot` of own proposals up to `tip`: a block proposed again keeps its own slot."""
    rows = connection.execute(
        "SELECT kind, height, view, slot, digest, message, checksum FROM votes"
        " WHERE height <= ? AND kind = ? AND slot > ?",
        (tip, int(VoteKind.PRE_PREPARE), slot),
    )
    found = set()
    for row in rows:
        _check("votes", f"height {row[1]!r}, kind {row[0]!r}, view {row[2]!r}", row)
        found.add(int(row[3]))
    return tuple(sorted(found))


def _decoded_tip(connection: sqlite3.Connection, tip: int) -> tuple[Block, Certificate]:
    block, certificate = _checked_pair(connection.execute(f"{_DECIDED} = ?", (tip,)).fetchone())
    try:
        return decode_block(block), decode_certificate(certificate)
    except MalformedMessageError as error:
        raise corrupt("blocks", f"height {tip}", str(error)) from error
