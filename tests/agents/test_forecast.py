import pytest

from p2penergy.agents.forecast import DAYS_BACK_MAX, PERIODS_A_DAY, expected_surplus_wh, parse_energies
from p2penergy.grid.csv_tables import DataError, parse_table

HEAD = b"period_start,import_wh,export_wh\n"


def test_known_figures_come_first_then_the_latest_day() -> None:
    day = PERIODS_A_DAY
    known = {1000: 1, 1000 - day: 2, 1000 - 3 * day: 3}
    assert [expected_surplus_wh(known, period) for period in (1000, 1000 + day, 1001)] == [1, 1, None]
    assert expected_surplus_wh(known, 1000 - 2 * day) == 3
    assert expected_surplus_wh({0: 5}, DAYS_BACK_MAX * day) == 5
    assert expected_surplus_wh({0: 5}, (DAYS_BACK_MAX + 1) * day) is None


def test_a_table_gives_surpluses() -> None:
    rows = b"2016-06-20T00:00Z,5,0\n2016-06-20T00:15Z,0,7\n"
    assert list(parse_energies(parse_table("f.csv", HEAD + rows)).values()) == [-5, 7]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"", "found no rows"),
        (b"2016-06-20T00:01Z,5,0\n", "line 2, column period_start"),
        (b"2016-06-20T00:00Z,-5,0\n", "column import_wh"),
        (b"2016-06-20T00:00Z,5,0\n" * 2, "line 3, column period_start: found 2016-06-20T00:00Z again"),
    ],
)
def test_a_bad_row_is_named(rows: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_energies(parse_table("f.csv", HEAD + rows))
