"""Energy profiles: what each household used and generated in every period, and its reading.

Here: `Reading` (netted within the period only), `Profiles`, and the reading of week.csv.
Never here: days and time zones (periods.py), or trades.
Owns the invariants that periods follow one another without a gap and that exactly the households
with PV have a PV column. Implements the readings of LEDGER section 4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from p2penergy.grid.csv_tables import DataError, Row, Table, quoted
from p2penergy.grid.households import Rating
from p2penergy.grid.periods import PERIODS_PER_HOUR, parse_period_start, period_start_text

PERIODS_MAX: Final = 35_140  # a leap year of 366 days of 96, and its change of clocks
ENERGY_WH_MAX: Final = 1_000_000  # per column and period: 4 MW, above any low-voltage connection

_LOAD: Final = "_load_wh"
_PV: Final = "_pv_wh"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter signs for one period: energy drawn and fed in, in Wh; one of them is zero."""

    household: str
    period: int
    import_wh: int
    export_wh: int


def net_reading(household: str, period: int, load_wh: int, pv_wh: int) -> Reading:
    """Net load and PV within the period, never across periods (LEDGER section 4.1)."""
    return Reading(household, period, max(load_wh - pv_wh, 0), max(pv_wh - load_wh, 0))


@dataclass(frozen=True, slots=True)
class Profiles:
    """Energies in Wh per household, one value per period; `pv_wh` only for those with PV."""

    periods: range
    load_wh: Mapping[str, tuple[int, ...]]
    pv_wh: Mapping[str, tuple[int, ...]]

    def peak_w(self, household: str) -> int:
        """Return the highest mean power in W, of load or of PV, in any period."""
        peak_wh = max(self.load_wh[household] + self.pv_wh.get(household, ()))
        return peak_wh * PERIODS_PER_HOUR

    def reading(self, household: str, period: int) -> Reading:
        """Return a household's reading; the period must be one of `periods`."""
        position = self.periods.index(period)
        pv_wh = self.pv_wh.get(household)
        return net_reading(
            household,
            period,
            self.load_wh[household][position],
            0 if pv_wh is None else pv_wh[position],
        )


def parse_profiles(table: Table, ratings: tuple[Rating, ...]) -> Profiles:
    """Read week.csv against the households of households.csv; raises `DataError`."""
    _require_profile_columns(table, ratings)
    energy_columns = [column for column in table.columns if column != "period_start"]
    energies: list[tuple[int, ...]] = []
    first_period: int | None = None
    for row in table.rows():
        period = read_period_start(row)
        if first_period is None:
            first_period = period
        elif period != (expected := first_period + len(energies)):
            raise row.error(
                "period_start",
                f"found {row.text('period_start')}, expected {period_start_text(expected)}: "
                "periods must follow one another without a gap",
            )
        if len(energies) == PERIODS_MAX:
            raise row.error("period_start", f"found one period more, expected at most {PERIODS_MAX}")
        energies.append(tuple(row.integer(c, 0, ENERGY_WH_MAX) for c in energy_columns))
    if first_period is None:
        raise DataError(table.file, "found no rows, expected at least one period")
    by_column = dict(zip(energy_columns, zip(*energies, strict=True), strict=True))
    return Profiles(
        periods=range(first_period, first_period + len(energies)),
        load_wh={r.name: by_column[r.name + _LOAD] for r in ratings},
        pv_wh={r.name: by_column[r.name + _PV] for r in ratings if r.pv_w > 0},
    )


def read_period_start(row: Row) -> int:
    """Return the period that a row's `period_start` names; raises `DataError`."""
    found = row.text("period_start")
    try:
        return parse_period_start(found)
    except ValueError:
        raise row.error(
            "period_start",
            f"found {quoted(found)}, expected the start of a quarter of an hour in UTC "
            "like 2016-06-19T22:00Z",
        ) from None


def _require_profile_columns(table: Table, ratings: tuple[Rating, ...]) -> None:
    """Name the household, not only the column, when the two files disagree."""
    table.require_columns(["period_start"], table.columns)
    pv_w = {rating.name: rating.pv_w for rating in ratings}
    wanted = [r.name + _LOAD for r in ratings] + [r.name + _PV for r in ratings if r.pv_w]
    for column in table.columns:
        suffix = next((s for s in (_LOAD, _PV) if column.endswith(s)), None)
        if suffix is None:
            continue
        name = column.removesuffix(suffix)
        if name not in pv_w:
            problem = f"found household {quoted(name)}, expected only households of households.csv"
        elif suffix == _PV and pv_w[name] == 0:
            problem = f"found a PV column, expected none: {name} has pv_kw 0 in households.csv"
        else:
            continue
        raise DataError(table.file, problem, line=1, column=column)
    present = frozenset(table.columns)
    for column in wanted:
        if column not in present:
            raise DataError(
                table.file,
                "found no such column, expected it because of the household in households.csv"
                + (" with pv_kw above 0" if column.endswith(_PV) else ""),
                line=1,
                column=column,
            )
    table.require_columns(["period_start", *wanted])
