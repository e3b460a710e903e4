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
from p2penergy.demo.options import DemoError
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.grid.periods import period_start_text
from p2penergy.ledger.receipts import Receipt, TradeReceipt, sentence
from p2penergy.market.bilateral import Agreement, agreements
from p2penergy.market.tariffs import Tariffs


@dataclass(frozen=True, slots=True)
class PeriodResult:
    """What one settlement period came to."""

    period: int
    traded_wh: int
    traded_nano: int
    trades: int


class Replay:
    """Drives the households through their periods."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        households: Households,
        tariffs: Tariffs,
        progress: Callable[[PeriodResult], None],
    ) -> None:
        self._neighbourhood = neighbourhood
        self._households = households
        self._tariffs = tariffs
        self._progress = progress
        self.results: list[PeriodResult] = []

    async def run(self, periods: tuple[int, ...]) -> AsyncIterator[int]:
        """Replay the periods; yields each one's index before it begins, so that others can act."""
        for index, period in enumerate(periods):
            yield index
            await self._report(period)
            result = await self._trade(period)
            self.results.append(result)
            self._progress(result)

    async def _report(self, period: int) -> None:
        readings = self._neighbourhood.readings(period)
        receipts = await asyncio.gather(
            *(self._households[r.household].report(period, r.import_wh, r.export_wh) for r in readings)
        )
        for reading, receipt in zip(readings, receipts, strict=True):
            _require(receipt, f"the reading of {reading.household}", period)

    async def _trade(self, period: int) -> PeriodResult:
        agreed = agreements(
            self._neighbourhood.surpluses(period), self._neighbourhood.deficits(period), self._tariffs
        )
        receipts = await asyncio.gather(*(self._conclude(a, period) for a in agreed))
        for agreement, receipt in zip(agreed, receipts, strict=True):
            _require(receipt, f"the contract of {agreement.seller} with {agreement.buyer}", period)
        trades = [receipt for receipt in receipts if isinstance(receipt, TradeReceipt)]
        return PeriodResult(
            period,
            traded_wh=sum(trade.energy_wh for trade in trades),
            traded_nano=sum(trade.amount_nano for trade in trades),
            trades=len(trades),
        )

    async def _conclude(self, agreement: Agreement, period: int) -> Receipt:
        seller, buyer = self._households[agreement.seller], self._households[agreement.buyer]
        return await seller.negotiate(buyer, period, agreement.energy_wh, agreement.price_micro_per_kwh)


def _require(receipt: Receipt, what: str, period: int) -> None:
    if not receipt.accepted:
        raise DemoError(f"{what} in {period_start_text(period)} was not accepted: {sentence(receipt)}")
