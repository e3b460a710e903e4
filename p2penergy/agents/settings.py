"""An agent's settings: a TOML file, its keys, and one sentence for whatever is wrong in it.

Lives here: `AgentSettings` and its parsing. Never here: reading the file. Owns the invariant that an agent
trades only by settings that were all understood. An example, each key with its default where it has one:

    strategy = "curve"            # or "zero_intelligence" or "follow"
    horizon_periods = 1           # periods beyond the first open gate's that are ordered for
    share_percent = 100           # of the forecast that is ordered
    keep = 0.0                    # of the wallet, never put aside, in the currency
    seed = 1                      # of the chance in zero_intelligence

    [curve]                       # [Wh, price per kWh], ascending by Wh
    sell = [[0, 0.24], [500, 0.16]]
    buy = [[0, 0.18], [500, 0.24]]

    [follow]
    window = 4                    # auctions
    margin_percent = 2            # what it yields
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from p2penergy.agents.strategies import FollowMarket, PriceCurve, Strategy, ZeroIntelligence
from p2penergy.ledger.transactions import ENERGY_WH_MAX, PRICE_MICRO_PER_KWH_MAX

POINTS_MAX = 100
WINDOW_MAX = 96
HORIZON_PERIODS_MAX = 96
KEEP_MAX = 10**9
SEED_MAX = 2**63
_STRATEGIES = ("curve", "zero_intelligence", "follow")
_KEYS = ("strategy", "horizon_periods", "share_percent", "keep", "seed", "curve", "follow")


class SettingsError(ValueError):
    """The file can't be used; the sentence names the file and the key."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent trades."""

    strategy: Strategy
    horizon_periods: int
    share_ppm: int
    keep_nano: int
    seed: int


def parse_settings(text: str, where: str) -> AgentSettings:
    """Settings from a file's text; `where` names it.

    Raises:
        SettingsError: with a sentence that names the key.
    """
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError, ArithmeticError) as error:
        raise SettingsError(f"{where} is not valid TOML: {error}") from None
    table = _Table(raw, where, "")
    table.only(_KEYS)
    name = raw.get("strategy")
    if name not in _STRATEGIES:
        raise SettingsError(f"{where}: strategy is {name!r}, expected one of {', '.join(_STRATEGIES)}")
    return AgentSettings(
        _strategy(name, table),
        table.whole("horizon_periods", 1, 1, HORIZON_PERIODS_MAX),
        table.whole("share_percent", 100, 1, 100) * 10_000,
        table.amount("keep", KEEP_MAX) * 1000,
        table.whole("seed", 1, 0, SEED_MAX),
    )


def _strategy(name: str, table: "_Table") -> Strategy:
    if name == "zero_intelligence":
        return ZeroIntelligence()
    own = table.inner(name)
    if name == "follow":
        own.only(("window", "margin_percent"))
        window = own.whole("window", 4, 1, WINDOW_MAX)
        return FollowMarket(window, own.whole("margin_percent", 2, 0, 100) * 10_000)
    own.only(("sell", "buy"))
    curve = PriceCurve(own.points("sell"), own.points("buy"))
    if not curve.sell and not curve.buy:
        raise SettingsError(f"{table.where}: [curve] has neither sell nor buy: give at least one point")
    return curve


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file, with where it stands."""

    raw: dict[str, Any]
    where: str
    name: str

    def _error(self, key: str, problem: str) -> SettingsError:
        inside = f"[{self.name}] " if self.name else ""
        return SettingsError(f"{self.where}: {inside}{key} {problem}")

    def only(self, known: Sequence[str]) -> None:
        for key in self.raw:
            if key not in known:
                close = get_close_matches(key, known, n=1)
                near = f"did you mean {close[0]!r}?" if close else f"valid are {', '.join(known)}"
                raise self._error(repr(key), f"is no key here; {near}")

    def inner(self, key: str) -> "_Table":
        found = self.raw.get(key, {})
        if not isinstance(found, dict):
            raise self._error(key, f"is a table: write [{key}] on a line of its own")
        return _Table(found, self.where, key)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        found = self.raw.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise self._error(key, f"is {found!r}, expected a whole number from {low} to {high}")
        return found

    def amount(self, key: str, high: int) -> int:
        """Of the currency, as millionths."""
        return self._micro(key, self.raw.get(key, 0), high * 1_000_000)

    def points(self, key: str) -> tuple[tuple[int, int], ...]:
        found = self.raw.get(key, [])
        if not isinstance(found, list) or len(found) > POINTS_MAX:
            raise self._error(key, f"is a list of at most {POINTS_MAX} points [Wh, price]")
        points: list[tuple[int, int]] = []
        for point in found:
            if not isinstance(point, list) or len(point) != 2:
                raise self._error(key, f"has the point {point!r}, expected [Wh, price]")
            energy_wh, price = point
            whole = isinstance(energy_wh, int) and not isinstance(energy_wh, bool)
            if not whole or not 0 <= energy_wh <= ENERGY_WH_MAX:
                raise self._error(key, f"has {energy_wh!r} as Wh, expected a whole number of 0 or more")
            if points and energy_wh <= points[-1][0]:
                raise self._error(key, f"has {energy_wh} Wh out of order: points ascend by Wh")
            points.append((energy_wh, self._micro(key, price, PRICE_MICRO_PER_KWH_MAX)))
        return tuple(points)

    def _micro(self, key: str, found: Any, high: int) -> int:
        """A decimal as millionths, exactly."""
        fits = isinstance(found, int | Decimal) and not isinstance(found, bool) and Decimal(found).is_finite()
        if not fits or not 0 <= found <= high // 1_000_000 or found * 1_000_000 % 1:
            raise self._error(
                key, f"has {found!s}, expected 0 to {high // 1_000_000} with six decimals at most"
            )
        return int(found * 1_000_000)
