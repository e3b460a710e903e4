"""Settlement periods: quarters of an hour counted from 1970 in UTC, and the local days they fill.

Here: period <-> ISO 8601 text, and which periods a local day has (92, 96 or 100 of them).
Never here: the present time, or a look into the time zone database (the caller brings the zone).
Owns the invariant `period = unix seconds // 900` (LEDGER section 1).
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

PERIOD_S: Final = 900
PERIODS_PER_HOUR: Final = 4
_CALENDAR_END: Final = int(datetime(9999, 12, 31, 23, 45, tzinfo=UTC).timestamp()) // PERIOD_S + 1

_UTC_TEXT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z", re.ASCII)


def parse_period_start(text: str) -> int:
    """Return the period that starts at `text`, such as `2016-06-19T22:00Z`.

    Raises `ValueError` unless it is UTC, written with `Z`, on a quarter of an hour, from 1970 on.
    """
    if _UTC_TEXT.fullmatch(text) is None:
        raise ValueError("not UTC like 2016-06-19T22:00Z")
    start = datetime.fromisoformat(text)
    period, rest_s = divmod(int(start.timestamp()), PERIOD_S)
    if rest_s or period < 0:
        raise ValueError("not on a quarter of an hour from 1970 on")
    return period


def period_start_text(period: int) -> str:
    """Return the start of a period in UTC, such as `2016-06-19T22:00Z`."""
    return f"{_start(period):%Y-%m-%dT%H:%MZ}"


def period_text(period: int) -> str:
    """Return the start of any period, also of one that no calendar has: that by its number."""
    return period_start_text(period) if 0 <= period < _CALENDAR_END else f"number {period}"


def local_time_text(period: int, zone: tzinfo) -> str:
    """Return the start of a period on the clock on the wall, such as `00:15`."""
    return f"{_start(period).astimezone(zone):%H:%M}"


def local_day(period: int, zone: tzinfo) -> date:
    """Return the day in `zone` on which a period starts."""
    return _start(period).astimezone(zone).date()


def periods_of_local_day(day: date, zone: tzinfo) -> range:
    """Return the periods that start on `day` in `zone`: 96, or 92 and 100 when clocks change."""
    return range(_first_period(day, zone), _first_period(day + timedelta(days=1), zone))


def _start(period: int) -> datetime:
    return datetime.fromtimestamp(period * PERIOD_S, tz=UTC)


def _first_period(day: date, zone: tzinfo) -> int:
    midnight_s = int(datetime.combine(day, time(), tzinfo=zone).timestamp())
    # Upwards, for zones of the past whose offset was no multiple of a quarter of an hour.
    return -(-midnight_s // PERIOD_S)
