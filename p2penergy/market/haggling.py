"""How an agent answers offers by itself: within limits that its household set, yielding step by step.

Lives here: which offers to accept, counter, decline or conclude. Never here: what these do (`negotiation`),
letters. Owns the invariants that nothing is signed or concluded beyond the household's limits of price and of
energy per period, and that every matter between two such agents ends.

A side begins at the retailer's price that is best for it and yields by equal steps to its own limit, which it
reaches in round `YIELDING_ROUNDS`. Two agents whose limits leave room agree by then; others part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from p2penergy.market.negotiation import Negotiation, Stand
from p2penergy.market.tariffs import Tariffs

YIELDING_ROUNDS = 6

_BINDING = (Stand.SIGNED, Stand.CONCLUDED)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a household leaves to its agent; None: it does not sell, or does not buy."""

    sell_from_micro_per_kwh: int | None
    buy_to_micro_per_kwh: int | None
    energy_wh_max: int
    """Bought, and likewise sold, in one period."""


class What(IntEnum):
    """What to do with an offer."""

    ACCEPT = 1
    """Sign the neighbour's, or conclude what he has signed."""
    COUNTER = 2
    REJECT = 3


@dataclass(frozen=True, slots=True)
class Move:
    """An answer; energy and price are those of a counter-offer, else of the offer."""

    offer_id: bytes
    what: What
    energy_wh: int
    price_micro_per_kwh: int


def moves(
    own: bytes,
    offers: Sequence[tuple[bytes, Negotiation]],
    limits: Limits,
    tariffs: Tariffs,
    period: int,
) -> list[Move]:
    """Answers to all offers that wait for this household; those it makes itself later count then."""
    bound_wh: dict[tuple[int, bool], int] = {}
    for _, each in offers:
        if each.stand in _BINDING:
            _bind(bound_wh, each, own)
    found = []
    for offer_id, each in offers:
        if each.stand not in (Stand.RECEIVED, Stand.AGREED):
            continue
        left_wh = limits.energy_wh_max - bound_wh.get((each.terms.period, each.terms.seller == own), 0)
        move = _move(own, offer_id, each, limits, tariffs, left_wh, period)
        if move.what is What.ACCEPT:
            _bind(bound_wh, each, own)
        found.append(move)
    return found


def _bind(bound_wh: dict[tuple[int, bool], int], each: Negotiation, own: bytes) -> None:
    key = each.terms.period, each.terms.seller == own
    bound_wh[key] = bound_wh.get(key, 0) + each.terms.energy_wh


def _move(
    own: bytes,
    offer_id: bytes,
    each: Negotiation,
    limits: Limits,
    tariffs: Tariffs,
    left_wh: int,
    period: int,
) -> Move:
    terms, sells = each.terms, each.terms.seller == own
    price, energy_wh = terms.price_micro_per_kwh, terms.energy_wh
    limit = limits.sell_from_micro_per_kwh if sells else limits.buy_to_micro_per_kwh
    reject = Move(offer_id, What.REJECT, energy_wh, price)
    if limit is None or left_wh <= 0 or terms.period < period:
        return reject
    within = price >= limit if sells else price <= limit
    accept = Move(offer_id, What.ACCEPT, energy_wh, price)
    if each.stand is Stand.AGREED:
        return accept if within and energy_wh <= left_wh else reject
    wanted = _wanted(sells, limit, tariffs, each.round)
    good = price >= wanted if sells else price <= wanted
    if good and energy_wh <= left_wh:
        return accept
    if each.round >= YIELDING_ROUNDS:
        return reject
    better = max(price, wanted) if sells else min(price, wanted)
    return Move(offer_id, What.COUNTER, min(energy_wh, left_wh), better)


def _wanted(sells: bool, limit: int, tariffs: Tariffs, number: int) -> int:
    """The price that this side asks for in a round; never beyond its limit."""
    if sells:
        start = max(tariffs.retail_micro_per_kwh, limit)
        return start - (start - limit) * min(number, YIELDING_ROUNDS - 1) // (YIELDING_ROUNDS - 1)
    start = min(tariffs.feed_in_micro_per_kwh, limit)
    return start + (limit - start) * min(number, YIELDING_ROUNDS - 1) // (YIELDING_ROUNDS - 1)
