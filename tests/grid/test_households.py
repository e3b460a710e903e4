"""Names and rated powers of households.csv."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid import households
from p2penergy.grid.csv_tables import DataError, parse_table
from p2penergy.grid.households import Rating, parse_ratings, rated_w


def parse(text: str) -> tuple[Rating, ...]:
    return parse_ratings(parse_table("households.csv", text.encode()))


def test_ratings_are_read_in_the_order_of_the_file() -> None:
    text = "household,load_kw,pv_kw,bus\nz,2.0,0.0,x\na-1,3,6.56,\n"
    assert parse(text) == (Rating("z", 2000, 0), Rating("a-1", 3000, 6560))


@pytest.mark.parametrize("name", ["", " a", "a b", "ä", "../a", "-a", "_a", "a,b", "x" * 33, "a."])
def test_a_name_that_is_no_short_identifier_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"line 2, column household: found .* expected a name of 1"):
        parse(f'household,load_kw,pv_kw\n"{name}",2,0\n')


@pytest.mark.parametrize("again", ["a", "A"])
def test_a_name_twice_is_refused_whatever_its_case(again: str) -> None:
    with pytest.raises(DataError, match=r"line 4, column household: .* again after line 2"):
        parse(f"household,load_kw,pv_kw\na,2,0\nb,2,0\n{again},2,0\n")


def test_no_household_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="found no rows, expected at least one household"):
        parse("household,load_kw,pv_kw\n")
    monkeypatch.setattr(households, "HOUSEHOLDS_MAX", 2)
    with pytest.raises(DataError, match=r"line 4, .* expected at most 2"):
        parse("household,load_kw,pv_kw\na,2,0\nb,2,0\nc,2,0\n")


@pytest.mark.parametrize(
    ("load_w", "pv_w", "peak_w", "expected_w"),
    [(0, 0, 0, 1000), (2000, 0, 0, 3000), (4000, 0, 0, 5000), (2000, 6560, 0, 9000),
     (2000, 0, 8001, 11000)],
)  # fmt: skip
def test_rated_power_by_example(load_w: int, pv_w: int, peak_w: int, expected_w: int) -> None:
    assert rated_w(load_w, pv_w, peak_w) == expected_w


@given(*[st.integers(0, 10**9)] * 3)
def test_rated_power_leaves_a_quarter_above_everything_seen(load: int, pv: int, peak: int) -> None:
    rated = rated_w(load, pv, peak)
    assert rated * 100 >= 125 * max(load, pv, peak)
    assert rated % 1000 == 0
    assert rated < 1.25 * max(load, pv, peak) + 1001
