"""What execution wrote against what the file holds.

Lives here: the tables `results`, `transactions`, `state` and `ended`, row by row and version by version.
Never here: execution itself. Owns the statement that a row is missing, surplus, or differs in a named column.
Implements LEDGER section 3.
"""

from collections.abc import Iterable, Mapping

from p2penergy.audit.findings import LedgerReport
from p2penergy.audit.tables import Row, Tables
from p2penergy.ledger import BLOCK_INDEX, LedgerOutcome, Version, VersionStage, keys
from p2penergy.store.results import Results, decode_results
from p2penergy.store.schema import key_digest

_SHOWN_BYTES_MAX = 64


def shown(value: object) -> str:
    """A value for people: bytes as hex, long ones cut."""
    if not isinstance(value, bytes):
        return repr(value)
    cut = "..." if len(value) > _SHOWN_BYTES_MAX else ""
    return f"0x{value[:_SHOWN_BYTES_MAX].hex()}{cut}"


def _key_text(key: object) -> str:
    try:
        return keys.text(key) if isinstance(key, bytes) else shown(key)
    except (ValueError, IndexError):
        return shown(key)


class Stands:
    """Which block wrote each key last, as the audit's own execution has it."""

    def __init__(self, tables: Tables, report: LedgerReport, items: Iterable[tuple[bytes, bytes]]) -> None:
        self._tables = tables
        self._report = report
        self._written: dict[bytes, int] = {}
        self._values: dict[bytes, bytes] = {}
        self._transactions: dict[bytes, tuple[int, int]] = {}
        genesis = [Version(key, BLOCK_INDEX, VersionStage.FINAL, value) for key, value in items]
        self._check_results(report.base_height, (), (), genesis)

    def check_height(self, height: int, outcome: LedgerOutcome) -> None:
        """Compare a block's results, and remember what its rows in the other tables must be."""
        self._check_results(height, outcome.transaction_ids, outcome.receipts, outcome.versions)
        for index, transaction_id in enumerate(outcome.transaction_ids):
            self._transactions[transaction_id] = (height, index)

    def check_end(self, height: int) -> None:
        """Compare the tables that describe the chain as a whole, at its tip."""
        state = {key: (value, self._written[key]) for key, value in self._values.items()}
        ended = {key_digest(key): (h,) for key, h in self._written.items() if key not in self._values}
        self._check_table("SELECT key, value, height FROM state", "state", "key", state, ("value", "height"))
        self._check_table("SELECT key_digest, height FROM ended", "ended", "key_digest", ended, ("height",))
        self._check_table(
            "SELECT transaction_id, height, idx FROM transactions",
            "transactions",
            "transaction_id",
            self._transactions,
            ("height", "idx"),
        )
        for (surplus,) in self._tables.rows(
            "SELECT height FROM results WHERE height NOT BETWEEN ? AND ?", self._report.base_height, height
        ):
            self._report.add("results", f"height {surplus!r}", "no such block was decided")

    def _check_table(
        self,
        query: str,
        table: str,
        name: str,
        right: Mapping[bytes, Row],
        columns: tuple[str, ...],
    ) -> None:
        missing = dict(right)
        for key, *values in self._tables.rows(query):
            where = f"{name} {_key_text(key)}"
            wanted = missing.pop(key, None)
            if wanted is None:
                self._report.add(table, where, "the row should not be there")
                continue
            for column, value, expected in zip(columns, values, wanted, strict=True):
                if value != expected:
                    said = f"column {column}: {shown(value)}, should be {shown(expected)}"
                    self._report.add(table, where, said)
        for key in missing:
            self._report.add(table, f"{name} {_key_text(key)}", "the row is missing")

    def _check_results(
        self,
        height: int,
        transaction_ids: Iterable[bytes],
        receipts: Iterable[bytes],
        versions: Iterable[Version],
    ) -> None:
        written = list(versions)
        previous = {each.key: self._written.get(each.key) for each in written}
        for each in written:
            self._written[each.key] = height
            if each.value is None:
                self._values.pop(each.key, None)
            else:
                self._values[each.key] = each.value
        row = self._tables.row("SELECT results FROM results WHERE height = ?", height)
        if row is None:
            self._add(height, "the row is missing")
            return
        try:
            stored = decode_results(row[0])
        except (ValueError, TypeError) as error:
            self._add(height, f"column results: {error}")
            return
        self._check_lists(height, "transaction id", stored.transaction_ids, list(transaction_ids))
        self._check_lists(height, "receipt", stored.receipts, list(receipts))
        self._check_versions(height, stored, written)
        for key in sorted(previous.keys() | stored.previous.keys()):
            said, right = stored.previous.get(key), previous.get(key)
            if said != right:
                self._add(height, f"{_key_text(key)}: written before at height {said}, should be {right}")

    def _check_lists(self, height: int, what: str, stored: list[bytes], right: list[bytes]) -> None:
        if len(stored) != len(right):
            self._add(height, f"{len(stored)} times {what}, should be {len(right)}")
        for index, (said, wanted) in enumerate(zip(stored, right, strict=False)):
            if said != wanted:
                self._add(height, f"{what} {index}: {shown(said)}, should be {shown(wanted)}")

    def _check_versions(self, height: int, stored: Results, right: list[Version]) -> None:
        if len(stored.versions) != len(right):
            self._add(height, f"{len(stored.versions)} versions, should be {len(right)}")
        for number, (said, wanted) in enumerate(zip(stored.versions, right, strict=False)):
            for column in ("key", "index", "stage", "value"):
                found, expected = getattr(said, column), getattr(wanted, column)
                if found != expected:
                    where = f"version {number} ({_key_text(wanted.key)}), {column}"
                    self._add(height, f"{where}: {shown(found)}, should be {shown(expected)}")

    def _add(self, height: int, what: str) -> None:
        self._report.add("results", f"height {height}", what)
