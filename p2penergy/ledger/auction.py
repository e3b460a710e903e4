"""The double auction of one settlement period: orders in, matches and reasons out.

Lives here: `clear`, a pure function of one book. Never here: who may order, escrow, when the gate
closes, what a match writes. Owns the invariants that nobody pays more or gets less than his limit,
that nobody trades with himself, that no order fills beyond its energy, and that neither the order of
arrival nor anything else but book, seed and rule matters. Implements LEDGER section 4, step 2.

One price serves all. A price lets in the asks at or below it and the bids at or above it; the volume
it can bring about is the maximum flow from asks to bids when nobody may serve himself. With S and D
the energies let in, and s and d one participant's share of them, that maximum has a closed form:

    min(S, D, min over participants of S + D - s - d)

for only a participant's own demand is out of reach of its own supply. The price with the largest
volume wins. Where nobody's own ask and bid cross, that is the crossing of the two merit orders, which
is the largest welfare too. Where they do, several prices may bring the same volume: the one nearest
to the crossing of the whole book is taken, the lower of two, so that such orders move the price least.

Settlement price (k = 1/2): halfway between the lowest and the highest price at which exactly these
fills are what everybody wants, rounded down to a millionth. That is the k-double auction per Wh; the
ends are set by the accepted orders and by the best that had to stay behind. As an option each buyer
pays his own limit (`Pricing.PAY_AS_BID`); who gets how much does not depend on it.

Equal limits stand in the order of SHA-256(seed, order id). The seed is known after the gate has closed,
so nobody can choose an id that wins.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

UNLIMITED_WH = 2**63
"""More than any book holds: no cap."""


class Pricing(IntEnum):
    """What a match costs."""

    UNIFORM = 1
    """One price for all, k = 1/2."""
    PAY_AS_BID = 2
    """Every buyer pays his limit."""


class Reason(IntEnum):
    """Why an order, or the rest of it, was not filled."""

    PRICE = 1
    """The market's price is beyond the order's limit, or nobody's limit meets it."""
    NO_COUNTERPARTY = 2
    """The limit is good enough, but the other side is used up, or there is none."""
    SELF_ONLY = 3
    """All that is left to meet it is the participant's own order."""


@dataclass(frozen=True, slots=True)
class Order:
    """An ask or a bid: at most (a bid) or at least (an ask) this price, up to this energy."""

    order_id: bytes
    participant: bytes
    price_micro_per_kwh: int
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Match:
    """Energy that goes from an ask to a bid, and its price."""

    ask_id: bytes
    bid_id: bytes
    energy_wh: int
    price_micro_per_kwh: int


@dataclass(frozen=True, slots=True)
class Unfilled:
    """What is left of an order, more than 0 Wh, and why."""

    order_id: bytes
    energy_wh: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Clearing:
    """The result; both lists in merit order, asks before bids among the unfilled."""

    price_micro_per_kwh: int | None
    """The uniform price, also where buyers pay their bids; None: nothing matched."""
    matches: tuple[Match, ...]
    unfilled: tuple[Unfilled, ...]

    @property
    def volume_wh(self) -> int:
        """All energy that changes hands."""
        return sum(match.energy_wh for match in self.matches)


def clear(
    asks: Iterable[Order], bids: Iterable[Order], *, seed: bytes, rule: Pricing = Pricing.UNIFORM
) -> Clearing:
    """Match one period's book. Costs n log n in the number of orders while nobody crosses himself.

    Raises:
        ValueError: an order id comes twice, or an order has no energy or a negative price.
    """
    book = _Book.of(asks, bids, seed)
    level = _best_level(book)
    if level is None:
        nothing: dict[bytes, int] = {}
        return Clearing(None, (), _unfilled(book, nothing, None))
    filled_wh = _fills(book, level)
    price = _price(book, filled_wh)
    matches = tuple(
        Match(
            ask.order_id,
            bid.order_id,
            energy_wh,
            price if rule is Pricing.UNIFORM else bid.price_micro_per_kwh,
        )
        for ask, bid, energy_wh in _in_order(book, _without_self(_pairs(book, filled_wh)))
    )
    return Clearing(price, matches, _unfilled(book, filled_wh, price))


# ---- the book --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Book:
    """Both sides in merit order: cheapest asks and dearest bids first, ties as drawn."""

    asks: tuple[Order, ...]
    bids: tuple[Order, ...]

    @classmethod
    def of(cls, asks: Iterable[Order], bids: Iterable[Order], seed: bytes) -> "_Book":
        def ticket(order: Order) -> tuple[bytes, bytes]:
            return sha256(seed + order.order_id).digest(), order.order_id

        book = cls(
            tuple(sorted(asks, key=lambda order: (order.price_micro_per_kwh, ticket(order)))),
            tuple(sorted(bids, key=lambda order: (-order.price_micro_per_kwh, ticket(order)))),
        )
        orders = book.asks + book.bids
        if len({order.order_id for order in orders}) != len(orders):
            raise ValueError("an order id stands in the book twice")
        if any(order.energy_wh <= 0 or order.price_micro_per_kwh < 0 for order in orders):
            raise ValueError("an order has at least 1 Wh and a price of 0 or more")
        return book


@dataclass(slots=True)
class _Level:
    """What one price lets in."""

    price: int
    supply_wh: int = 0
    demand_wh: int = 0
    volume_wh: int = 0


@dataclass(slots=True)
class _Shares:
    """Energy let in per participant, both sides together, and whose is the largest."""

    _shares_wh: dict[bytes, int] = field(default_factory=dict)
    _heap: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, participant: bytes, energy_wh: int) -> None:
        share_wh = self._shares_wh.get(participant, 0) + energy_wh
        self._shares_wh[participant] = share_wh
        heapq.heappush(self._heap, (-share_wh, participant))

    def largest_wh(self) -> int:
        # Entries of shares that have changed since are dropped when they come up.
        while self._heap and -self._heap[0][0] != self._shares_wh[self._heap[0][1]]:
            heapq.heappop(self._heap)
        return -self._heap[0][0] if self._heap else 0


def _levels(book: _Book) -> list[_Level]:
    """Every limit of the book as a price, ascending, with the volume it would bring about."""
    shares = _Shares()
    level = _Level(0)
    for bid in book.bids:
        level.demand_wh += bid.energy_wh
        shares.add(bid.participant, bid.energy_wh)
    asks, bids = list(reversed(book.asks)), list(book.bids)
    levels = []
    for price in sorted({order.price_micro_per_kwh for order in book.asks + book.bids}):
        while bids and bids[-1].price_micro_per_kwh < price:
            gone = bids.pop()
            level.demand_wh -= gone.energy_wh
            shares.add(gone.participant, -gone.energy_wh)
        while asks and asks[-1].price_micro_per_kwh <= price:
            come = asks.pop()
            level.supply_wh += come.energy_wh
            shares.add(come.participant, come.energy_wh)
        both_wh = level.supply_wh + level.demand_wh
        volume_wh = min(level.supply_wh, level.demand_wh, both_wh - shares.largest_wh())
        levels.append(_Level(price, level.supply_wh, level.demand_wh, volume_wh))
    return levels


def _best_level(book: _Book) -> _Level | None:
    """The price with the largest volume, next to the whole book's crossing; None: nothing can trade."""
    levels = _levels(book)
    most_wh = max((level.volume_wh for level in levels), default=0)
    if not most_wh:
        return None
    crossing_wh = max(min(level.supply_wh, level.demand_wh) for level in levels)
    crossing = next(level for level in levels if min(level.supply_wh, level.demand_wh) == crossing_wh)
    best = (level for level in levels if level.volume_wh == most_wh)
    return min(best, key=lambda level: (abs(level.price - crossing.price), level.price))


# ---- who gets how much -----------------------------------------------------------------------------


def _fills(book: _Book, level: _Level) -> dict[bytes, int]:
    """Wh per order id that trade at a level, merit order first; orders without any are left out.

    The short side trades wholly. On the long side nobody may take so much that his own short side finds
    no other. If a participant's own orders leave less than either side, everybody else trades wholly,
    and that participant takes what the others leave.
    """
    asks = [ask for ask in book.asks if ask.price_micro_per_kwh <= level.price]
    bids = [bid for bid in book.bids if bid.price_micro_per_kwh >= level.price]
    supply_wh, demand_wh = _by_participant(asks), _by_participant(bids)
    volume_wh = level.volume_wh
    ask_caps_wh: Mapping[bytes, int] = {}
    bid_caps_wh: Mapping[bytes, int] = {}
    if volume_wh == level.supply_wh:
        bid_caps_wh = {who: volume_wh - wh for who, wh in supply_wh.items()}
    elif volume_wh == level.demand_wh:
        ask_caps_wh = {who: volume_wh - wh for who, wh in demand_wh.items()}
    else:
        most = max(supply_wh, key=lambda who: supply_wh[who] + demand_wh.get(who, 0))
        ask_caps_wh = {most: level.demand_wh - demand_wh[most]}
        bid_caps_wh = {most: level.supply_wh - supply_wh[most]}
    filled_wh: dict[bytes, int] = {}
    for orders, caps_wh in ((asks, ask_caps_wh), (bids, bid_caps_wh)):
        _fill(orders, volume_wh, dict(caps_wh), filled_wh)
    return filled_wh


def _by_participant(orders: Iterable[Order]) -> dict[bytes, int]:
    shares_wh: dict[bytes, int] = {}
    for order in orders:
        shares_wh[order.participant] = shares_wh.get(order.participant, 0) + order.energy_wh
    return shares_wh


def _fill(
    orders: Iterable[Order], volume_wh: int, caps_wh: dict[bytes, int], filled_wh: dict[bytes, int]
) -> None:
    left_wh = volume_wh
    for order in orders:
        cap_wh = caps_wh.get(order.participant, UNLIMITED_WH)
        energy_wh = min(order.energy_wh, cap_wh, left_wh)
        if energy_wh:
            filled_wh[order.order_id] = energy_wh
            caps_wh[order.participant] = cap_wh - energy_wh
            left_wh -= energy_wh
    assert not left_wh, "a level promised more than its orders can trade"


# ---- at which price --------------------------------------------------------------------------------


def _price(book: _Book, filled_wh: Mapping[bytes, int]) -> int:
    """Halfway between the ends of the prices that support the fills."""
    dearest_ask = max(ask.price_micro_per_kwh for ask in book.asks if ask.order_id in filled_wh)
    lowest_bid = min(bid.price_micro_per_kwh for bid in book.bids if bid.order_id in filled_wh)
    low, high = dearest_ask, lowest_bid
    asks, bids = _rests(book.asks, filled_wh), _rests(book.bids, filled_wh)
    crossed = _own_crossing(asks, bids)
    # A rest beyond the accepted orders' span is one that only a participant's own orders held back:
    # no price could have served it and them.
    for bid in bids:
        if bid.participant not in crossed and bid.price_micro_per_kwh <= lowest_bid:
            low = max(low, bid.price_micro_per_kwh)
    for ask in asks:
        if ask.participant not in crossed and ask.price_micro_per_kwh >= dearest_ask:
            high = min(high, ask.price_micro_per_kwh)
    assert low <= high, "orders that could trade were left behind"
    return (low + high) // 2


def _rests(orders: Iterable[Order], filled_wh: Mapping[bytes, int]) -> list[Order]:
    return [order for order in orders if filled_wh.get(order.order_id, 0) < order.energy_wh]


def _own_crossing(asks: Sequence[Order], bids: Sequence[Order]) -> dict[bytes, tuple[int, int]]:
    """Participants whose own asks and bids cross: the lowest of the ones, the highest of the others."""
    lowest: dict[bytes, int] = {}
    highest: dict[bytes, int] = {}
    for ask in asks:
        lowest.setdefault(ask.participant, ask.price_micro_per_kwh)
    for bid in bids:
        highest.setdefault(bid.participant, bid.price_micro_per_kwh)
    return {
        who: (lowest[who], highest[who]) for who in lowest if who in highest and lowest[who] <= highest[who]
    }


# ---- with whom -------------------------------------------------------------------------------------

_Pair = tuple[Order, Order, int]


def _pairs(book: _Book, filled_wh: Mapping[bytes, int]) -> list[_Pair]:
    """Walk down both merit orders; a participant may meet himself here."""
    asks = [(ask, filled_wh[ask.order_id]) for ask in book.asks if ask.order_id in filled_wh]
    bids = [(bid, filled_wh[bid.order_id]) for bid in book.bids if bid.order_id in filled_wh]
    asks.reverse()
    bids.reverse()
    pairs = []
    while asks:
        (ask, supply_wh), (bid, demand_wh) = asks.pop(), bids.pop()
        energy_wh = min(supply_wh, demand_wh)
        pairs.append((ask, bid, energy_wh))
        if supply_wh > energy_wh:
            asks.append((ask, supply_wh - energy_wh))
        if demand_wh > energy_wh:
            bids.append((bid, demand_wh - energy_wh))
    return pairs


def _without_self(pairs: list[_Pair]) -> list[_Pair]:
    """Let whoever met himself change partners with a pair that has no part of him.

    The fills leave enough such pairs: a participant's asks and bids together are no more than the
    volume. A change never makes anybody meet himself.
    """
    apart = [pair for pair in pairs if pair[0].participant != pair[1].participant]
    alone = [pair for pair in pairs if pair[0].participant == pair[1].participant]
    alone.reverse()
    while alone:
        ask, bid, energy_wh = alone.pop()
        others = alone if _strangers(alone, ask.participant) else apart
        at = next(i for i, other in enumerate(others) if ask.participant not in _parties(other))
        other_ask, other_bid, other_wh = others.pop(at)
        moved_wh = min(energy_wh, other_wh)
        apart += [(ask, other_bid, moved_wh), (other_ask, bid, moved_wh)]
        if energy_wh > moved_wh:
            alone.append((ask, bid, energy_wh - moved_wh))
        if other_wh > moved_wh:
            others.append((other_ask, other_bid, other_wh - moved_wh))
    return apart


def _in_order(book: _Book, pairs: Iterable[_Pair]) -> list[_Pair]:
    """Pairs in merit order of the asks, then of the bids, each pair once."""
    totals_wh: dict[tuple[int, int], int] = {}
    ask_ranks, bid_ranks = (
        {order.order_id: rank for rank, order in enumerate(side)} for side in (book.asks, book.bids)
    )
    for ask, bid, energy_wh in pairs:
        ranks = ask_ranks[ask.order_id], bid_ranks[bid.order_id]
        totals_wh[ranks] = totals_wh.get(ranks, 0) + energy_wh
    return [(book.asks[at], book.bids[by], energy_wh) for (at, by), energy_wh in sorted(totals_wh.items())]


def _parties(pair: _Pair) -> tuple[bytes, bytes]:
    return pair[0].participant, pair[1].participant


def _strangers(pairs: Iterable[_Pair], participant: bytes) -> bool:
    return any(participant not in _parties(pair) for pair in pairs)


# ---- and why not -----------------------------------------------------------------------------------


def _unfilled(book: _Book, filled_wh: Mapping[bytes, int], price: int | None) -> tuple[Unfilled, ...]:
    asks, bids = _rests(book.asks, filled_wh), _rests(book.bids, filled_wh)
    crossed = _own_crossing(asks, bids)
    ask_owners, bid_owners = ({order.participant for order in side} for side in (book.asks, book.bids))

    def reason(order: Order, is_ask: bool) -> Reason:
        limit = order.price_micro_per_kwh
        if price is not None and (limit > price if is_ask else limit < price):
            return Reason.PRICE
        lowest, highest = crossed.get(order.participant, (None, None))
        if lowest is not None and highest is not None and (limit <= highest if is_ask else limit >= lowest):
            return Reason.SELF_ONLY
        owners = bid_owners if is_ask else ask_owners
        others = len(owners) - (order.participant in owners)
        return Reason.NO_COUNTERPARTY if price is not None or not others else Reason.PRICE

    return tuple(
        Unfilled(order.order_id, order.energy_wh - filled_wh.get(order.order_id, 0), reason(order, is_ask))
        for side, is_ask in ((asks, True), (bids, False))
        for order in side
    )
