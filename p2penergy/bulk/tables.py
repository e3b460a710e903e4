"""CSV tables of participants, readings and orders: the good rows, and what to mend in each bad one.

Lives here: columns, cells, and what rows of one table must not share. Never here: files, keys, sending. Owns
the invariant that every bad row is named by file, line and column, so that one look mends them all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from p2penergy.genesis import Member
from p2penergy.grid.csv_tables import DataError, Row, Table, quoted
from p2penergy.grid.households import NAME, NAME_CHARS_MAX
from p2penergy.grid.profiles import ENERGY_WH_MAX, read_period_start
from p2penergy.ledger.transactions import PRICE_MICRO_PER_KWH_MAX, Side
from p2penergy.meters.registers import PeriodEnergy

ERRORS_MAX = 100
"""Bad rows that are named; after them the table is given up."""
ROWS_MAX = 1_000_000
RATED_W_MAX = 10**9
WALLET_MAX = 10**7
PARTICIPANT_COLUMNS = ("name", "participant_id", "public_key")
PARTICIPANT_COLUMNS_OPTIONAL = ("role", "beacon_tip", "rated_w", "cluster", "wallet")
PACKET_COLUMNS = ("household", "period_start", "import_wh", "export_wh")
ORDER_COLUMNS = ("household", "side", "period_start", "energy_wh", "price")

_DECIMAL = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,6}))?", re.ASCII)
_HEX = re.compile(r"[0-9a-f]*", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What a table holds."""

    rows: tuple[T, ...]
    errors: tuple[DataError, ...]


@dataclass(frozen=True, slots=True)
class Participant:
    """One future member, by the name that the founder knows it by."""

    name: str
    member: Member


class OfHousehold(Protocol):
    """A row that is sent with a household's key."""

    @property
    def household(self) -> str:
        """Its name."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One household's reading of a period, netted."""

    line: int
    household: str
    energy: PeriodEnergy


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """One household's order."""

    line: int
    household: str
    side: Side
    period: int
    energy_wh: int
    price_micro_per_kwh: int


def _collect(
    table: Table, parse: Callable[[Row], T], distinct: Callable[[T], object], what: str
) -> Parsed[T]:
    """Every row by `parse`; no two may be the same by `distinct`, whose column is the first."""
    rows: list[T] = []
    errors: list[DataError] = []
    lines: dict[object, int] = {}
    try:
        for row in table.rows():
            if len(rows) == ROWS_MAX:
                raise row.error(table.columns[0], f"found one row more, expected at most {ROWS_MAX}")
            try:
                found = parse(row)
                first = lines.setdefault(distinct(found), row.line)
                if first != row.line:
                    said = f"found {what} again after line {first}, expected it once: remove one"
                    raise row.error(table.columns[0], said)
                rows.append(found)
            except DataError as error:
                errors.append(error)
                if len(errors) == ERRORS_MAX:
                    break
    except DataError as error:
        # Broken beyond this line: what follows can't be told apart.
        errors.append(error)
    if not rows and not errors:
        errors.append(DataError(table.file, "found no rows, expected at least one"))
    return Parsed(tuple(rows), tuple(errors))


def parse_participants(table: Table) -> Parsed[Participant]:
    """`name,participant_id,public_key`, and if wanted `role,beacon_tip,rated_w,cluster,wallet`.

    Raises `DataError` for a wrong header.
    """
    table.require_columns(PARTICIPANT_COLUMNS, PARTICIPANT_COLUMNS_OPTIONAL)
    return _collect(table, _participant, lambda found: found.name.lower(), "the name")


def parse_packets(table: Table) -> Parsed[Packet]:
    """`household,period_start,import_wh,export_wh`; raises `DataError` for a wrong header."""
    table.require_columns(PACKET_COLUMNS)
    return _collect(table, _packet, lambda p: (p.household, p.energy.period), "this household and period")


def parse_orders(table: Table) -> Parsed[BulkOrder]:
    """`household,side,period_start,energy_wh,price`, price per kWh; raises `DataError` for a wrong header."""
    table.require_columns(ORDER_COLUMNS)
    return _collect(table, _order, lambda order: order.line, "the order")


def _name(row: Row, column: str) -> str:
    found = row.text(column)
    if NAME.fullmatch(found) is None:
        raise row.error(
            column,
            f"found {quoted(found)}, expected 1 to {NAME_CHARS_MAX} letters, digits, '-' or '_' "
            "that start with a letter or a digit",
        )
    return found


def _hex(row: Row, column: str, digits: int, where: str) -> str:
    found = row.text(column)
    if len(found) != digits or _HEX.fullmatch(found) is None:
        raise row.error(column, f"found {quoted(found)}, expected {digits} small hex digits: {where}")
    return found


def _micro(row: Row, column: str, high: int) -> int:
    """A decimal as millionths, digit by digit."""
    found = row.text(column)
    match = _DECIMAL.fullmatch(found)
    micro = int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0")) if match else -1
    if not 0 <= micro <= high:
        raise row.error(
            column, f"found {quoted(found)}, expected 0 to {high // 1_000_000} with six decimals at most"
        )
    return micro


def _optional(row: Row, column: str, low: int, high: int) -> int:
    return row.integer(column, low, high) if row.text(column) else low


def _participant(row: Row) -> Participant:
    name = _name(row, "name")
    shown = "`p2penergy init --json` shows it"
    participant_id = _hex(row, "participant_id", 40, shown)
    public_key = _hex(row, "public_key", 66, shown)
    if public_key[:2] not in ("02", "03"):
        raise row.error("public_key", f"found {public_key[:2]}..., expected a compressed key: 02... or 03...")
    role = row.text("role") or "household"
    if role not in ("household", "validator"):
        raise row.error("role", f"found {quoted(role)}, expected household or validator")
    tip = None
    if role == "validator":
        tip = _hex(row, "beacon_tip", 64, f"a validator needs one, {shown}")
    member = Member(
        participant_id=participant_id,
        public_key=public_key,
        validator=role == "validator",
        rated_w=_optional(row, "rated_w", 0, RATED_W_MAX),
        cluster=_optional(row, "cluster", 0, 2**31),
        wallet_nano=_micro(row, "wallet", WALLET_MAX * 1_000_000) * 1000 if row.text("wallet") else 0,
        beacon_tip=tip,
    )
    return Participant(name, member)


def _packet(row: Row) -> Packet:
    household, period = _name(row, "household"), read_period_start(row)
    import_wh, export_wh = (row.integer(c, 0, ENERGY_WH_MAX) for c in ("import_wh", "export_wh"))
    both_wh = min(import_wh, export_wh)
    return Packet(row.line, household, PeriodEnergy(period, import_wh - both_wh, export_wh - both_wh))


def _order(row: Row) -> BulkOrder:
    household, side = _name(row, "household"), row.text("side")
    if side not in ("ask", "bid"):
        raise row.error("side", f"found {quoted(side)}, expected ask (to sell) or bid (to buy)")
    return BulkOrder(
        row.line,
        household,
        Side[side.upper()],
        read_period_start(row),
        row.integer("energy_wh", 1, ENERGY_WH_MAX),
        _micro(row, "price", PRICE_MICRO_PER_KWH_MAX),
    )
