"""Strict tables: what is read, and the line and column that every complaint names."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid import csv_tables
from p2penergy.grid.csv_tables import DataError, Row, parse_table


def only_row(raw: bytes) -> Row:
    (row,) = parse_table("t.csv", raw).rows()
    return row


def complaint(action: Callable[[], object]) -> DataError:
    with pytest.raises(DataError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    "raw", [b"a,b\n1,2\n", b"\xef\xbb\xbfa,b\r\n1,2\r\n", b'a,b\n"1","2"', b"\n\na,b\n\n1,2\n\n"]
)
def test_common_spellings_of_one_table_read_alike(raw: bytes) -> None:
    row = only_row(raw)
    assert (row.integer("a", 0, 9), row.integer("b", 0, 9)) == (1, 2)


@pytest.mark.parametrize(
    ("raw", "line"),
    [(b"a\n1\nx\n", 3), (b"a\n\n\nx\n", 4), (b'a\n"x\ny"\n', 2), (b'a,b\n1,"2\n2"\nx,1\n', 4)],
)
def test_the_line_is_the_one_an_editor_shows(raw: bytes, line: int) -> None:
    table = parse_table("t.csv", raw)
    error = complaint(lambda: [row.integer("a", 0, 9) for row in table.rows()])
    assert (error.line, error.column) == (line, "a")


@pytest.mark.parametrize(
    "cell", ["", " ", "-1", "10", "1.0", "1e0", "+1", "1_0", " 1", "x", "0x1", "٣", "9" * 30, "²"]
)
def test_what_is_no_whole_number_in_the_range_is_refused(cell: str) -> None:
    row = only_row(f'a,b\n"{cell}",0\n'.encode())
    error = complaint(lambda: row.integer("a", 0, 9))
    assert str(error) == (f"t.csv, line 2, column a: found {cell!r}, expected a whole number from 0 to 9")


def test_both_ends_of_the_range_are_allowed() -> None:
    row = only_row(b"a,b\n3,5\n")
    assert (row.integer("a", 3, 5), row.integer("b", 3, 5)) == (3, 5)


def test_a_negative_number_is_read_where_it_is_allowed() -> None:
    assert only_row(b"a\n-1\n").integer("a", -1, 9) == -1


@pytest.mark.parametrize(
    ("cell", "watts"), [("0", 0), ("3.0", 3000), ("6.56", 6560), ("0.001", 1), ("12", 12000)]
)
def test_kilowatts_are_read_exactly(cell: str, watts: int) -> None:
    assert only_row(f"a\n{cell}\n".encode()).kilo("a") == watts


@pytest.mark.parametrize("cell", ["x", "-1", "1,5", "1.0000", ".5", "5.", "1e3", "1234567", "nan"])
def test_what_is_no_kilowatts_is_refused(cell: str) -> None:
    row = only_row(f'a\n"{cell}"\n'.encode())
    assert "expected kW from 0 to 999999.999" in str(complaint(lambda: row.kilo("a")))


def test_a_long_cell_is_shortened_in_the_message() -> None:
    row = only_row(b"a\n" + b"x" * 1000 + b"\n")
    assert len(str(complaint(lambda: row.integer("a", 0, 9)))) < 150


def test_an_optional_column_that_is_absent_is_empty() -> None:
    assert only_row(b"a\n1\n").text("note") == ""


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(raw: bytes) -> None:
    assert "found an empty file" in str(complaint(lambda: parse_table("t.csv", raw)))


def test_another_encoding_is_refused_with_the_line_of_the_byte() -> None:
    error = complaint(lambda: parse_table("t.csv", b"a\n1\nM\xfcller\n"))
    assert str(error) == "t.csv, line 3: found the byte 0xfc, expected text in UTF-8"
    assert "0xff" in str(complaint(lambda: parse_table("t.csv", "a\n1\n".encode("utf-16"))))


def test_a_doubled_column_is_refused() -> None:
    error = complaint(lambda: parse_table("t.csv", b"a,b,a\n"))
    assert str(error) == "t.csv, line 1: found the column 'a' twice, expected it once"


def test_a_file_or_a_header_beyond_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tables, "COLUMNS_MAX", 2)
    parse_table("t.csv", b"a,b\n")
    assert "found 3 columns, expected at most 2" in str(complaint(lambda: parse_table("t.csv", b"a,b,c\n")))
    monkeypatch.setattr(csv_tables, "FILE_BYTES_MAX", 4)
    parse_table("t.csv", b"a\n1\n")
    assert "more than 4 bytes" in str(complaint(lambda: parse_table("t.csv", b"a\n1\n\n")))


@pytest.mark.parametrize("record", [b"1\n", b"1,2,3\n"])
def test_a_record_of_another_length_than_the_header_is_refused(record: bytes) -> None:
    table = parse_table("t.csv", b"a,b\n1,2\n" + record)
    error = complaint(lambda: list(table.rows()))
    assert error.line == 3
    assert "expected 2 as in the header" in str(error)


@pytest.mark.parametrize("record", [b'"1\n', b'"1"x\n'])
def test_broken_quotes_are_refused(record: bytes) -> None:
    table = parse_table("t.csv", b"a\n1\n" + record)
    error = complaint(lambda: list(table.rows()))
    assert error.line == 3
    assert "broken record" in str(error)


def test_a_missing_column_is_named_and_a_foreign_separator_hinted_at() -> None:
    table = parse_table("t.csv", b"a\n")
    assert str(complaint(lambda: table.require_columns(["a", "b"]))) == (
        "t.csv, line 1: column b is missing, expected the columns a, b"
    )
    table = parse_table("t.csv", b"a;b\n")
    assert "separated by semicolons" in str(complaint(lambda: table.require_columns(["a", "b"])))


def test_an_unknown_column_is_named_and_a_long_list_cut() -> None:
    table = parse_table("t.csv", b"a,zz\n")
    table.require_columns(["a"], ["zz"])
    assert str(complaint(lambda: table.require_columns(["a"], ["b"]))) == (
        "t.csv, line 1: found the unknown column 'zz', expected only a, b"
    )
    many = [f"c{n}" for n in range(30)]
    assert "and 21 more" in str(complaint(lambda: table.require_columns(["a"], many)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_data_error(raw: bytes) -> None:
    try:
        list(parse_table("t.csv", raw).rows())
    except DataError as error:
        assert str(error).startswith("t.csv")
