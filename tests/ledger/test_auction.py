from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from p2penergy.ledger.auction import Clearing, Match, Order, Pricing, Reason, clear

SEED = b"s" * 32


def order(name: str, price: int, energy_wh: int, owner: str | None = None) -> Order:
    return Order(name.encode(), (owner or name).encode(), price, energy_wh)


def reasons(clearing: Clearing) -> dict[str, tuple[int, Reason]]:
    return {rest.order_id.decode(): (rest.energy_wh, rest.reason) for rest in clearing.unfilled}


# ---- an independent optimum --------------------------------------------------------------------------


def best(asks: Sequence[Order], bids: Sequence[Order], welfare: bool, volume_wh: int | None = None) -> int:
    """The most volume, or the most welfare, by linear programming over all pairs that may trade."""
    pairs = [
        (i, j)
        for i, ask in enumerate(asks)
        for j, bid in enumerate(bids)
        if ask.participant != bid.participant and ask.price_micro_per_kwh <= bid.price_micro_per_kwh
    ]
    if not pairs:
        return 0
    gains = [bids[j].price_micro_per_kwh - asks[i].price_micro_per_kwh if welfare else 1 for i, j in pairs]
    rows = np.zeros((len(asks) + len(bids), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        rows[i, column] = rows[len(asks) + j, column] = 1
    limits = [order.energy_wh for order in (*asks, *bids)]
    fixed = {} if volume_wh is None else {"A_eq": np.ones((1, len(pairs))), "b_eq": [volume_wh]}
    solved = linprog([-gain for gain in gains], A_ub=rows, b_ub=limits, method="highs", **fixed)
    assert solved.success
    return round(-solved.fun)


def let_in(asks: Sequence[Order], bids: Sequence[Order], price: int) -> tuple[list[Order], list[Order]]:
    return (
        [ask for ask in asks if ask.price_micro_per_kwh <= price],
        [bid for bid in bids if bid.price_micro_per_kwh >= price],
    )


def welfare_of(asks: Sequence[Order], bids: Sequence[Order], matches: Sequence[Match]) -> int:
    limits = {order.order_id: order.price_micro_per_kwh for order in (*asks, *bids)}
    return sum((limits[match.bid_id] - limits[match.ask_id]) * match.energy_wh for match in matches)


# ---- random books ------------------------------------------------------------------------------------


@st.composite
def books(draw: st.DrawFn, owners: int, alone: bool) -> tuple[list[Order], list[Order]]:
    """Small books with few prices, so that ties and self-crossing are common.

    With `alone`, sellers and buyers are different people.
    """
    sides = []
    for side in (0, 1):
        entries = draw(
            st.lists(st.tuples(st.integers(0, owners - 1), st.integers(0, 8), st.integers(1, 9)), max_size=6)
        )
        first = owners * side if alone else 0
        sides.append(
            [
                Order(b"%d-%d" % (side, n), b"member %d" % (first + owner), price, wh)
                for n, (owner, price, wh) in enumerate(entries)
            ]
        )
    return sides[0], sides[1]


apart = books(4, alone=True)
mixed = books(3, alone=False)
seeds = st.binary(min_size=32, max_size=32)
rules = st.sampled_from(Pricing)


@given(mixed, seeds, rules)
def test_nobody_pays_more_or_gets_less_than_his_limit_and_energy_is_conserved(
    book: tuple[list[Order], list[Order]], seed: bytes, rule: Pricing
) -> None:
    asks, bids = book
    clearing = clear(asks, bids, seed=seed, rule=rule)
    known = {order.order_id: order for order in (*asks, *bids)}
    traded: Counter[bytes] = Counter()
    for match in clearing.matches:
        ask, bid = known[match.ask_id], known[match.bid_id]
        assert match.energy_wh > 0
        assert ask.price_micro_per_kwh <= match.price_micro_per_kwh <= bid.price_micro_per_kwh
        assert ask.participant != bid.participant
        traded[match.ask_id] += match.energy_wh
        traded[match.bid_id] += match.energy_wh
    left = {rest.order_id: rest.energy_wh for rest in clearing.unfilled}
    assert all(wh > 0 for wh in left.values())
    assert {name: known[name].energy_wh for name in known} == {
        name: traded[name] + left.get(name, 0) for name in known
    }
    assert len({(match.ask_id, match.bid_id) for match in clearing.matches}) == len(clearing.matches)


@given(mixed, seeds, rules, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    book: tuple[list[Order], list[Order]], seed: bytes, rule: Pricing, dice: random.Random
) -> None:
    before = clear(*book, seed=seed, rule=rule)
    for side in book:
        dice.shuffle(side)
    assert clear(*book, seed=seed, rule=rule) == before


@settings(max_examples=60)
@given(apart, seeds)
def test_where_nobody_crosses_himself_volume_price_and_welfare_are_the_optimum(
    book: tuple[list[Order], list[Order]], seed: bytes
) -> None:
    asks, bids = book
    clearing = clear(asks, bids, seed=seed)
    assert welfare_of(asks, bids, clearing.matches) == best(asks, bids, welfare=True)
    prices = {order.price_micro_per_kwh for order in (*asks, *bids)}
    volumes = [best(*let_in(asks, bids, price), welfare=False) for price in prices]
    assert clearing.volume_wh == max(volumes, default=0)
    if clearing.price_micro_per_kwh is not None:
        low, high = supporting_prices(asks, bids, clearing)
        assert clearing.price_micro_per_kwh == (low + high) // 2


def supporting_prices(asks: Sequence[Order], bids: Sequence[Order], clearing: Clearing) -> tuple[int, int]:
    """All whole prices at which everybody wants just what he got: a search, not a formula."""
    left = {rest.order_id for rest in clearing.unfilled}
    matched = {name for match in clearing.matches for name in (match.ask_id, match.bid_id)}

    def content(order: Order, gain: int) -> bool:
        wants_more = order.order_id in left and gain > 0
        wants_less = order.order_id in matched and gain < 0
        return not wants_more and not wants_less

    prices = [
        price
        for price in range(10)
        if all(content(ask, price - ask.price_micro_per_kwh) for ask in asks)
        and all(content(bid, bid.price_micro_per_kwh - price) for bid in bids)
    ]
    return prices[0], prices[-1]


@settings(max_examples=60)
@given(mixed, seeds)
def test_with_own_orders_that_cross_the_volume_is_the_most_that_one_price_can_bring(
    book: tuple[list[Order], list[Order]], seed: bytes
) -> None:
    asks, bids = book
    clearing = clear(asks, bids, seed=seed)
    prices = {order.price_micro_per_kwh for order in (*asks, *bids)}
    volumes = [best(*let_in(asks, bids, price), welfare=False) for price in prices]
    assert clearing.volume_wh == max(volumes, default=0)
    if clearing.price_micro_per_kwh is not None:
        inside = let_in(asks, bids, clearing.price_micro_per_kwh)
        most = best(*inside, welfare=True, volume_wh=clearing.volume_wh)
        assert welfare_of(asks, bids, clearing.matches) == most


@given(mixed, seeds)
def test_no_two_strangers_are_left_behind_that_the_price_lets_in(
    book: tuple[list[Order], list[Order]], seed: bytes
) -> None:
    asks, bids = book
    clearing = clear(asks, bids, seed=seed)
    left = {rest.order_id for rest in clearing.unfilled}
    price = clearing.price_micro_per_kwh
    rest_asks, rest_bids = ([order for order in side if order.order_id in left] for side in (asks, bids))
    if price is not None:
        rest_asks, rest_bids = let_in(rest_asks, rest_bids, price)
    for ask in rest_asks:
        for bid in rest_bids:
            if ask.price_micro_per_kwh <= bid.price_micro_per_kwh:
                assert ask.participant == bid.participant


@given(apart, seeds)
def test_no_crossing_orders_are_left_where_nobody_crosses_himself(
    book: tuple[list[Order], list[Order]], seed: bytes
) -> None:
    asks, bids = book
    left = {rest.order_id for rest in clear(asks, bids, seed=seed).unfilled}
    lowest = min((ask.price_micro_per_kwh for ask in asks if ask.order_id in left), default=99)
    highest = max((bid.price_micro_per_kwh for bid in bids if bid.order_id in left), default=-1)
    assert highest < lowest


@given(mixed, seeds)
def test_every_rest_says_why(book: tuple[list[Order], list[Order]], seed: bytes) -> None:
    asks, bids = book
    clearing = clear(asks, bids, seed=seed)
    price, known = clearing.price_micro_per_kwh, {order.order_id: order for order in (*asks, *bids)}
    for rest in clearing.unfilled:
        order, is_ask = known[rest.order_id], known[rest.order_id] in asks
        limit = order.price_micro_per_kwh
        if rest.reason is Reason.PRICE and price is not None:
            assert limit > price if is_ask else limit < price
        elif rest.reason is Reason.SELF_ONLY:
            own = [other for other in (bids if is_ask else asks) if other.participant == order.participant]
            ends = [other.price_micro_per_kwh for other in own]
            assert limit <= max(ends) if is_ask else limit >= min(ends)
        elif price is not None:
            assert limit <= price if is_ask else limit >= price


@given(mixed, seeds)
def test_paying_the_bid_changes_prices_and_nothing_else(
    book: tuple[list[Order], list[Order]], seed: bytes
) -> None:
    uniform = clear(*book, seed=seed)
    as_bid = clear(*book, seed=seed, rule=Pricing.PAY_AS_BID)
    limits = {bid.order_id: bid.price_micro_per_kwh for bid in book[1]}
    assert as_bid.unfilled == uniform.unfilled
    assert as_bid.matches == tuple(
        replace(match, price_micro_per_kwh=limits[match.bid_id]) for match in uniform.matches
    )


# ---- by hand -----------------------------------------------------------------------------------------


def test_a_book_by_hand() -> None:
    asks = [order("a", 100, 50), order("b", 120, 50), order("c", 200, 50)]
    bids = [order("x", 290, 60), order("y", 150, 20), order("z", 110, 90)]
    clearing = clear(asks, bids, seed=SEED)
    # 80 Wh are wanted at 150 and more; b is left with 20, so that 120 is what the next Wh costs.
    assert clearing.price_micro_per_kwh == 120
    assert [(match.ask_id, match.bid_id, match.energy_wh) for match in clearing.matches] == [
        (b"a", b"x", 50),
        (b"b", b"x", 10),
        (b"b", b"y", 20),
    ]
    assert reasons(clearing) == {
        "b": (20, Reason.NO_COUNTERPARTY),
        "c": (50, Reason.PRICE),
        "z": (90, Reason.PRICE),
    }


def test_the_price_lies_halfway_and_half_a_millionth_is_dropped() -> None:
    clearing = clear([order("a", 100, 5)], [order("x", 201, 5)], seed=SEED)
    assert clearing.price_micro_per_kwh == 150
    assert clearing.matches == (Match(b"a", b"x", 5, 150),)


def test_an_order_that_stayed_behind_bounds_the_price() -> None:
    asks, bids = [order("a", 100, 5), order("b", 140, 5)], [order("x", 200, 5)]
    assert clear(asks, bids, seed=SEED).price_micro_per_kwh == 120


def test_each_buyer_pays_his_limit_where_genesis_says_so() -> None:
    asks, bids = [order("a", 100, 8)], [order("x", 290, 5), order("y", 150, 5)]
    clearing = clear(asks, bids, seed=SEED, rule=Pricing.PAY_AS_BID)
    assert [match.price_micro_per_kwh for match in clearing.matches] == [290, 150]


def test_ties_at_the_margin_are_drawn_and_every_order_can_win() -> None:
    bids = [order(name, 200, 10) for name in "uvwx"]
    winners = Counter(
        clear([order("a", 100, 10)], bids, seed=bytes([n]) * 32).matches[0].bid_id for n in range(200)
    )
    assert set(winners) == {b"u", b"v", b"w", b"x"}
    assert min(winners.values()) > 25


def test_orders_with_only_their_own_participant_opposite_do_not_trade() -> None:
    clearing = clear([order("a", 100, 5, "me")], [order("x", 200, 5, "me")], seed=SEED)
    assert clearing.price_micro_per_kwh is None
    assert not clearing.matches
    assert reasons(clearing) == {"a": (5, Reason.SELF_ONLY), "x": (5, Reason.SELF_ONLY)}


def test_a_side_without_orders_is_no_counterparty() -> None:
    assert reasons(clear([order("a", 100, 5)], [], seed=SEED)) == {"a": (5, Reason.NO_COUNTERPARTY)}
    assert reasons(clear([], [order("x", 100, 5)], seed=SEED)) == {"x": (5, Reason.NO_COUNTERPARTY)}
    assert clear([], [], seed=SEED) == Clearing(None, (), ())


def test_limits_that_do_not_meet_are_a_matter_of_price() -> None:
    clearing = clear([order("a", 200, 5)], [order("x", 100, 5)], seed=SEED)
    assert reasons(clearing) == {"a": (5, Reason.PRICE), "x": (5, Reason.PRICE)}


def test_a_stranger_gets_between_ones_own_orders() -> None:
    asks = [order("a", 10, 100, "me")]
    bids = [order("x", 20, 100, "me"), order("y", 15, 50)]
    clearing = clear(asks, bids, seed=SEED)
    # The dearer bid is the seller's own: it neither takes his energy nor sets the price.
    assert [(match.ask_id, match.bid_id, match.energy_wh) for match in clearing.matches] == [(b"a", b"y", 50)]
    assert clearing.price_micro_per_kwh == 12
    assert reasons(clearing) == {"a": (50, Reason.SELF_ONLY), "x": (100, Reason.SELF_ONLY)}


def test_people_who_would_meet_themselves_change_partners() -> None:
    asks = [order("a", 1, 10, "p"), order("b", 2, 10, "q")]
    bids = [order("x", 9, 10, "p"), order("y", 8, 10, "q")]
    clearing = clear(asks, bids, seed=SEED)
    assert {(match.ask_id, match.bid_id, match.energy_wh) for match in clearing.matches} == {
        (b"a", b"y", 10),
        (b"b", b"x", 10),
    }


def test_one_price_can_not_always_serve_all_and_the_one_near_the_crossing_is_taken() -> None:
    asks = [order("a", 10, 100, "me"), order("b", 15, 50)]
    bids = [order("x", 20, 100, "me"), order("y", 12, 50)]
    clearing = clear(asks, bids, seed=SEED)
    # a could sell to y at 10 to 12, or b to x at 15 to 20; the whole book crosses at 12.
    assert [(match.ask_id, match.bid_id) for match in clearing.matches] == [(b"a", b"y")]
    assert reasons(clearing)["b"] == (50, Reason.PRICE)


@pytest.mark.parametrize(
    ("asks", "bids"),
    [
        ([order("a", 1, 5)], [order("a", 2, 5)]),
        ([order("a", 1, 0)], []),
        ([order("a", -1, 5)], []),
    ],
)
def test_an_impossible_book_is_refused(asks: list[Order], bids: list[Order]) -> None:
    with pytest.raises(ValueError, match=r"order"):
        clear(asks, bids, seed=SEED)


def test_a_large_book_with_everybody_on_both_sides_is_cleared_in_merit_order() -> None:
    dice = random.Random(7)
    asks = [order(f"a{n}", dice.randrange(300), dice.randrange(1, 5000), f"m{n}") for n in range(3000)]
    bids = [order(f"b{n}", dice.randrange(300), dice.randrange(1, 5000), f"m{n}") for n in range(3000)]
    clearing = clear(asks, bids, seed=SEED)
    limits = {ask.order_id: ask.price_micro_per_kwh for ask in asks}
    assert all(limits[a.ask_id] <= limits[b.ask_id] for a, b in pairwise(clearing.matches))
    assert clearing.volume_wh > 0
