from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.agents.strategies import (
    FollowMarket,
    PriceCurve,
    Strategy,
    ZeroIntelligence,
    draw_for,
    price_at,
)
from p2penergy.agents.view import View, Wanted
from p2penergy.ledger.transactions import Side

DRAW = draw_for(1, 100)
CURVE = PriceCurve(((0, 240), (100, 200), (300, 100)), ((0, 150), (100, 250)))


def view(**changes: Any) -> View:
    values: dict[str, Any] = {
        "period": 100,
        "surplus_wh": 500,
        "spendable_nano": 10**12,
        "order_wh_max": 1000,
        "retail_micro_per_kwh": 290_000,
        "feed_in_micro_per_kwh": 120_000,
        "prices": (),
    }
    return View(**(values | changes))


@pytest.mark.parametrize(
    ("energy_wh", "price"), [(0, 240), (1, 239), (50, 220), (100, 200), (200, 150), (300, 100), (9999, 100)]
)
def test_the_price_lies_on_the_curve(energy_wh: int, price: int) -> None:
    assert price_at(CURVE.sell, energy_wh) == price


def test_before_its_first_point_a_curve_stays() -> None:
    assert price_at(((50, 10), (60, 20)), 3) == 10
    assert price_at(((50, 10),), 3) == 10


def test_a_curve_sells_all_that_is_expected_and_buys_all_that_is_missing() -> None:
    assert CURVE.orders(view(surplus_wh=200), DRAW) == (Wanted(Side.ASK, 200, 150),)
    assert CURVE.orders(view(surplus_wh=-50), DRAW) == (Wanted(Side.BID, 50, 200),)
    assert PriceCurve((), ((0, 1),)).orders(view(), DRAW) == ()


def test_following_the_market_yields_a_margin_around_its_last_prices() -> None:
    follow = FollowMarket(window=2, margin_ppm=100_000)
    seen = view(prices=(999_999, 200_000, 220_000))
    assert follow.orders(seen, DRAW) == (Wanted(Side.ASK, 500, 189_000),)
    assert follow.orders(view(prices=seen.prices, surplus_wh=-7), DRAW) == (Wanted(Side.BID, 7, 231_000),)
    # With no price yet the middle, and never beyond the retailer's tariffs.
    assert FollowMarket(2, 0).orders(view(), DRAW)[0].price_micro_per_kwh == 205_000
    assert follow.orders(view(prices=(120_000,)), DRAW)[0].price_micro_per_kwh == 120_000
    assert follow.orders(view(prices=(290_000,), surplus_wh=-1), DRAW)[0].price_micro_per_kwh == 290_000


def test_zero_intelligence_draws_from_the_whole_span_and_no_further() -> None:
    small = view(feed_in_micro_per_kwh=10, retail_micro_per_kwh=13)
    drawn = {ZeroIntelligence().orders(small, draw_for(1, p))[0].price_micro_per_kwh for p in range(200)}
    assert drawn == {10, 11, 12, 13}
    assert draw_for(1, 2) != draw_for(2, 1) != draw_for(1, 2)


@given(
    st.sampled_from([CURVE, ZeroIntelligence(), FollowMarket()]),
    st.integers(-(10**6), 10**6),
    st.lists(st.integers(0, 10**6), max_size=9),
    st.binary(min_size=32, max_size=32),
)
def test_any_strategy_is_a_pure_function_that_orders_what_is_expected(
    strategy: Strategy, surplus_wh: int, prices: list[int], draw: bytes
) -> None:
    seen = view(surplus_wh=surplus_wh, prices=prices)
    orders = strategy.orders(seen, draw)
    assert orders == strategy.orders(seen, draw)
    assert sum(order.energy_wh for order in orders) == abs(surplus_wh)
    assert all(order.side is (Side.ASK if surplus_wh > 0 else Side.BID) for order in orders)
