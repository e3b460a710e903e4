"""Balances of a period, and the file that foretells them."""

import pytest

from p2penergy.grid.balance import Balance, balance_of, parse_expectations
from p2penergy.grid.csv_tables import DataError, parse_table
from p2penergy.grid.profiles import Reading

HEADER = "period_start,local,surplus,deficit,pairs,surplus_wh,deficit_wh,tradable_wh,matches\n"
BALANCE = Balance(surplus_count=1, deficit_count=2, surplus_wh=50, deficit_wh=40)
FIRST = "1970-01-01T00:00Z,01:00,1,2,2,50,40,40,3\n"
SECOND = "1970-01-01T00:15Z,01:15,1,2,2,50,40,40,2\n"


def parse(rows: str) -> list[int]:
    table = parse_table("expected.csv", (HEADER + rows).encode())
    return [e.matches for e in parse_expectations(table, range(2), lambda _: BALANCE)]


def test_a_balance_counts_and_sums_both_sides() -> None:
    readings = [Reading("a", 0, 0, 50), Reading("b", 0, 15, 0), Reading("c", 0, 25, 0)]
    balance = balance_of([*readings, Reading("d", 0, 0, 0)])
    assert balance == BALANCE
    assert (balance.pairs, balance.tradable_wh) == (2, 40)
    assert balance_of([]) == Balance(0, 0, 0, 0)


def test_a_true_expectation_is_read() -> None:
    assert parse(FIRST + SECOND) == [3, 2]


@pytest.mark.parametrize("column", range(2, 8))
def test_a_figure_that_the_readings_dont_bear_out_is_refused(column: int) -> None:
    cells = SECOND.strip().split(",")
    cells[column] = "9"
    with pytest.raises(DataError, match=r"line 3, .* found 9, expected .* as week.csv adds up") as e:
        parse(FIRST + ",".join(cells) + "\n")
    assert e.value.column == HEADER.strip().split(",")[column]


@pytest.mark.parametrize("rows", [SECOND + FIRST, FIRST + FIRST, FIRST + SECOND + SECOND])
def test_periods_must_be_those_of_the_week_in_order(rows: str) -> None:
    with pytest.raises(DataError, match=r"expected the periods of week.csv in order"):
        parse(rows)


def test_a_missing_period_is_named() -> None:
    with pytest.raises(DataError, match="no row for 1970-01-01T00:15Z"):
        parse(FIRST)
