"""Records into rows, inside a transaction that the caller opened.

Lives here: one function per kind of record, and the guards that refuse what no correct core asks for.
Never here: threads, commits. Owns three invariants of CONSENSUS section 4 as the last line of defence:
one vote per (kind, height, view), a view and a prepared certificate that never go back, a chain without
gaps. A guard that strikes means a bug above, so that the writer stops for good.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import cast

from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    ViewRecord,
    VoteRecord,
)
from p2penergy.messages import encode_members
from p2penergy.store.errors import DoubleVoteError, StoreError
from p2penergy.store.limits import NAMES_PER_QUERY, VOTE_HEIGHTS_KEPT
from p2penergy.store.ports import Base, StoredOutcome, Version
from p2penergy.store.results import encode_results
from p2penergy.store.schema import checksum, key_digest


class Rows:
    """Writes records through one connection, of which it is the only writer.

    After an error its tip may be one that never became durable: make no further use of it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.tip = int(connection.execute("SELECT coalesce(max(height), 0) FROM decisions").fetchone()[0])
        self._last_committee = b""
        """Most often the same ones decide the next block, too."""

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
        self._results(0, (), (), versions)

    def base(self, base: Base) -> None:
        """A decided block and the state after it, in an empty ledger: what was before is not known here."""
        height = base.height
        columns = (height, self._block(height, base.digest, base.block), base.certificate)
        self._connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", (*columns, checksum(*columns)))
        self._results(height, (), (), base.versions)
        self.tip = height

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
        columns = (record.height, block_id, record.certificate)
        self._connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", (*columns, checksum(*columns)))
        outcome = cast(StoredOutcome, record.outcome)
        self._connection.executemany(
            # A declined reading or accusation may be decided again, even in the same block: the last counts.
            "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?)",
            # Sorted, here and below: neighbours in the tree are written together.
            sorted((each, record.height, index) for index, each in enumerate(outcome.transaction_ids)),
        )
        self._results(record.height, outcome.transaction_ids, outcome.receipts, outcome.versions)
        self._committee(record)
        self.tip = record.height
        self._forget(block_id)

    def _committee(self, record: DecidedRecord) -> None:
        if not record.committee or record.committee_root == self._last_committee:
            return
        self._connection.execute(
            "INSERT OR IGNORE INTO committees VALUES (?, ?)",
            (record.committee_root, encode_members(record.committee)),
        )
        self._last_committee = record.committee_root

    def _results(
        self,
        height: int,
        transaction_ids: Sequence[bytes],
        receipts: Sequence[bytes],
        versions: Sequence[Version],
    ) -> None:
        final = {version.key: version.value for version in versions}
        living = self._heights("SELECT key, height FROM state WHERE key", {key: key for key in final})
        digests = {key: key_digest(key) for key, value in final.items() if key not in living or value is None}
        dead = {each: key for key, each in digests.items() if key not in living}
        ended = self._heights("SELECT key_digest, height FROM ended WHERE key_digest", dead)
        previous = {key: living.get(key, ended.get(key)) for key in final}
        columns = (height, encode_results(transaction_ids, receipts, versions, previous))
        self._connection.execute("INSERT INTO results VALUES (?, ?, ?)", (*columns, checksum(*columns)))
        execute_many = self._connection.executemany
        stays = sorted((key, value, height) for key, value in final.items() if value is not None)
        ends = sorted((digests[key], height) for key, value in final.items() if value is None)
        execute_many("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", stays)
        gone = [(key,) for key, value in final.items() if value is None and key in living]
        execute_many("DELETE FROM state WHERE key = ?", gone)
        execute_many("INSERT OR REPLACE INTO ended VALUES (?, ?)", ends)
        back = [(digests[key],) for key in ended if final[key] is not None]
        execute_many("DELETE FROM ended WHERE key_digest = ?", back)

    def _heights(self, query: str, named: Mapping[bytes, bytes]) -> dict[bytes, int]:
        """For every key whose name the query finds: the height that wrote it last; `named` has keys by name.

        Many at a time: a question for each would take more time than all else that a trade costs here.
        """
        found: dict[bytes, int] = {}
        names = sorted(named)
        for start in range(0, len(names), NAMES_PER_QUERY):
            asked = names[start : start + NAMES_PER_QUERY]
            rows = self._connection.execute(f"{query} IN ({','.join('?' * len(asked))})", asked)
            found.update((named[name], int(height)) for name, height in rows)
        return found

    def _forget(self, block_id: int) -> None:
        """Drop the decided height's other blocks, and votes of long ago."""
        self._connection.execute("DELETE FROM blocks WHERE height = ? AND id != ?", (self.tip, block_id))
        for table in ("votes", "views", "prepared"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE height <= ?", (self.tip - VOTE_HEIGHTS_KEPT,)
            )
