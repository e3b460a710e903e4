"""Records into rows, inside a transaction that the caller opened.

Lives here: one function per kind of record, and the guards that refuse what no correct core asks for.
Never here: threads, commits. Owns three invariants of CONSENSUS section 4 as the last line of defence:
one vote per (kind, height, view), a view and a prepared certificate that never go back, a chain without
gaps. A guard that strikes means a bug above, so that the writer stops for good.
"""

import sqlite3
from collections.abc import Sequence
from typing import cast

from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    ViewRecord,
    VoteRecord,
)
from p2penergy.store.errors import DoubleVoteError, StoreError
from p2penergy.store.limits import VOTE_HEIGHTS_KEPT
from p2penergy.store.ports import StoredOutcome, Version
from p2penergy.store.schema import checksum


class Rows:
    """Writes records through one connection; knows the next numbers, so it lives as long as that does.

    After an error the numbers are those of a transaction that never happened: make no further use of it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.tip = self._greatest("decisions", "height")
        self._transaction = self._greatest("transactions", "number")
        self._version = self._greatest("versions", "number")
        self._key = self._greatest("keys", "id")

    def write(self, records: Sequence[Record]) -> None:
        """Write records in their order.

        Raises:
            StoreError: a guard struck.
            sqlite3.Error: the disk did.
        """
        for record in records:
            if isinstance(record, VoteRecord):
                self._vote(record)
            elif isinstance(record, ViewRecord):
                self._view(record)
            elif isinstance(record, BlockRecord):
                self._block(record.height, record.digest, record.block)
            elif isinstance(record, PreparedRecord):
                self._prepared(record)
            else:
                self._decided(record)

    def genesis(self, versions: Sequence[Version]) -> None:
        """Versions that genesis itself gives to keys, at height 0."""
        self._versions(0, versions)

    def _greatest(self, table: str, column: str) -> int:
        return int(self._connection.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0])

    def _vote(self, vote: VoteRecord) -> None:
        columns = (int(vote.kind), vote.height, vote.view, vote.slot, vote.digest, vote.message)
        added = self._connection.execute(
            "INSERT INTO votes (kind, height, view, slot, digest, message, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (height, kind, view) DO NOTHING",
            (*columns, checksum(*columns)),
        )
        if added.rowcount:
            return
        stored = self._connection.execute(
            "SELECT kind, height, view, slot, digest, message FROM votes"
            " WHERE height = ? AND kind = ? AND view = ?",
            (vote.height, int(vote.kind), vote.view),
        ).fetchone()
        if stored != columns:
            raise DoubleVoteError(
                f"A second, different {vote.kind.name} for height {vote.height}, view {vote.view} was to be "
                "stored. Nothing more is written or sent: this is a fault of the program, please report it."
            )

    def _view(self, record: ViewRecord) -> None:
        row = self._connection.execute("SELECT view FROM views WHERE height = ?", (record.height,)).fetchone()
        if row is not None and row[0] > record.view:
            raise StoreError(
                f"View {record.view} of height {record.height} is below the stored view {row[0]}."
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO views VALUES (?, ?, ?)",
            (record.height, record.view, checksum(record.height, record.view)),
        )

    def _prepared(self, record: PreparedRecord) -> None:
        row = self._connection.execute(
            "SELECT view FROM prepared WHERE height = ?", (record.height,)
        ).fetchone()
        if row is not None and row[0] > record.view:
            raise StoreError(
                f"The prepared certificate of view {record.view}, height {record.height}, is below "
                f"the stored one of view {row[0]}."
            )
        columns = (record.height, record.view, record.digest, record.certificate)
        self._connection.execute(
            "INSERT OR REPLACE INTO prepared VALUES (?, ?, ?, ?, ?)", (*columns, checksum(*columns))
        )

    def _block(self, height: int, digest: bytes, block: bytes) -> int:
        row = self._connection.execute(
            "SELECT id FROM blocks WHERE height = ? AND digest = ?", (height, digest)
        ).fetchone()
        if row is not None:
            return int(row[0])
        added = self._connection.execute(
            "INSERT INTO blocks (height, digest, block, checksum) VALUES (?, ?, ?, ?)",
            (height, digest, block, checksum(height, digest, block)),
        )
        return cast(int, added.lastrowid)

    def _decided(self, record: DecidedRecord) -> None:
        if record.height != self.tip + 1:
            raise StoreError(f"Block {record.height} can't follow block {self.tip} in the ledger.")
        block_id = self._block(record.height, record.digest, record.block)
        columns = (record.height, block_id, record.certificate, self._transaction + 1)
        self._connection.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", (*columns, checksum(*columns))
        )
        outcome = cast(StoredOutcome, record.outcome)
        self._transactions(record.height, outcome)
        self._versions(record.height, outcome.versions)
        self.tip = record.height
        self._forget(block_id)

    def _transactions(self, height: int, outcome: StoredOutcome) -> None:
        first = self._transaction + 1
        pairs = zip(outcome.transaction_ids, outcome.receipts, strict=True)
        self._connection.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)",
            [(first + index, height, index, each, receipt) for index, (each, receipt) in enumerate(pairs)],
        )
        self._transaction += len(outcome.transaction_ids)

    def _versions(self, height: int, versions: Sequence[Version]) -> None:
        # Key -> its id and latest version, read once per block and written back once.
        touched: dict[bytes, tuple[int, int | None]] = {}
        rows = []
        for version in versions:
            key_id, previous = touched.get(version.key) or self._key_row(version.key)
            self._version += 1
            rows.append(
                (self._version, height, version.index, int(version.stage), key_id, previous, version.value)
            )
            touched[version.key] = (key_id, self._version)
        self._connection.executemany("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        # Sorted: neighbours in the tree are written together.
        self._connection.executemany(
            "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET latest = excluded.latest",
            sorted((key, key_id, latest) for key, (key_id, latest) in touched.items()),
        )

    def _key_row(self, key: bytes) -> tuple[int, int | None]:
        row = self._connection.execute("SELECT id, latest FROM keys WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0]), int(row[1])
        self._key += 1
        return self._key, None

    def _forget(self, block_id: int) -> None:
        """Drop the decided height's other blocks, and votes of long ago."""
        self._connection.execute("DELETE FROM blocks WHERE height = ? AND id != ?", (self.tip, block_id))
        for table in ("votes", "views", "prepared"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE height <= ?", (self.tip - VOTE_HEIGHTS_KEPT,)
            )
