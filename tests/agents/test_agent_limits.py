from hypothesis import given
from hypothesis import strategies as st
from test_strategies import view

from p2penergy.agents.limits import difference, within_limits
from p2penergy.agents.view import Wanted
from p2penergy.ledger.transactions import ORDER_PLACES, Side

ALL = 1_000_000


def ask(energy_wh: int, price: int = 200_000) -> Wanted:
    return Wanted(Side.ASK, energy_wh, price)


def bid(energy_wh: int, price: int = 200_000) -> Wanted:
    return Wanted(Side.BID, energy_wh, price)


def test_a_large_order_is_placed_in_parts() -> None:
    assert within_limits(view(), [ask(2500)], 0, ALL) == (ask(1000), ask(1000), ask(500))


def test_a_share_of_the_forecast_is_ordered() -> None:
    assert within_limits(view(), [ask(100)], 0, 905_000) == (ask(90),)
    assert within_limits(view(), [ask(1)], 0, 500_000) == ()


def test_no_more_is_bid_than_can_be_paid_less_what_is_kept() -> None:
    seen = view(spendable_nano=300 * 200_000)
    assert within_limits(seen, [bid(1000)], 0, ALL) == (bid(300),)
    assert within_limits(seen, [bid(1000)], 200 * 200_000, ALL) == (bid(100),)
    assert within_limits(seen, [bid(1000)], 400 * 200_000, ALL) == ()
    assert within_limits(seen, [bid(100, 0)], 400 * 200_000, ALL) == (bid(100, 0),)


def test_who_may_not_trade_orders_nothing() -> None:
    assert within_limits(view(order_wh_max=0), [ask(5), bid(5)], 0, ALL) == ()


wanted = st.lists(
    st.builds(Wanted, st.sampled_from(Side), st.integers(0, 10**5), st.integers(-5, 10**10)), max_size=12
)


@given(wanted, st.integers(0, 10**12), st.integers(0, 5000), st.integers(0, 10**12), st.integers(0, ALL))
def test_the_limits_hold_whatever_is_wanted(
    orders: list[Wanted], spendable: int, largest: int, keep: int, share: int
) -> None:
    placed = within_limits(view(spendable_nano=spendable, order_wh_max=largest), orders, keep, share)
    assert len(placed) <= ORDER_PLACES
    assert all(1 <= order.energy_wh <= largest and order.price_micro_per_kwh >= 0 for order in placed)
    paid = sum(o.energy_wh * o.price_micro_per_kwh for o in placed if o.side is Side.BID)
    assert paid <= max(spendable - keep, 0)


def test_only_what_differs_is_changed() -> None:
    standing = {0: ask(5), 3: ask(5), 4: ask(7)}
    change = difference(standing, [ask(5), ask(9)])
    assert (change.cancel, change.place) == ((3, 4), (ask(9),))
    assert difference(standing, [ask(7), ask(5), ask(5)]) == difference({}, [])


@given(st.dictionaries(st.integers(0, 7), st.sampled_from([ask(1), ask(2), bid(1)])), wanted)
def test_what_stands_afterwards_is_what_was_wanted(standing: dict[int, Wanted], orders: list[Wanted]) -> None:
    change = difference(standing, orders)
    left = [order for place, order in standing.items() if place not in change.cancel]
    assert sorted([*left, *change.place]) == sorted(orders)
