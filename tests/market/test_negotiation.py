"""Two households come to terms, or not: whatever is said, lost, doubled or late, nobody is bound unasked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from p2penergy.ledger.transactions import Terms, generate_trade_id
from p2penergy.market.negotiation import (
    KEPT_MAX,
    KEPT_PER_NEIGHBOUR_MAX,
    ROUNDS_MAX,
    UNASKED_MAX,
    VALID_PERIODS_MAX,
    Acceptance,
    NegotiationError,
    Negotiations,
    Offer,
    Rejection,
    Stand,
    Word,
)

CHAIN = bytes(32)
ANNA, BERT, CLARA = (bytes([number]) * 20 for number in (1, 2, 3))
NOW = 100


def terms(number: int = 1, **changes: Any) -> Terms:
    return replace(Terms(ANNA, BERT, NOW, 500, 200_000, NOW + 4, number), **changes)


def signature(who: bytes, what: Terms) -> bytes:
    return (who + generate_trade_id(what, CHAIN))[:32] * 2


def offer_id(what: Terms) -> bytes:
    return generate_trade_id(what, CHAIN)


class Household:
    """One side, with what it has signed."""

    def __init__(self, own: bytes) -> None:
        self.own = own
        self.all = Negotiations(own, CHAIN)
        self.signed: list[Terms] = []

    def sign(self, what: Terms) -> bytes:
        self.signed.append(what)
        return signature(self.own, what)

    def hear(self, sender: bytes, word: Word, period: int = NOW) -> str | None:
        return self.all.take(sender, word, period, lambda what, found: found == signature(sender, what))

    def stand(self, what: Terms) -> Stand:
        return dict(self.all.items())[offer_id(what)].stand


@pytest.fixture
def anna() -> Household:
    return Household(ANNA)


@pytest.fixture
def bert() -> Household:
    return Household(BERT)


def test_offer_and_acceptance_leave_both_signatures_on_one_set_of_terms(
    anna: Household, bert: Household
) -> None:
    assert bert.hear(ANNA, anna.all.offer(terms(), NOW)) is None
    assert (anna.stand(terms()), bert.stand(terms())) == (Stand.MADE, Stand.RECEIVED)
    assert anna.hear(BERT, bert.all.accept(offer_id(terms()), bert.sign)) is None
    assert (anna.stand(terms()), bert.stand(terms())) == (Stand.AGREED, Stand.SIGNED)
    assert anna.all.agreed(offer_id(terms())) == (terms(), signature(BERT, terms()))
    assert bert.signed == [terms()]
    anna.all.conclude(offer_id(terms()))
    with pytest.raises(NegotiationError, match="it is concluded"):
        anna.all.agreed(offer_id(terms()))


def test_only_the_last_offer_can_be_accepted(anna: Household, bert: Household) -> None:
    bert.hear(ANNA, anna.all.offer(terms(), NOW))
    cheaper = terms(2, price_micro_per_kwh=180_000)
    anna.hear(BERT, bert.all.offer(cheaper, NOW, offer_id(terms())))
    assert anna.stand(terms()) == bert.stand(terms()) == Stand.REPLACED
    with pytest.raises(NegotiationError, match="it is replaced"):
        bert.all.accept(offer_id(terms()), bert.sign)
    # Nor does it help to have signed it all the same.
    late = Acceptance(offer_id(terms()), signature(BERT, terms()))
    assert anna.hear(BERT, late) == "not_open"
    bert.hear(ANNA, anna.all.accept(offer_id(cheaper), anna.sign))
    assert bert.all.agreed(offer_id(cheaper))[0] == cheaper


def test_a_silent_neighbour_costs_nothing(anna: Household) -> None:
    anna.all.offer(terms(), NOW)
    assert anna.signed == []
    # The same energy is on offer to somebody else meanwhile.
    other = terms(2, buyer=CLARA)
    anna.all.offer(other, NOW)
    anna.hear(CLARA, Acceptance(offer_id(other), signature(CLARA, other)))
    assert anna.all.agreed(offer_id(other))[0] == other
    anna.all.expire(NOW + 5)
    assert len(anna.all) == 0


def test_an_offer_expires(anna: Household, bert: Household) -> None:
    made = anna.all.offer(terms(), NOW)
    accepted = Acceptance(offer_id(terms()), signature(BERT, terms()))
    assert anna.hear(BERT, accepted, NOW + 5) == "expired"
    assert bert.hear(ANNA, made, NOW + 5) == "unfit_offer"
    bert.hear(ANNA, made)
    bert.all.expire(NOW + 4)
    assert len(bert.all) == 1
    bert.all.expire(NOW + 5)
    with pytest.raises(NegotiationError, match="it has expired"):
        bert.all.accept(offer_id(terms()), bert.sign)


def test_declining_and_withdrawing(anna: Household, bert: Household) -> None:
    bert.hear(ANNA, anna.all.offer(terms(), NOW))
    anna.hear(BERT, bert.all.reject(offer_id(terms())))
    assert anna.stand(terms()) == bert.stand(terms()) == Stand.REJECTED
    second = terms(2)
    bert.hear(ANNA, anna.all.offer(second, NOW))
    bert.hear(ANNA, anna.all.reject(offer_id(second)))
    with pytest.raises(NegotiationError, match="it is rejected"):
        bert.all.accept(offer_id(second), bert.sign)


def test_what_was_signed_stays_so_whatever_the_neighbour_says(anna: Household, bert: Household) -> None:
    made = anna.all.offer(terms(), NOW)
    bert.hear(ANNA, made)
    first = bert.all.accept(offer_id(terms()), bert.sign)
    assert bert.hear(ANNA, Rejection(offer_id(terms()))) == "not_open"
    assert bert.hear(ANNA, Offer(terms(3), offer_id(terms()))) == "not_open"
    assert bert.stand(terms()) == Stand.SIGNED
    # A letter that was lost is written again, and says the same.
    assert bert.all.accept(offer_id(terms()), bert.sign) == first


@pytest.mark.parametrize(
    "bad",
    [
        terms(seller=CLARA),
        terms(buyer=CLARA),
        terms(seller=BERT, buyer=ANNA, period=NOW - 1),
        terms(valid_until_period=NOW - 1),
        terms(valid_until_period=NOW + VALID_PERIODS_MAX + 1),
        terms(seller=BERT),
    ],
)
def test_terms_that_are_no_offer_to_this_household(bert: Household, bad: Terms) -> None:
    assert bert.hear(ANNA, Offer(bad)) == "unfit_offer"


def test_nobody_answers_for_others(anna: Household, bert: Household) -> None:
    made = anna.all.offer(terms(), NOW)
    bert.hear(ANNA, made)
    accepted = bert.all.accept(offer_id(terms()), bert.sign)
    assert anna.hear(CLARA, accepted) == "unknown_offer"
    assert anna.hear(CLARA, Rejection(offer_id(terms()))) == "unknown_offer"
    assert anna.hear(CLARA, Offer(terms(9, buyer=CLARA), offer_id(terms()))) == "unknown_offer"
    assert anna.hear(BERT, Acceptance(offer_id(terms()), signature(CLARA, terms()))) == "bad_signature"
    assert anna.stand(terms()) == Stand.MADE
    with pytest.raises(NegotiationError, match="who made the offer"):
        bert.all.offer(terms(7, seller=CLARA), NOW, _fresh(bert))


def _fresh(bert: Household) -> bytes:
    bert.hear(ANNA, Offer(terms(50)))
    return offer_id(terms(50))


def test_an_offer_comes_once(bert: Household) -> None:
    assert bert.hear(ANNA, Offer(terms())) is None
    bert.all.reject(offer_id(terms()))
    assert bert.hear(ANNA, Offer(terms())) == "known_offer"
    assert bert.stand(terms()) == Stand.REJECTED


def test_a_flood_fills_its_own_share_only(bert: Household) -> None:
    codes = [bert.hear(ANNA, Offer(terms(number))) for number in range(KEPT_PER_NEIGHBOUR_MAX + 5)]
    assert codes.count(None) == KEPT_PER_NEIGHBOUR_MAX
    assert set(codes) == {None, "too_many_offers"}
    assert bert.hear(CLARA, Offer(terms(1, seller=CLARA))) is None


def test_floods_of_many_leave_room_for_own_offers(bert: Household) -> None:
    for number in range(KEPT_MAX):
        sender = number.to_bytes(20, "big")
        bert.hear(sender, Offer(terms(seller=sender)))
    assert len(bert.all) == UNASKED_MAX
    bert.all.offer(terms(1), NOW)


def test_a_matter_has_an_end(anna: Household, bert: Household) -> None:
    at, before = terms(0), None
    for number in range(1, ROUNDS_MAX):
        speaker, listener = (anna, bert) if number % 2 else (bert, anna)
        assert listener.hear(speaker.own, speaker.all.offer(at, NOW, before)) is None
        at, before = terms(number), offer_id(at)
    speaker, listener = (anna, bert) if ROUNDS_MAX % 2 else (bert, anna)
    last = speaker.all.offer(at, NOW, before)
    listener.hear(speaker.own, last)
    with pytest.raises(NegotiationError, match="accept or decline"):
        listener.all.offer(terms(ROUNDS_MAX), NOW, offer_id(at))
    assert speaker.hear(listener.own, Offer(terms(ROUNDS_MAX), offer_id(at))) == "too_many_offers"


def test_the_same_offer_is_not_made_twice(anna: Household) -> None:
    anna.all.offer(terms(), NOW)
    with pytest.raises(NegotiationError, match="another number"):
        anna.all.offer(terms(), NOW)


@given(st.data())
def test_whatever_is_lost_doubled_or_late_only_what_was_accepted_is_signed(data: st.DataObject) -> None:
    """Two households say what they may; letters are lost, doubled and delayed as the draw has it."""
    homes = {ANNA: Household(ANNA), BERT: Household(BERT)}
    post: dict[bytes, list[Word]] = {ANNA: [], BERT: []}
    accepted: dict[bytes, list[Terms]] = {ANNA: [], BERT: []}
    number = 0
    for _ in range(data.draw(st.integers(1, 25))):
        own = data.draw(st.sampled_from([ANNA, BERT]))
        other = BERT if own == ANNA else ANNA
        home, known = homes[own], [key for key, _ in homes[own].all.items()]
        what = data.draw(st.sampled_from(["offer", "counter", "accept", "reject", "hear", "hear"]))
        number += 1
        try:
            if what == "offer":
                post[other].append(home.all.offer(terms(number), NOW))
            elif what == "hear" and post[own]:
                at = data.draw(st.integers(0, len(post[own]) - 1))
                home.hear(other, post[own][at] if data.draw(st.booleans()) else post[own].pop(at))
            elif known and what != "hear":
                key = data.draw(st.sampled_from(known))
                if what == "counter":
                    post[other].append(home.all.offer(terms(number), NOW, key))
                elif what == "accept":
                    post[other].append(home.all.accept(key, home.sign))
                    accepted[own].append(home.signed[-1])
                else:
                    post[other].append(home.all.reject(key))
        except NegotiationError:
            continue
    for own, home in homes.items():
        assert home.signed == accepted[own]
        other = BERT if own == ANNA else ANNA
        for _, each in home.all.items():
            if each.stand is Stand.AGREED:
                assert each.terms in accepted[other] and each.terms not in accepted[own]
