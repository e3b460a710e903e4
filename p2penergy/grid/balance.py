"""The energy balance of a neighbourhood in one period, and the optional file that foretells it.

Here: `Balance` from readings, and expected_per_period.csv, which is checked against the week.
Never here: who trades with whom (market/bilateral.py), so `matches` is only carried along.
Owns the invariant that an expectation which is kept is one that the readings fulfil.
Implements the checking figures of LEDGER section 7.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from p2penergy.grid.csv_tables import DataError, Table
from p2penergy.grid.periods import period_start_text
from p2penergy.grid.profiles import ENERGY_WH_MAX, Reading, read_period_start

EXPECTED_COLUMNS: Final = (
    "period_start",
    "surplus",
    "deficit",
    "pairs",
    "surplus_wh",
    "deficit_wh",
    "tradable_wh",
    "matches",
)
EXPECTED_COLUMNS_OPTIONAL: Final = ("local",)

_FIGURE_MAX: Final = 1_000 * ENERGY_WH_MAX


@dataclass(frozen=True, slots=True)
class Balance:
    """Of one period: how many households have surplus and deficit, and their sums in Wh."""

    surplus_count: int
    deficit_count: int
    surplus_wh: int
    deficit_wh: int

    @property
    def pairs(self) -> int:
        """Number of pairs of a seller and a buyer that could agree."""
        return self.surplus_count * self.deficit_count

    @property
    def tradable_wh(self) -> int:
        """Energy in Wh that can change hands inside the neighbourhood."""
        return min(self.surplus_wh, self.deficit_wh)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What expected_per_period.csv foretells of a period: its balance and the merit-order count."""

    period: int
    balance: Balance
    matches: int


def balance_of(readings: Iterable[Reading]) -> Balance:
    """Sum the readings of one period."""
    surpluses_wh: list[int] = []
    deficits_wh: list[int] = []
    for reading in readings:
        if reading.export_wh:
            surpluses_wh.append(reading.export_wh)
        if reading.import_wh:
            deficits_wh.append(reading.import_wh)
    return Balance(len(surpluses_wh), len(deficits_wh), sum(surpluses_wh), sum(deficits_wh))


def parse_expectations(
    table: Table, periods: range, balance: Callable[[int], Balance]
) -> tuple[Expectation, ...]:
    """Read expected_per_period.csv: one row for each of `periods`, in order, each figure true.

    `balance` gives the true one. Raises `DataError` at the first row that says otherwise; only
    `matches` is taken as it is.
    """
    table.require_columns(EXPECTED_COLUMNS, EXPECTED_COLUMNS_OPTIONAL)
    expectations: list[Expectation] = []
    for row in table.rows():
        period = read_period_start(row)
        if len(expectations) == len(periods) or period != periods[len(expectations)]:
            raise row.error(
                "period_start",
                f"found {row.text('period_start')}, expected the periods of week.csv in order",
            )
        true = balance(period)
        figures = {
            "surplus": true.surplus_count,
            "deficit": true.deficit_count,
            "pairs": true.pairs,
            "surplus_wh": true.surplus_wh,
            "deficit_wh": true.deficit_wh,
            "tradable_wh": true.tradable_wh,
        }
        for column, figure in figures.items():
            found = row.integer(column, 0, _FIGURE_MAX)
            if found != figure:
                raise row.error(column, f"found {found}, expected {figure} as week.csv adds up")
        expectations.append(Expectation(period, true, row.integer("matches", 0, _FIGURE_MAX)))
    if len(expectations) < len(periods):
        missing = period_start_text(periods[len(expectations)])
        raise DataError(table.file, f"found no row for {missing}, expected every period of week.csv")
    return tuple(expectations)
