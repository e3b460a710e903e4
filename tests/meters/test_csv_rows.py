import pytest

from p2penergy.grid.csv_tables import DataError
from p2penergy.meters import csv_rows
from p2penergy.meters.csv_rows import parse_samples
from p2penergy.meters.samples import Sample

HEAD = b"time,import_wh,export_wh\n"


def test_times_in_both_spellings() -> None:
    batch = parse_samples("m.csv", HEAD + b"1782900900,5,6\n2026-07-01T10:30:00Z,7,8\n", "mark")
    assert batch.samples == (Sample(1782900900, 5, 6), Sample(1782901800, 7, 8))
    assert (batch.problems, batch.mark) == ((), "mark")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"yesterday,1,2", "m.csv, line 2, column time: found 'yesterday'"),
        (b"99999999999999999999,1,2", "column time"),
        (b"1782900900,-1,2", "m.csv, line 2, column import_wh: found '-1'"),
        (b"1782900900,1,", "column export_wh: found ''"),
    ],
)
def test_a_bad_row_costs_itself_only(row: bytes, said: str) -> None:
    batch = parse_samples("m.csv", HEAD + row + b"\n1782900900,5,6\n")
    assert len(batch.samples) == 1
    assert said in batch.problems[0] and len(batch.problems) == 1


@pytest.mark.parametrize("raw", [b"", b"a,b\n1,2\n", HEAD + b"1,2\n", HEAD.replace(b",", b";")])
def test_what_is_no_table_is_an_error(raw: bytes) -> None:
    with pytest.raises(DataError, match=r"m\.csv"):
        parse_samples("m.csv", raw)


def test_many_bad_rows_are_counted_and_many_good_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "PROBLEMS_MAX", 2)
    batch = parse_samples("m.csv", HEAD + b"x,1,1\n" * 5)
    assert batch.problems[-1] == "m.csv: 3 more bad rows"
    monkeypatch.setattr(csv_rows, "BATCH_SAMPLES_MAX", 2)
    with pytest.raises(DataError, match="at most 2"):
        parse_samples("m.csv", HEAD + b"1,1,1\n2,1,1\n3,1,1\n")
