"""Each strategy in a simulated market over the sample data."""

import pytest

from p2penergy.agents.forecast import PERIODS_A_DAY
from p2penergy.agents.strategies import PriceCurve
from p2penergy.agents.study import STRATEGIES, Result, run, table
from p2penergy.grid.neighbourhood import Neighbourhood, load_sample

FEED_IN, RETAIL = 120_000, 290_000


@pytest.fixture(scope="module")
def village() -> Neighbourhood:
    return load_sample()


@pytest.fixture(scope="module")
def noon(village: Neighbourhood) -> range:
    """From eight to four of the second day, UTC."""
    start = village.periods.start + PERIODS_A_DAY + 40
    return range(start, start + 32)


def a_run(village: Neighbourhood, noon: range, name: str, foresight: bool) -> Result:
    strategy = STRATEGIES[name]
    return run(village, lambda _: strategy, noon, foresight)


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_trades_between_the_tariffs_and_nobody_loses(
    village: Neighbourhood, noon: range, name: str
) -> None:
    found = a_run(village, noon, name, foresight=True)
    assert 0 < found.delivered_wh == found.contracted_wh <= found.tradable_wh
    assert FEED_IN <= found.mean_price_micro_per_kwh <= RETAIL
    assert min(found.gained_nano.values()) >= 0
    # What neighbours gain together is what the retailer no longer earns between its two tariffs.
    assert sum(found.gained_nano.values()) == found.delivered_wh * (RETAIL - FEED_IN)


def test_who_thinks_does_better_than_chance(village: Neighbourhood, noon: range) -> None:
    shares = {name: a_run(village, noon, name, foresight=True) for name in STRATEGIES}
    assert shares["follow"].delivered_wh == shares["follow"].tradable_wh
    assert shares["curve"].delivered_wh > shares["zero_intelligence"].delivered_wh


def test_a_forecast_that_is_wrong_costs_delivery(village: Neighbourhood, noon: range) -> None:
    found = a_run(village, noon, "follow", foresight=False)
    assert found.delivered_wh < found.contracted_wh
    assert found.delivered_wh < a_run(village, noon, "follow", foresight=True).delivered_wh


def test_a_run_is_the_same_again(village: Neighbourhood, noon: range) -> None:
    assert a_run(village, noon, "zero_intelligence", False) == a_run(
        village, noon, "zero_intelligence", False
    )


def test_who_asks_for_more_than_anybody_pays_sells_nothing(village: Neighbourhood, noon: range) -> None:
    greedy = PriceCurve(((0, RETAIL),), ((0, FEED_IN),))
    found = run(village, lambda _: greedy, noon, True)
    assert (found.delivered_wh, found.mean_price_micro_per_kwh, found.prices) == (0, 0, [])


def test_the_table_names_every_strategy(village: Neighbourhood, noon: range) -> None:
    lines = table(village, noon[:4])
    assert len(lines) == 2 + 2 * 4
    assert all(any(name in line for line in lines) for name in STRATEGIES)
