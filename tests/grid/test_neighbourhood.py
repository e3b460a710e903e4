"""The built-in week, a small neighbourhood from a directory, and what is refused there."""

import csv
import os
import zoneinfo
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from p2penergy.grid import neighbourhood as module
from p2penergy.grid.csv_tables import DataError
from p2penergy.grid.households import Household
from p2penergy.grid.neighbourhood import (
    SAMPLE_DIRECTORY,
    SAMPLE_NOTICE,
    Neighbourhood,
    load_neighbourhood,
    load_sample,
)
from p2penergy.grid.periods import local_time_text, parse_period_start, period_start_text
from p2penergy.grid.profiles import Reading


@pytest.fixture(scope="module")
def sample() -> Neighbourhood:
    return load_sample()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "households.csv").write_text("household,load_kw,pv_kw\nleft,2,5\nright,3,0\n")
    (tmp_path / "feeder.csv").write_text(
        "node,parent,r_uohm,x_uohm,i_max_a,household\n"
        "0,-1,4800,23515,577,\n1,0,2439,949,270,left\n2,1,2439,949,270,right\n"
    )
    (tmp_path / "week.csv").write_text(
        "period_start,left_load_wh,right_load_wh,left_pv_wh\n"
        "2016-06-22T21:45Z,100,200,40\n2016-06-22T22:00Z,100,200,400\n"
    )
    return tmp_path


def test_the_sample_is_the_week_it_says(sample: Neighbourhood) -> None:
    assert sample.name == "rural3_june"
    assert len(sample.households) == 118
    assert sum(1 for household in sample.households if household.pv_w) == 17
    assert len(sample.feeder.branches) == 128
    assert period_start_text(sample.periods[0]) == "2016-06-19T22:00Z"
    assert len(sample.periods) == len(sample.expectations) == 672
    assert sample.days() == tuple(date(2016, 6, day) for day in range(20, 27))


def test_the_sample_trades_what_it_should(sample: Neighbourhood) -> None:
    def tradable_wh(periods: tuple[int, ...] | range) -> int:
        return sum(sample.balance(period).tradable_wh for period in periods)

    assert tradable_wh(sample.periods_of_day(date(2016, 6, 23))) == 373_549
    assert tradable_wh(sample.periods) == 1_619_328


def test_every_period_of_the_sample_is_as_its_file_foretells(sample: Neighbourhood) -> None:
    """Read the file once more, by other means than the loader that checks it."""
    with (SAMPLE_DIRECTORY / "expected_per_period.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(sample.periods)
    for row, period in zip(rows, sample.periods, strict=True):
        balance = sample.balance(period)
        assert parse_period_start(row["period_start"]) == period
        assert local_time_text(period, sample.zone) == row["local"]
        assert balance.surplus_wh == int(row["surplus_wh"])
        assert balance.deficit_wh == int(row["deficit_wh"])
        assert balance.tradable_wh == int(row["tradable_wh"])


def test_no_reading_of_the_sample_is_above_the_rated_power(sample: Neighbourhood) -> None:
    rated_w = {household.name: household.rated_w for household in sample.households}
    for period in sample.periods:
        for reading in sample.readings(period):
            assert max(reading.import_wh, reading.export_wh) * 4 <= rated_w[reading.household]


def test_the_licence_notice_lies_with_the_sample() -> None:
    assert SAMPLE_NOTICE in (SAMPLE_DIRECTORY / "README.md").read_text()


def test_a_small_neighbourhood(small: Path) -> None:
    two = load_neighbourhood(small)
    assert two.name == small.name
    assert two.households == (
        Household("left", 2000, 5000, 7000),
        Household("right", 3000, 0, 4000),
    )
    first, second = two.periods
    assert two.readings(first) == (Reading("left", first, 60, 0), Reading("right", first, 200, 0))
    assert two.surpluses(first) == {}
    assert two.surpluses(second) == {"left": 300}
    assert two.deficits(second) == {"right": 200}
    assert two.injections_w(second) == {1: 1200, 2: -800}
    assert two.expectations == ()


def test_days_are_local(small: Path) -> None:
    berlin = load_neighbourhood(small)
    assert berlin.days() == (date(2016, 6, 22), date(2016, 6, 23))
    assert berlin.periods_of_day(date(2016, 6, 23)) == (berlin.periods[1],)
    lisbon = load_neighbourhood(small, "Europe/Lisbon")
    assert lisbon.days() == (date(2016, 6, 22),)
    assert lisbon.periods_of_day(date(2016, 6, 22)) == tuple(lisbon.periods)


def test_a_day_without_data_is_refused_and_the_days_named(small: Path) -> None:
    with pytest.raises(DataError, match=r"2016-06-24, .* from 2016-06-22 to 2016-06-23"):
        load_neighbourhood(small).periods_of_day(date(2016, 6, 24))


@pytest.mark.parametrize("day", [date(2016, 6, 19), date(2016, 6, 27)])
def test_the_days_next_to_the_data_are_refused_too(sample: Neighbourhood, day: date) -> None:
    with pytest.raises(DataError, match="from 2016-06-20 to 2016-06-26"):
        sample.periods_of_day(day)


def test_a_period_without_data_is_refused(small: Path) -> None:
    with pytest.raises(ValueError, match="not in range"):
        load_neighbourhood(small).readings(7)


@pytest.mark.parametrize("name", ["week.csv", "households.csv", "feeder.csv"])
@pytest.mark.parametrize("make", [None, Path.mkdir, os.mkfifo])
def test_a_missing_file_is_refused(small: Path, name: str, make: Callable[[Path], None] | None) -> None:
    (small / name).unlink()
    if make is not None:
        make(small / name)
    with pytest.raises(DataError, match=f"{name}: found no such file"):
        load_neighbourhood(small)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: found no such directory"):
        load_neighbourhood(tmp_path / "nowhere")


def test_a_file_that_cant_be_read_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"can't be read \(Permission denied\)"):
        load_neighbourhood(small)


def test_too_large_a_file_is_refused_without_being_read_whole(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 20)
    monkeypatch.setattr("p2penergy.grid.csv_tables.FILE_BYTES_MAX", 20)
    with pytest.raises(DataError, match=r"households.csv: found more than 20 bytes"):
        load_neighbourhood(small)


def test_an_expectation_is_checked_when_there_is_one(small: Path) -> None:
    expected = small / "expected_per_period.csv"
    header = "period_start,surplus,deficit,pairs,surplus_wh,deficit_wh,tradable_wh,matches\n"
    first = "2016-06-22T21:45Z,0,2,0,0,260,0,0\n"
    expected.write_text(header + first + "2016-06-22T22:00Z,1,1,1,300,200,200,1\n")
    assert [e.matches for e in load_neighbourhood(small).expectations] == [0, 1]
    expected.write_text(header + first + "2016-06-22T22:00Z,1,1,1,300,200,199,1\n")
    with pytest.raises(DataError, match="line 3, column tradable_wh: found 199, expected 200"):
        load_neighbourhood(small)


@pytest.mark.parametrize("timezone", ["Europe/Berlni", "", "../etc/passwd", "/etc/passwd", "Europe"])
def test_an_unknown_time_zone_is_refused(small: Path, timezone: str) -> None:
    with pytest.raises(DataError, match="expected a name such as Europe/Berlin"):
        load_neighbourhood(small, timezone)


def test_without_a_time_zone_database_the_package_is_named(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(key: str) -> zoneinfo.ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(module, "ZoneInfo", missing)
    monkeypatch.setattr(module, "available_timezones", set)
    with pytest.raises(DataError, match="pip install tzdata"):
        load_neighbourhood(small)
