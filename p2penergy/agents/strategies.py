"""The strategies: from a view and a draw to the orders of a period.

Lives here: one class per strategy, each a value with its figures and a pure `orders(view, draw)`. Never here:
limits of wallet and score (`limits`), settings files (`settings`). Owns the invariant that the same view and
the same draw give the same orders.

`draw` is 32 bytes of chance that the caller made, see `draw_for`: an agent that decides again about the same
period decides alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Protocol

from p2penergy.agents.view import View, Wanted
from p2penergy.ledger.transactions import Side

PPM = 1_000_000


def draw_for(seed: int, period: int) -> bytes:
    """The chance of one agent in one period."""
    return sha256(b"p2penergy agent %d %d" % (seed, period)).digest()


class Strategy(Protocol):
    """Anything that knows what to order."""

    def orders(self, view: View, draw: bytes) -> tuple[Wanted, ...]:
        """What should stand in the book for the view's period."""


def _for_surplus(view: View, price: int) -> tuple[Wanted, ...]:
    """Sell all that is expected, or buy all that is missing, at one price."""
    if not view.surplus_wh:
        return ()
    side = Side.ASK if view.surplus_wh > 0 else Side.BID
    return (Wanted(side, abs(view.surplus_wh), price),)


@dataclass(frozen=True, slots=True)
class PriceCurve:
    """A price that follows the amount: much to sell goes cheaper, much to buy is paid better, or as drawn.

    Each curve is points (Wh, price), ascending by Wh; between them the price lies on the line, beyond them
    it stays.
    """

    sell: Sequence[tuple[int, int]]
    buy: Sequence[tuple[int, int]]

    def orders(self, view: View, draw: bytes) -> tuple[Wanted, ...]:
        """One order for all of it; no chance is involved."""
        points = self.sell if view.surplus_wh > 0 else self.buy
        return _for_surplus(view, price_at(points, abs(view.surplus_wh))) if points else ()


def price_at(points: Sequence[tuple[int, int]], energy_wh: int) -> int:
    """The curve's price, rounded down; `points` are ascending and not empty."""
    for (low_wh, low), (high_wh, high) in pairwise(points):
        if energy_wh < high_wh:
            share_wh = max(energy_wh - low_wh, 0)
            return low + (high - low) * share_wh // (high_wh - low_wh)
    return points[-1][1] if energy_wh >= points[0][0] else points[0][1]


@dataclass(frozen=True, slots=True)
class ZeroIntelligence:
    """Any price that does not lose money against the retailer, by chance (Gode and Sunder, 1993).

    What a market makes of traders who do not think is the yardstick for those who do.
    """

    def orders(self, view: View, draw: bytes) -> tuple[Wanted, ...]:
        """One order, its price drawn evenly between feed-in and retail."""
        span = view.retail_micro_per_kwh - view.feed_in_micro_per_kwh
        drawn = int.from_bytes(draw[:8], "big") * (span + 1) >> 64
        return _for_surplus(view, view.feed_in_micro_per_kwh + drawn)


@dataclass(frozen=True, slots=True)
class FollowMarket:
    """The mean of the last prices, yielding a margin so as to be served; the middle where there is none."""

    window: int = 4
    margin_ppm: int = 20_000

    def orders(self, view: View, draw: bytes) -> tuple[Wanted, ...]:
        """One order near where the market was."""
        recent = view.prices[-self.window :]
        low, high = view.feed_in_micro_per_kwh, view.retail_micro_per_kwh
        mean = sum(recent) // len(recent) if recent else (low + high) // 2
        margin = mean * self.margin_ppm // PPM
        price = mean - margin if view.surplus_wh > 0 else mean + margin
        return _for_surplus(view, min(max(price, low), high))
