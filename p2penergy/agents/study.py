"""A week of the sample data with every household's agent in the auction: what each strategy comes to.

Lives here: the simulated market (forecast, orders, `ledger.auction`, delivery) and its figures. Never here:
the ledger's blocks, scores and escrow: tests run agents against real validators. Chance follows from seeds.

    python -m p2penergy.agents.study
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2penergy.agents.forecast import PERIODS_A_DAY, expected_surplus_wh
from p2penergy.agents.limits import within_limits
from p2penergy.agents.strategies import FollowMarket, PriceCurve, Strategy, ZeroIntelligence, draw_for
from p2penergy.agents.view import View
from p2penergy.grid.neighbourhood import Neighbourhood, load_sample
from p2penergy.ledger.auction import Match, Order, clear
from p2penergy.ledger.transactions import Side
from p2penergy.market.tariffs import Tariffs

ORDER_WH_MAX = 30_000
"""Generous: scores are not the subject here."""
WALLET_NANO = 10**12
CURVE = PriceCurve(
    sell=((0, 240_000), (200, 200_000), (1_000, 150_000)),
    buy=((0, 180_000), (200, 220_000), (1_000, 260_000)),
)
STRATEGIES: Mapping[str, Strategy] = {
    "curve": CURVE,
    "zero_intelligence": ZeroIntelligence(),
    "follow": FollowMarket(),
}


@dataclass(slots=True)
class Result:
    """Figures of one run."""

    tradable_wh: int = 0
    """The smaller of all surplus and all deficit, period by period: nobody can trade more."""
    contracted_wh: int = 0
    delivered_wh: int = 0
    paid_nano: int = 0
    """For what was delivered, between neighbours."""
    prices: list[int] = field(default_factory=list)
    gained_nano: dict[str, int] = field(default_factory=dict)
    """Against the retailer's tariffs, by household."""

    @property
    def mean_price_micro_per_kwh(self) -> int:
        """Over what was delivered; 0 when nothing was."""
        return self.paid_nano // self.delivered_wh if self.delivered_wh else 0


def run(
    village: Neighbourhood,
    strategy_of: Callable[[str], Strategy],
    periods: range,
    foresight: bool = False,
    tariffs: Tariffs = Tariffs(),  # noqa: B008 - a frozen value
) -> Result:
    """Trade `periods`; each agent expects what the same time of the day before brought.

    `foresight`: it knows what is coming instead.
    """
    result = Result(gained_nano={household.name: 0 for household in village.households})
    nets = {
        period: {r.household: r.export_wh - r.import_wh for r in village.readings(period)}
        for period in range(max(periods.start - PERIODS_A_DAY, village.periods.start), periods.stop)
    }
    seeds = {household.name: seed for seed, household in enumerate(village.households, 1)}
    for period in periods:
        matches = _auction(result, strategy_of, seeds, nets, period, foresight, tariffs)
        _deliver(result, matches, nets[period], tariffs)
    return result


def _auction(
    result: Result,
    strategy_of: Callable[[str], Strategy],
    seeds: Mapping[str, int],
    nets: Mapping[int, Mapping[str, int]],
    period: int,
    foresight: bool,
    tariffs: Tariffs,
) -> tuple[Match, ...]:
    """One gate."""
    book: dict[Side, list[Order]] = {Side.ASK: [], Side.BID: []}
    for name, seed in seeds.items():
        past = {p: nets[p][name] for p in (period, period - PERIODS_A_DAY) if p in nets}
        if not foresight:
            past.pop(period)
        surplus_wh = expected_surplus_wh(past, period) or 0
        view = View(
            period,
            surplus_wh,
            WALLET_NANO,
            ORDER_WH_MAX,
            tariffs.retail_micro_per_kwh,
            tariffs.feed_in_micro_per_kwh,
            result.prices,
        )
        wanted = strategy_of(name).orders(view, draw_for(seed, period))
        for number, order in enumerate(within_limits(view, wanted, 0, 1_000_000)):
            order_id = f"{name}/{number}".encode()
            book[order.side].append(
                Order(order_id, name.encode(), order.price_micro_per_kwh, order.energy_wh)
            )
    clearing = clear(book[Side.ASK], book[Side.BID], seed=draw_for(0, period))
    if clearing.price_micro_per_kwh is not None:
        result.prices.append(clearing.price_micro_per_kwh)
    result.contracted_wh += clearing.volume_wh
    return clearing.matches


def _deliver(result: Result, matches: tuple[Match, ...], net_wh: Mapping[str, int], tariffs: Tariffs) -> None:
    """What both meters bear out, first in, first out."""
    surplus_wh = {name: wh for name, wh in net_wh.items() if wh > 0}
    deficit_wh = {name: -wh for name, wh in net_wh.items() if wh < 0}
    result.tradable_wh += min(sum(surplus_wh.values()), sum(deficit_wh.values()))
    for match in matches:
        seller, buyer = (order_id.split(b"/")[0].decode() for order_id in (match.ask_id, match.bid_id))
        energy_wh = min(match.energy_wh, surplus_wh.get(seller, 0), deficit_wh.get(buyer, 0))
        if not energy_wh:
            continue
        surplus_wh[seller] -= energy_wh
        deficit_wh[buyer] -= energy_wh
        price = match.price_micro_per_kwh
        result.delivered_wh += energy_wh
        result.paid_nano += energy_wh * price
        result.gained_nano[seller] += energy_wh * (price - tariffs.feed_in_micro_per_kwh)
        result.gained_nano[buyer] += energy_wh * (tariffs.retail_micro_per_kwh - price)


def table(village: Neighbourhood, periods: range) -> list[str]:
    """The results of all strategies, alone and mixed, as lines of Markdown."""
    names = list(STRATEGIES)
    place = {household.name: number for number, household in enumerate(village.households)}
    runs: dict[str, Callable[[str], Strategy]] = {
        name: (lambda _, strategy=strategy: strategy)  # type: ignore[misc]
        for name, strategy in STRATEGIES.items()
    }
    runs["a third each"] = lambda name: STRATEGIES[names[place[name] % len(names)]]
    lines = ["| agents | forecast | contracted | delivered | of what could be traded | mean price |"]
    lines.append("|---|---|---|---|---|---|")
    for label, strategy_of in runs.items():
        for foresight in (False, True):
            found = run(village, strategy_of, periods, foresight)
            share = 1000 * found.delivered_wh // max(found.tradable_wh, 1)
            lines.append(
                f"| {label} | {'perfect' if foresight else 'the day before'} "
                f"| {found.contracted_wh / 1000:.1f} kWh | {found.delivered_wh / 1000:.1f} kWh "
                f"| {share / 10:.1f} % | {found.mean_price_micro_per_kwh / 1e6:.4f} |"
            )
    return lines


def main() -> None:
    """Print the table of the sample week, without its first day."""
    village = load_sample()
    for line in table(village, village.periods[PERIODS_A_DAY:]):
        print(line)


if __name__ == "__main__":
    main()
