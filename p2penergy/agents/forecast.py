"""What a household expects its meter to show in a period to come.

Lives here: the forecast from past readings, and known figures from a table. Never here: where readings are
kept. A forecast is a guess by design: the ledger settles what meters show, and scores follow.
"""

from collections.abc import Mapping

from p2penergy.grid.csv_tables import DataError, Table
from p2penergy.grid.profiles import read_period_start

PERIODS_A_DAY = 96
DAYS_BACK_MAX = 7
"""How far back the same time of day is looked for."""
ENERGY_WH_MAX = 1_000_000
ENERGY_COLUMNS = ("period_start", "import_wh", "export_wh")


def expected_surplus_wh(known: Mapping[int, int], period: int) -> int | None:
    """The surplus (below zero: deficit) of a period: known, or as on the latest day that is; None: none."""
    for days in range(DAYS_BACK_MAX + 1):
        surplus_wh = known.get(period - days * PERIODS_A_DAY)
        if surplus_wh is not None:
            return surplus_wh
    return None


def parse_energies(table: Table) -> dict[int, int]:
    """Surplus by period from a table `period_start,import_wh,export_wh`; raises `DataError`."""
    table.require_columns(ENERGY_COLUMNS)
    found: dict[int, int] = {}
    for row in table.rows():
        period = read_period_start(row)
        if period in found:
            raise row.error("period_start", f"found {row.text('period_start')} again, expected it once")
        import_wh, export_wh = (row.integer(c, 0, ENERGY_WH_MAX) for c in ENERGY_COLUMNS[1:])
        found[period] = export_wh - import_wh
    if not found:
        raise DataError(table.file, "found no rows, expected at least one period")
    return found
