"""Energies of week.csv, and readings netted within a period."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid import profiles
from p2penergy.grid.csv_tables import DataError, parse_table
from p2penergy.grid.households import Rating
from p2penergy.grid.profiles import ENERGY_WH_MAX, Profiles, Reading, net_reading, parse_profiles

RATINGS = (Rating("a", 2000, 5000), Rating("b", 2000, 0))
HEADER = "period_start,a_load_wh,b_load_wh,a_pv_wh\n"


def parse(text: str, ratings: tuple[Rating, ...] = RATINGS) -> Profiles:
    return parse_profiles(parse_table("week.csv", text.encode()), ratings)


def test_columns_may_stand_in_any_order() -> None:
    got = parse("a_pv_wh,b_load_wh,period_start,a_load_wh\n50,7,1970-01-01T00:00Z,20\n")
    assert got.periods == range(1)
    assert got.reading("a", 0) == Reading("a", 0, 0, 30)
    assert got.reading("b", 0) == Reading("b", 0, 7, 0)


def test_names_that_look_like_suffixes_are_kept_apart() -> None:
    ratings = (Rating("a", 1, 1), Rating("a_pv_wh", 1, 0))
    header = "period_start,a_load_wh,a_pv_wh,a_pv_wh_load_wh\n"
    got = parse(header + "1970-01-01T00:00Z,1,2,3\n", ratings)
    assert got.reading("a_pv_wh", 0).import_wh == 3
    assert got.reading("a", 0).export_wh == 1


def test_the_peak_is_the_highest_mean_power_of_load_or_pv() -> None:
    got = parse(HEADER + "1970-01-01T00:00Z,20,30,50\n1970-01-01T00:15Z,10,40,0\n")
    assert (got.peak_w("a"), got.peak_w("b")) == (200, 160)


def test_a_period_outside_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match="not in range"):
        parse(HEADER + "1970-01-01T00:00Z,20,30,50\n").reading("a", 1)


@given(st.integers(0, ENERGY_WH_MAX), st.integers(0, ENERGY_WH_MAX))
def test_netting_keeps_the_difference_and_one_side_only(load_wh: int, pv_wh: int) -> None:
    got = net_reading("a", 1, load_wh, pv_wh)
    assert got.export_wh - got.import_wh == pv_wh - load_wh
    assert min(got.export_wh, got.import_wh) == 0


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ("1970-01-01T00:30Z", "expected 1970-01-01T00:15Z: periods must follow"),  # a gap
        ("1970-01-01T00:00Z", "expected 1970-01-01T00:15Z: periods must follow"),  # twice
        ("1970-01-01T01:15+01:00", "in UTC like"),
        ("1970-01-01T00:20Z", "a quarter of an hour"),
        ("yesterday", "found 'yesterday'"),
    ],
)
def test_a_period_out_of_place_is_refused(second: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(HEADER + f"1970-01-01T00:00Z,1,1,1\n{second},1,1,1\n")
    assert (caught.value.line, caught.value.column) == (3, "period_start")
    assert what in str(caught.value)


@pytest.mark.parametrize("cell", ["-1", "1.5", "", str(ENERGY_WH_MAX + 1)])
def test_an_energy_that_is_no_whole_number_in_range_is_refused(cell: str) -> None:
    with pytest.raises(DataError, match=r"line 2, column b_load_wh: .* from 0 to 1000000"):
        parse(HEADER + f"1970-01-01T00:00Z,1,{cell},1\n")


@pytest.mark.parametrize(
    ("header", "column", "what"),
    [
        ("period_start,a_load_wh,b_load_wh,a_pv_wh,c_load_wh", "c_load_wh", "household 'c'"),
        ("period_start,a_load_wh,b_load_wh,a_pv_wh,b_pv_wh", "b_pv_wh", "b has pv_kw 0"),
        ("period_start,a_load_wh,a_pv_wh", "b_load_wh", "found no such column"),
        ("period_start,a_load_wh,b_load_wh", "a_pv_wh", "with pv_kw above 0"),
        ("a_load_wh,b_load_wh,a_pv_wh", None, "column period_start is missing"),
        ("period_start,a_load_wh,b_load_wh,a_pv_wh,note", None, "unknown column 'note'"),
        ("period_start;a_load_wh;b_load_wh;a_pv_wh", None, "separated by semicolons"),
    ],
)
def test_columns_must_be_those_of_the_households(header: str, column: str | None, what: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(header + "\n")
    assert (caught.value.line, caught.value.column) == (1, column)
    assert what in str(caught.value)


def test_no_period_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="found no rows, expected at least one period"):
        parse(HEADER)
    monkeypatch.setattr(profiles, "PERIODS_MAX", 1)
    with pytest.raises(DataError, match=r"line 3, .* expected at most 1"):
        parse(HEADER + "1970-01-01T00:00Z,1,1,1\n1970-01-01T00:15Z,1,1,1\n")
