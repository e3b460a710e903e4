"""Households as connection points of the feeder: names and rated powers.

Here: `Household`, and the reading of households.csv. Never here: energies (profiles.py), or where
on the feeder a household is (feeder.py).
Owns the invariants that names are distinct, short and safe as a CSV prefix or a directory name,
and that `rated_w` is never below what the data shows at that connection.
Implements the rated power that LEDGER section 4.1 checks readings against.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from p2penergy.grid.csv_tables import DataError, Table, quoted

HOUSEHOLDS_MAX: Final = 1_000
NAME_CHARS_MAX: Final = 32
RATED_STEP_W: Final = 1_000
RATED_MARGIN_PERCENT: Final = 125

HOUSEHOLD_COLUMNS: Final = ("household", "load_kw", "pv_kw")
HOUSEHOLD_COLUMNS_OPTIONAL: Final = ("simbench_load", "bus", "load_profile", "pv_profile")

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)
"""Safe as a folder's name, too."""


@dataclass(frozen=True, slots=True)
class Household:
    """One connection point: rated load and PV in W, and the rated power of the connection in W."""

    name: str
    load_w: int
    pv_w: int
    rated_w: int


class Rating(NamedTuple):
    """A row of households.csv: rated load and PV in W."""

    name: str
    load_w: int
    pv_w: int


def rated_w(load_w: int, pv_w: int, peak_w: int) -> int:
    """Return the connection's rated power in W for the ledger.

    The largest of rated load, rated PV and `peak_w` (the highest mean power of either in any
    period of the data), a quarter more, rounded up to a full kW and at least 1 kW: generous, so
    that the ledger's check catches impossible readings and never a sunny day.
    """
    wanted_percent = RATED_MARGIN_PERCENT * max(load_w, pv_w, peak_w)
    return max(1, -(-wanted_percent // (100 * RATED_STEP_W))) * RATED_STEP_W


def parse_ratings(table: Table) -> tuple[Rating, ...]:
    """Read households.csv: 1 to `HOUSEHOLDS_MAX` distinct names; raises `DataError`.

    Names that differ in case only are refused, since some file systems take them for one.
    """
    table.require_columns(HOUSEHOLD_COLUMNS, HOUSEHOLD_COLUMNS_OPTIONAL)
    ratings: list[Rating] = []
    lines: dict[str, int] = {}
    for row in table.rows():
        name = row.text("household")
        if NAME.fullmatch(name) is None:
            raise row.error(
                "household",
                f"found {quoted(name)}, expected a name of 1 to {NAME_CHARS_MAX} letters, digits, "
                "'-' or '_' that starts with a letter or a digit",
            )
        first_line = lines.setdefault(name.lower(), row.line)
        if first_line != row.line:
            raise row.error(
                "household",
                f"found {quoted(name)} again after line {first_line}, expected each name once",
            )
        if len(ratings) == HOUSEHOLDS_MAX:
            raise row.error("household", f"found one household more, expected at most {HOUSEHOLDS_MAX}")
        ratings.append(Rating(name, row.kilo("load_kw"), row.kilo("pv_kw")))
    if not ratings:
        raise DataError(table.file, "found no rows, expected at least one household")
    return tuple(ratings)
