"""A neighbourhood read from a directory: households, their energies, their feeder, its days.

Here: the only file access of the grid data, and `Neighbourhood`, which joins the tables that the
pure modules beside it parse. Never here: the meaning of a column, trades, power flow.
Owns the invariant that a `Neighbourhood` is whole: the same households in every table, every
period without a gap, every figure checked. Implements LEDGER sections 4.1 and 7 (the data).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from p2penergy.grid.balance import Balance, Expectation, balance_of, parse_expectations
from p2penergy.grid.csv_tables import FILE_BYTES_MAX, DataError, Table, parse_table, quoted
from p2penergy.grid.feeder import Feeder, parse_feeder
from p2penergy.grid.households import Household, parse_ratings, rated_w
from p2penergy.grid.periods import PERIODS_PER_HOUR, local_day, periods_of_local_day
from p2penergy.grid.profiles import Profiles, Reading, parse_profiles

WEEK_FILE: Final = "week.csv"
HOUSEHOLDS_FILE: Final = "households.csv"
FEEDER_FILE: Final = "feeder.csv"
EXPECTED_FILE: Final = "expected_per_period.csv"

TIMEZONE_DEFAULT: Final = "Europe/Berlin"

SAMPLE_DIRECTORY: Final = Path(__file__).parent / "data" / "rural3_june"
SAMPLE_NOTICE: Final = (
    "This file contains information from the SimBench database, which is made available under the ODbL 1.0."
)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Households of one feeder and their energies over a run of periods.

    `periods` are numbers of quarters of an hour (unix seconds // 900); `expectations` is empty
    when the directory has no expected_per_period.csv. `zone` decides where its days begin.
    """

    name: str
    households: tuple[Household, ...]
    profiles: Profiles
    feeder: Feeder
    expectations: tuple[Expectation, ...]
    zone: ZoneInfo

    @property
    def periods(self) -> range:
        """All periods of the data, in order."""
        return self.profiles.periods

    def days(self) -> tuple[date, ...]:
        """Return the local days of which at least one period is in the data, in order."""
        first = local_day(self.periods[0], self.zone)
        last = local_day(self.periods[-1], self.zone)
        return tuple(first + timedelta(days=n) for n in range((last - first).days + 1))

    def periods_of_day(self, day: date) -> tuple[int, ...]:
        """Return the periods of a local day that are in the data, in order.

        Raises `DataError` for a day of which there is none, and says which days there are.
        """
        wanted = periods_of_local_day(day, self.zone)
        start = max(wanted.start, self.periods.start)
        stop = min(wanted.stop, self.periods.stop)
        if start >= stop:
            days = self.days()
            raise DataError(
                self.name,
                f"found no data of {day.isoformat()}, expected a day from {days[0].isoformat()} "
                f"to {days[-1].isoformat()} ({self.zone.key})",
            )
        return tuple(range(start, stop))

    def readings(self, period: int) -> tuple[Reading, ...]:
        """Return every household's reading, in the order of `households`.

        Raises `ValueError` when the period is not one of `periods`.
        """
        return tuple(self.profiles.reading(h.name, period) for h in self.households)

    def balance(self, period: int) -> Balance:
        """Return surplus, deficit and tradable energy of a period."""
        return balance_of(self.readings(period))

    def surpluses(self, period: int) -> dict[str, int]:
        """Return the exported Wh of those households that have some to sell."""
        return {r.household: r.export_wh for r in self.readings(period) if r.export_wh}

    def deficits(self, period: int) -> dict[str, int]:
        """Return the imported Wh of those households that need some."""
        return {r.household: r.import_wh for r in self.readings(period) if r.import_wh}

    def injections_w(self, period: int) -> dict[int, int]:
        """Return the mean power in W that flows into each household's node (negative: drawn)."""
        node_of = self.feeder.node_of
        return {
            node_of[r.household]: (r.export_wh - r.import_wh) * PERIODS_PER_HOUR
            for r in self.readings(period)
        }


def load_sample(timezone: str = TIMEZONE_DEFAULT) -> Neighbourhood:
    """Load the built-in week of 118 households; `SAMPLE_NOTICE` belongs on what is made of it."""
    return load_neighbourhood(SAMPLE_DIRECTORY, timezone)


def load_neighbourhood(directory: Path, timezone: str = TIMEZONE_DEFAULT) -> Neighbourhood:
    """Load week.csv, households.csv, feeder.csv and, if present, expected_per_period.csv.

    Raises `DataError`, one sentence that names file, line and column, for anything unusable.
    """
    zone = _zone(timezone)
    ratings = parse_ratings(_read_table(directory / HOUSEHOLDS_FILE))
    profiles = parse_profiles(_read_table(directory / WEEK_FILE), ratings)
    feeder = parse_feeder(_read_table(directory / FEEDER_FILE), (r.name for r in ratings))
    households = tuple(
        Household(r.name, r.load_w, r.pv_w, rated_w(r.load_w, r.pv_w, profiles.peak_w(r.name)))
        for r in ratings
    )
    expectations: tuple[Expectation, ...] = ()
    if (directory / EXPECTED_FILE).exists():
        expectations = parse_expectations(
            _read_table(directory / EXPECTED_FILE),
            profiles.periods,
            lambda period: balance_of(profiles.reading(r.name, period) for r in ratings),
        )
    return Neighbourhood(directory.resolve().name, households, profiles, feeder, expectations, zone)


def _read_table(path: Path) -> Table:
    file = str(path)
    if not path.parent.is_dir():
        raise DataError(str(path.parent), f"found no such directory, expected one with {path.name}")
    if not path.is_file():  # also keeps a pipe or a device from blocking the reader
        raise DataError(file, "found no such file, expected it beside the other tables")
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise DataError(
            file, f"found a file that can't be read ({error.strerror}), expected a readable one"
        ) from None
    return parse_table(file, raw)


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):
        if not available_timezones():
            raise DataError(
                "time zone database",
                "found none on this machine, expected the system's or the Python package: "
                "run `pip install tzdata`",
            ) from None
        raise DataError(
            "time zone", f"found {quoted(timezone)}, expected a name such as {TIMEZONE_DEFAULT}"
        ) from None
