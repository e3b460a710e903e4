"""The same days through the ledger's auction: orders before the gate, delivery after the readings.

Lives here: who orders what and when. Never here: matching (`ledger.gate`), delivery (`ledger.deferred`).
Implements LEDGER section 4, step 2, as households live it.

Each household orders what its meter will read: the days are known. Sellers ask for the feed-in tariff and
buyers bid the retail tariff, which is what the energy is worth to them elsewhere. So all that is tradable is
matched, and the period sums are those of the data, as with agreements between neighbours; one price settles
it, and whichever side is scarce gains all. Bad households ask for energy that they will not have. Orders
stand `gate_lead_periods` + 1 periods ahead, so the first two periods are ordered before the days begin.
"""

import asyncio
from collections.abc import Callable

from p2penergy.demo.households import Households
from p2penergy.demo.misconduct import Misconduct
from p2penergy.demo.replay import PeriodResult, Replay, require
from p2penergy.genesis import MarketRules
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.ledger import keys
from p2penergy.ledger.records import MarketRecord, decode_record
from p2penergy.ledger.transactions import Side


class Auctioning(Replay):
    """Everybody orders ahead; the ledger matches."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        households: Households,
        progress: Callable[[PeriodResult], None],
        market: MarketRules,
        misconduct: Misconduct,
    ) -> None:
        super().__init__(neighbourhood, households, progress)
        self._market = market
        self._misconduct = misconduct
        self._ahead = ahead_periods(market)
        self._last = 0

    async def begin(self, periods: tuple[int, ...]) -> None:
        """Order for the first periods; one meter's empty readings move the clock up to them."""
        self._last = periods[-1]
        clock = next(iter(self.households.by_name.values()))
        await self._order(periods[0])
        for period in range(periods[0] - self._ahead + 1, periods[0]):
            require(await clock.report(period, 0, 0), f"the reading of {clock.name}", period)
            await self._order(period + self._ahead)

    async def trade(self, period: int) -> PeriodResult:
        """Order for a later period; what this one's auction came to is on the ledger already."""
        await self._order(period + self._ahead)
        value = (await self.households.values([keys.market(period)]))[keys.market(period)]
        if value is None:
            return PeriodResult(period, 0, 0, 0)
        found = decode_record(MarketRecord, value)
        price = found.price_micro_per_kwh or 0
        return PeriodResult(period, found.volume_wh, found.volume_wh * price, 0)

    async def _order(self, period: int) -> None:
        if period > self._last:
            return
        market, now = self._market, period - self._ahead
        bad = [actor.name for actor in self._misconduct.actors]
        suspended = await self.households.suspended(bad, market.scores, now) if bad else frozenset()
        attempts = self._misconduct.attempts(now, suspended, self._ahead)
        false = {attempt.seller: attempt.energy_wh for attempt in attempts}
        surpluses, deficits = self._misconduct.left(period, suspended | false.keys())
        sides = (
            (Side.ASK, surpluses | false, market.feed_in_micro_per_kwh),
            (Side.BID, deficits, market.retail_micro_per_kwh),
        )
        wanted = [
            (side, name, wh, price) for side, all_wh, price in sides for name, wh in all_wh.items() if wh
        ]
        receipts = await asyncio.gather(
            *(self.households[name].order(side, period, wh, price, now) for side, name, wh, price in wanted)
        )
        for (_, name, _, _), receipt in zip(wanted, receipts, strict=True):
            if name in false:
                continue
            require(receipt, f"the order of {name}", period)


def ahead_periods(market: MarketRules) -> int:
    """How many periods ahead the first period lies whose gate is open."""
    return market.gate_lead_periods + 1
