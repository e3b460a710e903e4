"""Strict CSV tables whose every complaint names the file, the line and the column.

Here: bytes -> `Table` -> `Row`, and `DataError`, the one error of the data of a neighbourhood.
Never here: reading files (neighbourhood.py does), or what a column means.
Owns the invariant that a cell is only ever used after it has been checked, and that the line in a
message is the one an editor shows, blank lines, quotes and byte-order mark included.
Implements the input side of LEDGER section 7.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

FILE_BYTES_MAX: Final = 32 * 1024 * 1024  # a year of 118 households takes 15 MB
COLUMNS_MAX: Final = 2_001  # period_start, and load and PV of a thousand households
COLUMNS_LISTED_MAX: Final = 10  # in one message
FOUND_CHARS_MAX: Final = 40  # of a bad cell, quoted in a message

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_KILO: Final = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?", re.ASCII)


class DataError(ValueError):
    """Data of a neighbourhood that can't be used: one sentence that says where and why.

    `file` is the path as the reader gave it; `line` counts from 1 as an editor does.
    """

    def __init__(
        self, file: str, problem: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        where = file
        if line is not None:
            where += f", line {line}"
        if column is not None:
            where += f", column {column}"
        super().__init__(f"{where}: {problem}")


def quoted(found: str) -> str:
    """Quote what was found, shortened so that a message stays one sentence."""
    if len(found) > FOUND_CHARS_MAX:
        return repr(found[:FOUND_CHARS_MAX]) + "..."
    return repr(found)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its cells as text, the line it starts on, and where each column stands."""

    file: str
    line: int
    cells: tuple[str, ...]
    positions: Mapping[str, int]

    def error(self, column: str, problem: str) -> DataError:
        """Build (not raise) the error for this row's cell in `column`."""
        return DataError(self.file, problem, line=self.line, column=column)

    def text(self, column: str) -> str:
        """Return the cell, or an empty string when the table lacks this optional column."""
        position = self.positions.get(column)
        return "" if position is None else self.cells[position]

    def integer(self, column: str, low: int, high: int) -> int:
        """Return the cell as a whole number in `low..high`; raises `DataError`."""
        found = self.text(column)
        if _INTEGER.fullmatch(found) is None or not low <= int(found) <= high:
            raise self.error(column, f"found {quoted(found)}, expected a whole number from {low} to {high}")
        return int(found)

    def kilo(self, column: str) -> int:
        """Return a cell in kW as whole W (`6.56` is 6560); raises `DataError`.

        Read digit by digit, never as a floating-point number, so that it is exact.
        """
        found = self.text(column)
        match = _KILO.fullmatch(found)
        if match is None:
            raise self.error(
                column,
                f"found {quoted(found)}, expected kW from 0 to 999999.999 with a decimal point "
                "and at most three decimals",
            )
        return int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0"))


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file with a header: its name, its columns, and its rows on demand."""

    file: str
    columns: tuple[str, ...]
    _text: str

    def require_columns(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Raise `DataError` unless the columns are all of `required` and else only `optional`."""
        for column in required:
            if column not in self.columns:
                raise DataError(
                    self.file,
                    f"column {column} is missing, expected the columns {_listed(required)}"
                    + self._separator_hint(),
                    line=1,
                )
        for column in self.columns:
            if column not in required and column not in optional:
                raise DataError(
                    self.file,
                    f"found the unknown column {quoted(column)}, "
                    f"expected only {_listed([*required, *optional])}",
                    line=1,
                )

    def rows(self) -> Iterator[Row]:
        """Yield the records below the header one by one; blank lines are passed over.

        Lazily, so that a year of data is never held as text cells. Raises `DataError` for a record
        with too few or too many cells or with broken quotes.
        """
        positions = {column: position for position, column in enumerate(self.columns)}
        for line, cells in _records(self.file, self._text, skip_header=True):
            if len(cells) != len(self.columns):
                raise DataError(
                    self.file,
                    f"found {len(cells)} cells, expected {len(self.columns)} as in the header",
                    line=line,
                )
            yield Row(self.file, line, tuple(cells), positions)

    def _separator_hint(self) -> str:
        wrong = {";": "semicolons", "\t": "tabs"}
        if len(self.columns) == 1:
            for separator, name in wrong.items():
                if separator in self.columns[0]:
                    return f" (the cells seem to be separated by {name}; save it with commas)"
        return ""


def parse_table(file: str, raw: bytes) -> Table:
    """Read a CSV file's bytes: UTF-8, commas, a header of distinct names; raises `DataError`.

    `file` is only used in messages. Cells are checked later, by `Row`.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise DataError(file, f"found more than {FILE_BYTES_MAX} bytes, expected at most {FILE_BYTES_MAX}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            file,
            f"found the byte 0x{raw[error.start]:02x}, expected text in UTF-8",
            line=raw.count(b"\n", 0, error.start) + 1,
        ) from None
    header = next(_records(file, text, skip_header=False), None)
    if header is None:
        raise DataError(file, "found an empty file, expected a header line and rows")
    line, columns = header
    if len(columns) > COLUMNS_MAX:
        raise DataError(file, f"found {len(columns)} columns, expected at most {COLUMNS_MAX}", line=line)
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            raise DataError(file, f"found the column {quoted(column)} twice, expected it once", line=line)
        seen.add(column)
    return Table(file, tuple(columns), text)


def _listed(columns: Collection[str]) -> str:
    names = list(columns)
    more = len(names) - COLUMNS_LISTED_MAX
    return ", ".join(names[:COLUMNS_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _records(file: str, text: str, *, skip_header: bool) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                file, f"found a broken record ({error}), expected comma-separated cells", line=line
            ) from None
        if cells is None:
            return
        if cells and not skip_header:
            yield line, cells
        elif cells:
            skip_header = False
        # A quoted cell may span lines: a record starts where the one before it ended.
        line = reader.line_num + 1
