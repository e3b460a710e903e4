"""Quarters of an hour, their text, and the local days they fill."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid.periods import (
    local_day,
    local_time_text,
    parse_period_start,
    period_start_text,
    period_text,
    periods_of_local_day,
)

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_period_counts_quarters_of_an_hour_from_1970() -> None:
    assert parse_period_start("1970-01-01T00:15Z") == 1
    assert parse_period_start("2016-06-19T22:00:00Z") == 1_466_373_600 // 900
    assert period_start_text(1_466_373_600 // 900) == "2016-06-19T22:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2016-06-19",
        "2016-06-19T22:00",
        "2016-06-19T22:00+00:00",
        "2016-06-19T22:00+02:00",
        "2016-06-19 22:00Z",
        "2016-06-19T22:07Z",
        "2016-06-19T22:00:30Z",
        "2016-02-30T22:00Z",
        "1969-12-31T23:45Z",
        "0000-01-01T00:00Z",
        "20160619T2200Z",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_period_start(text)


@given(st.integers(0, 4_000_000))
def test_text_and_period_are_inverse(period: int) -> None:
    assert parse_period_start(period_start_text(period)) == period


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (1_629_690, "2016-06-23T22:30Z"),
        (281_558_111, "9999-12-31T23:45Z"),
        (281_558_112, "number 281558112"),
        (2**63, f"number {2**63}"),
        (-1, "number -1"),
    ],
)
def test_a_period_that_no_calendar_has_is_told_by_its_number(period: int, text: str) -> None:
    assert period_text(period) == text


@pytest.mark.parametrize(
    ("day", "count"),
    [(date(2016, 6, 23), 96), (date(2016, 3, 27), 92), (date(2016, 10, 30), 100)],
)
def test_a_local_day_has_92_96_or_100_periods(day: date, count: int) -> None:
    periods = periods_of_local_day(day, BERLIN)
    assert len(periods) == count
    assert local_time_text(periods[0], BERLIN) == "00:00"
    assert local_time_text(periods[-1], BERLIN) == "23:45"


@given(
    st.dates(date(1971, 1, 1), date(2035, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Cairo"]),
)
def test_days_follow_one_another_and_hold_their_own_periods(day: date, key: str) -> None:
    zone = ZoneInfo(key)
    periods = periods_of_local_day(day, zone)
    assert periods.stop == periods_of_local_day(day + timedelta(days=1), zone).start
    assert {local_day(period, zone) for period in periods} == {day}
