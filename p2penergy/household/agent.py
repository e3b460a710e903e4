"""A household's agent at work: it looks at the market, decides by its strategy, and mends the book.

Lives here: one round, from questions to orders. Never here: strategies (`agents`), how the network is
reached (`reach`). Owns the invariants that nothing stands twice, that what the ledger has declined is not
sent again for the same period, and that a round which changes nothing sends nothing. Implements LEDGER
section 4, step 2, from a household's side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2penergy.agents.forecast import expected_surplus_wh
from p2penergy.agents.limits import Difference, difference, within_limits
from p2penergy.agents.settings import AgentSettings
from p2penergy.agents.strategies import draw_for
from p2penergy.agents.view import View, Wanted
from p2penergy.household import accounts, book
from p2penergy.household.book import Listed, Market
from p2penergy.household.reach import Network
from p2penergy.ledger import keys
from p2penergy.ledger.query import member as member_of
from p2penergy.ledger.readings import rated_wh
from p2penergy.ledger.receipts import sentence

AUCTIONS_SEEN_MAX = 96
"""A day of past prices."""
DECLINED_REMEMBERED_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Act:
    """An order placed or cancelled, or only meant to be (`outcome` is then empty)."""

    what: str
    period: int
    order: Wanted
    outcome: str = ""
    accepted: bool = True


@dataclass(slots=True)
class Agent:
    """Decides round by round; `known` tells surpluses (Wh by period) as they are known now."""

    settings: AgentSettings
    known: Callable[[], Mapping[int, int]]
    told: Callable[[Act], None]
    only_show: bool = False
    _declined: dict[tuple[int, Wanted], None] = field(default_factory=dict)

    async def round(self, network: Network) -> int:
        """Look, decide, act; how many orders were placed or cancelled."""
        market = await book.market(network, AUCTIONS_SEEN_MAX)
        wallet_nano = (await accounts.wallet(network, network.participant_id)).wallet_nano
        order_wh_max = await self._order_wh_max(network)
        own = [order for order in market.book if order.participant_id == network.participant_id]
        acts = 0
        for period in range(market.first_open, market.first_open + self.settings.horizon_periods):
            standing = {order.place: order for order in own if order.period == period}
            put_aside_nano = sum(order.record.escrow_nano for order in standing.values())
            view = self._view(network, market, period, wallet_nano + put_aside_nano, order_wh_max)
            if view is None:
                continue
            wanted = self._wanted(view)
            acts += await self._mend(network, period, standing, wanted)
            wallet_nano = view.spendable_nano - sum(_escrow_nano(order) for order in wanted)
        return acts

    async def _order_wh_max(self, network: Network) -> int:
        """What score and connection allow in one order; 0 below the trading bar."""
        score = await accounts.score(network, network.participant_id)
        if not score.may_trade:
            return 0
        key = keys.member(network.participant_id)
        record = member_of((await network.values([key])).get, network.participant_id)
        rated = record.rated_w if record else 0
        return min(score.order_wh_max, rated_wh(rated)) if rated else score.order_wh_max

    def _view(
        self, network: Network, market: Market, period: int, spendable_nano: int, order_wh_max: int
    ) -> View | None:
        surplus_wh = expected_surplus_wh(self.known(), period)
        if surplus_wh is None:
            return None
        rules = network.device.genesis.market
        prices = [how.price_micro_per_kwh for _, how in market.auctions]
        return View(
            period,
            surplus_wh,
            spendable_nano,
            order_wh_max,
            rules.retail_micro_per_kwh,
            rules.feed_in_micro_per_kwh,
            [price for price in prices if price is not None],
        )

    def _wanted(self, view: View) -> tuple[Wanted, ...]:
        settings = self.settings
        asked = settings.strategy.orders(view, draw_for(settings.seed, view.period))
        return within_limits(view, asked, settings.keep_nano, settings.share_ppm)

    async def _mend(
        self, network: Network, period: int, standing: Mapping[int, Listed], wanted: tuple[Wanted, ...]
    ) -> int:
        """Cancel what is not wanted, place what is missing."""
        as_wanted = {place: _as_wanted(order) for place, order in standing.items()}
        change: Difference = difference(as_wanted, wanted)
        for place in change.cancel:
            outcome, accepted = "", True
            if not self.only_show:
                _, receipt, _ = await book.cancel(network, period, place)
                outcome, accepted = sentence(receipt), receipt.accepted
            self.told(Act("cancel", period, as_wanted[place], outcome, accepted))
        missing = [order for order in change.place if (period, order) not in self._declined]
        for order in missing:
            self.told(await self._place(network, period, order))
        return len(change.cancel) + len(missing)

    async def _place(self, network: Network, period: int, order: Wanted) -> Act:
        if self.only_show:
            return Act("place", period, order)
        _, receipt, _ = await book.place(
            network, order.side, order.energy_wh, order.price_micro_per_kwh, period
        )
        if not receipt.accepted:
            self._declined[period, order] = None
            if len(self._declined) > DECLINED_REMEMBERED_MAX:
                del self._declined[next(iter(self._declined))]
        return Act("place", period, order, sentence(receipt), receipt.accepted)


def _as_wanted(order: Listed) -> Wanted:
    record = order.record
    return Wanted(record.side, record.energy_wh, record.price_micro_per_kwh)


def _escrow_nano(order: Wanted) -> int:
    return order.energy_wh * order.price_micro_per_kwh if order.side.name == "BID" else 0
