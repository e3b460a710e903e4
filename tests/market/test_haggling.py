"""Agents that answer for themselves: never beyond their limits, and every matter ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from p2penergy.ledger.transactions import Terms
from p2penergy.market.haggling import YIELDING_ROUNDS, Limits, Move, What, moves
from p2penergy.market.negotiation import Negotiation, Negotiations, Stand, Word
from p2penergy.market.tariffs import Tariffs

CHAIN, NOW = bytes(32), 100
ANNA, BERT = bytes([1]) * 20, bytes([2]) * 20
TARIFFS = Tariffs()
prices = st.integers(TARIFFS.feed_in_micro_per_kwh, TARIFFS.retail_micro_per_kwh)


def terms(**changes: Any) -> Terms:
    return replace(Terms(ANNA, BERT, NOW + 1, 500, 200_000, NOW + 4, 1), **changes)


def limits(sell: int | None = 150_000, buy: int | None = 240_000, energy_wh_max: int = 1000) -> Limits:
    return Limits(sell, buy, energy_wh_max)


def answer(own: bytes, each: Negotiation, its: Limits) -> Move:
    (move,) = moves(own, [(b"id", each)], its, TARIFFS, NOW)
    return move


def received(**changes: Any) -> Negotiation:
    return Negotiation(terms(**changes), Stand.RECEIVED, True)


def test_a_good_offer_is_accepted_at_once_and_a_bad_one_countered() -> None:
    assert answer(BERT, received(price_micro_per_kwh=120_000), limits()).what is What.ACCEPT
    dear = answer(BERT, received(price_micro_per_kwh=280_000), limits())
    assert (dear.what, dear.energy_wh) == (What.COUNTER, 500)
    assert TARIFFS.feed_in_micro_per_kwh < dear.price_micro_per_kwh < 240_000
    assert answer(ANNA, received(price_micro_per_kwh=290_000), limits()).what is What.ACCEPT
    assert answer(ANNA, received(price_micro_per_kwh=100_000), limits()).price_micro_per_kwh > 150_000


@pytest.mark.parametrize(
    ("own", "its"), [(ANNA, limits(sell=None)), (BERT, limits(buy=None)), (BERT, limits(energy_wh_max=0))]
)
def test_what_the_household_does_not_do_is_declined(own: bytes, its: Limits) -> None:
    assert answer(own, received(), its).what is What.REJECT


def test_more_than_is_left_is_countered_with_what_is_left() -> None:
    move = answer(BERT, received(price_micro_per_kwh=120_000), limits(energy_wh_max=300))
    assert (move.what, move.energy_wh, move.price_micro_per_kwh) == (What.COUNTER, 300, 120_000)


@pytest.mark.parametrize("stand", [Stand.SIGNED, Stand.CONCLUDED])
def test_what_binds_already_counts_in_its_period_and_direction(stand: Stand) -> None:
    bound = (b"a", Negotiation(terms(number=2, energy_wh=600), stand, False))
    cheap = (b"b", received(price_micro_per_kwh=120_000))
    (move,) = moves(BERT, [bound, cheap], limits(), TARIFFS, NOW)
    assert (move.what, move.energy_wh) == (What.COUNTER, 400)
    elsewhere = (b"a", Negotiation(terms(number=2, energy_wh=600, period=NOW + 2), stand, False))
    assert moves(BERT, [elsewhere, cheap], limits(), TARIFFS, NOW)[0].what is What.ACCEPT


def test_two_offers_at_once_are_not_both_taken() -> None:
    offers = [(b"%d" % n, received(price_micro_per_kwh=120_000, number=n, energy_wh=700)) for n in (1, 2)]
    first, second = moves(BERT, offers, limits(), TARIFFS, NOW)
    assert first.what is What.ACCEPT
    assert (second.what, second.energy_wh) == (What.COUNTER, 300)


def test_what_the_neighbour_signed_is_concluded_within_limits_only() -> None:
    agreed = Negotiation(terms(price_micro_per_kwh=160_000), Stand.AGREED, False, 1, bytes(64))
    assert answer(ANNA, agreed, limits()).what is What.ACCEPT
    assert answer(ANNA, agreed, limits(sell=170_000)).what is What.REJECT
    assert answer(ANNA, agreed, limits(energy_wh_max=499)).what is What.REJECT
    over = Negotiation(terms(period=NOW - 1), Stand.AGREED, False, 1, bytes(64))
    assert answer(ANNA, over, limits()).what is What.REJECT


@given(prices, prices, prices, st.integers(1, 1000), st.integers(1, 1000))
def test_two_agents_agree_within_both_limits_or_part(
    sell_from: int, buy_to: int, first: int, sellers_wh: int, buyers_wh: int
) -> None:
    sides = {
        ANNA: (Negotiations(ANNA, CHAIN), limits(sell_from, None, sellers_wh)),
        BERT: (Negotiations(BERT, CHAIN), limits(None, buy_to, buyers_wh)),
    }
    word: Word = sides[ANNA][0].offer(
        terms(price_micro_per_kwh=max(first, sell_from), energy_wh=sellers_wh), NOW
    )
    speaker, number = ANNA, 1
    while True:
        own = BERT if speaker == ANNA else ANNA
        kept, its = sides[own]
        assert kept.take(speaker, word, NOW, lambda _terms, _signature: True) is None
        found = moves(own, kept.items(), its, TARIFFS, NOW)
        if not found:
            # The other has declined.
            assert not [each for _, each in kept.items() if each.stand in (Stand.SIGNED, Stand.AGREED)]
            assert sell_from > buy_to
            return
        (move,) = found
        number += 1
        assert number <= YIELDING_ROUNDS + 2
        if move.what is What.COUNTER:
            at = dict(kept.items())[move.offer_id].terms
            new = replace(
                at, energy_wh=move.energy_wh, price_micro_per_kwh=move.price_micro_per_kwh, number=number
            )
            word = kept.offer(new, NOW, move.offer_id)
        elif move.what is What.REJECT:
            word = kept.reject(move.offer_id)
        else:
            stand = dict(kept.items())[move.offer_id].stand
            if stand is Stand.AGREED:
                done, _ = kept.agreed(move.offer_id)
                assert sell_from <= done.price_micro_per_kwh <= buy_to
                assert done.energy_wh <= min(sellers_wh, buyers_wh)
                return
            word = kept.accept(move.offer_id, lambda _terms: bytes(64))
        speaker = own


def test_agents_with_room_between_them_do_agree() -> None:
    """Whoever begins, and however little room there is."""
    for sell_from, buy_to in ((150_000, 240_000), (200_000, 200_000), (120_000, 120_000)):
        at, number = terms(price_micro_per_kwh=290_000), 1
        for turn in range(YIELDING_ROUNDS):
            own = BERT if turn % 2 == 0 else ANNA
            each = Negotiation(at, Stand.RECEIVED, True, number)
            move = answer(own, each, limits(sell_from, buy_to))
            if move.what is What.ACCEPT:
                assert sell_from <= at.price_micro_per_kwh <= buy_to
                break
            assert move.what is What.COUNTER
            at, number = replace(at, price_micro_per_kwh=move.price_micro_per_kwh), number + 1
        else:
            raise AssertionError("they should have agreed")
