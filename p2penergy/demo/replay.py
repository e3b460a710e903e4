"""A day of the neighbourhood, settlement period by settlement period, through the real network.

Lives here: the order of things in a period: signed readings, agreements between neighbours, contracts
signed by both. Never here: who offers what to whom (`market.bilateral`), how they come to terms
(`market.negotiation`), what is valid (the ledger). Implements
LEDGER section 4, steps 1 to 5, as households live it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from p2penergy.demo.households import Households
from p2penergy.demo.misconduct import Attempt, Misconduct
from p2penergy.demo.options import DemoError
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.grid.periods import period_start_text
from p2penergy.ledger.receipts import Receipt, TradeReceipt, sentence
from p2penergy.market.bilateral import Agreement, agreements, fair_price_micro_per_kwh
from p2penergy.market.tariffs import Tariffs
from p2penergy.score_rules import ScoreRules


@dataclass(frozen=True, slots=True)
class PeriodResult:
    """What one settlement period came to."""

    period: int
    traded_wh: int
    traded_nano: int
    trades: int


class Replay:
    """Drives the households through their periods; how they trade, each market says by itself."""

    def __init__(
        self, neighbourhood: Neighbourhood, households: Households, progress: Callable[[PeriodResult], None]
    ) -> None:
        self.neighbourhood = neighbourhood
        self.households = households
        self._progress = progress

    async def run(self, periods: tuple[int, ...]) -> AsyncIterator[int]:
        """Replay the periods; yields each one's index before it begins, so that others can act."""
        await self.begin(periods)
        for index, period in enumerate(periods):
            yield index
            await self._report(period)
            self._progress(await self.trade(period))

    async def begin(self, periods: tuple[int, ...]) -> None:
        """What comes before the first period."""

    async def trade(self, period: int) -> PeriodResult:
        """Trade, once all readings of the period are on the ledger."""
        raise NotImplementedError

    async def _report(self, period: int) -> None:
        readings = self.neighbourhood.readings(period)
        receipts = await asyncio.gather(
            *(self.households[r.household].report(period, r.import_wh, r.export_wh) for r in readings)
        )
        for reading, receipt in zip(readings, receipts, strict=True):
            require(receipt, f"the reading of {reading.household}", period)


class Bilateral(Replay):
    """Neighbours offer and accept; some may be bad."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        households: Households,
        progress: Callable[[PeriodResult], None],
        tariffs: Tariffs,
        rules: ScoreRules,
        misconduct: Misconduct,
    ) -> None:
        super().__init__(neighbourhood, households, progress)
        self._tariffs = tariffs
        self._rules = rules
        self._misconduct = misconduct

    async def trade(self, period: int) -> PeriodResult:
        """First whatever the bad ones try, then everybody with whom he can."""
        bad, rules = [actor.name for actor in self._misconduct.actors], self._rules
        suspended = await self.households.suspended(bad, rules, period) if bad else frozenset()
        attempts = list(self._misconduct.attempts(period, suspended))
        await asyncio.gather(*(self._attempt(attempt, period) for attempt in attempts))
        if attempts:
            suspended = await self.households.suspended(bad, rules, period)
        agreed = agreements(*self._misconduct.left(period, suspended), self._tariffs)
        receipts = await asyncio.gather(*(self._conclude(a, period) for a in agreed))
        for agreement, receipt in zip(agreed, receipts, strict=True):
            require(receipt, f"the contract of {agreement.seller} with {agreement.buyer}", period)
        trades = [receipt for receipt in receipts if isinstance(receipt, TradeReceipt)]
        return PeriodResult(
            period,
            traded_wh=sum(trade.energy_wh for trade in trades),
            traded_nano=sum(trade.amount_nano for trade in trades),
            trades=len(trades),
        )

    async def _conclude(self, agreement: Agreement, period: int) -> Receipt:
        seller, buyer = self.households[agreement.seller], self.households[agreement.buyer]
        return await seller.negotiate(buyer, period, agreement.energy_wh, agreement.price_micro_per_kwh)

    async def _attempt(self, attempt: Attempt, period: int) -> None:
        seller, buyer = self.households[attempt.seller], self.households[attempt.buyer]
        price = fair_price_micro_per_kwh(attempt.energy_wh, attempt.energy_wh, self._tariffs)
        terms = seller.terms_with(buyer, attempt.period, attempt.energy_wh, price)
        if attempt.period == period:
            await seller.conclude(terms, buyer.agree(terms))
        elif (await seller.promise(terms, buyer.agree(terms))).accepted:
            self._misconduct.promised(attempt)


def require(receipt: Receipt, what: str, period: int) -> None:
    """Nothing of an honest household is declined; raises `DemoError`."""
    if not receipt.accepted:
        raise DemoError(f"{what} in {period_start_text(period)} was not accepted: {sentence(receipt)}")
