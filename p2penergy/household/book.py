"""Orders of a household, and the market that they meet in.

Lives here: signing and sending orders, reading the order book and past prices. Never here: matching
(`ledger.auction`). Implements LEDGER section 4, step 2, from a household's side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from p2penergy.coordinator import wall_clock_ms
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger import keys, query
from p2penergy.ledger.gate import generate_match_id
from p2penergy.ledger.memberships import PERIOD_MAX
from p2penergy.ledger.receipts import OrderReceipt
from p2penergy.ledger.records import MarketRecord, OrderEnd, OrderRecord, decode_record
from p2penergy.ledger.transactions import (
    ORDER_PLACES,
    CancelOrder,
    PlaceOrder,
    Side,
    sign_cancel,
    sign_order,
)

LIFE_PERIODS = 8
"""How long a block may take what is sent now."""
MATCHES_ASKED_MAX = 1_024
"""Pairs of orders that may have become trades, the latest."""
_VERSIONS_OF_A_MARKET = 2
"""Written once, and ended when the current state no longer needs it."""


WHY = {
    OrderEnd.OPEN: "open",
    OrderEnd.FILLED: "filled",
    OrderEnd.PRICE: "price: its limit did not meet the market's",
    OrderEnd.NO_COUNTERPARTY: "no counterparty: nobody was left on the other side",
    OrderEnd.SELF_ONLY: "own orders only: nobody trades with himself",
    OrderEnd.SCORE: "score: below the trading bar when the gate closed",
    OrderEnd.TOO_LATE: "too late: its period had begun before the gate could close",
    OrderEnd.CANCELLED: "cancelled",
    OrderEnd.GRID: "grid: the feeder could not have carried it",
}
"""What became of an order, or of the rest of it, in words."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An order and where it stands."""

    participant_id: bytes
    period: int
    place: int
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class Market:
    """Open orders, and how past auctions went."""

    period: int
    """The ledger's."""
    first_open: int
    """The first period whose gate is open."""
    book: Sequence[Listed]
    """Period by period; asks before bids, each from its best price on."""
    auctions: Sequence[tuple[int, MarketRecord]]
    """Ascending by period."""


async def _clock(network: Network) -> tuple[int, int]:
    """The ledger's period, and the first whose gate is open."""
    now = query.tip((await network.values([keys.TIP])).get).period
    return now, now + network.device.genesis.market.gate_lead_periods + 1


async def _listed(network: Network, prefix: bytes) -> list[Listed]:
    found = await network.entries(prefix)
    return [Listed(*keys.order_of(key), decode_record(OrderRecord, value)) for key, value in found]


async def own_orders(network: Network) -> list[Listed]:
    """Open orders of this household, and what became of those of a transaction's life ago."""
    return sorted(
        await _listed(network, keys.ORDER + network.participant_id), key=lambda o: (o.period, o.place)
    )


async def matches(network: Network, orders: Sequence[Listed]) -> dict[Listed, list[bytes]]:
    """Ids of the trades that filled these orders, for as long as the ledger shows orders."""
    filled = [each for each in await _listed(network, keys.ORDER) if each.record.filled_wh]
    pairs: dict[bytes, Listed] = {}
    for own in orders:
        if own.record.filled_wh:
            meets = (o for o in filled if o.period == own.period and o.record.side is not own.record.side)
            pairs |= {_match_id(network.device.genesis.chain_id, own, other): own for other in meets}
    by_key = {keys.contract(match_id): match_id for match_id in list(pairs)[-MATCHES_ASKED_MAX:]}
    found: dict[Listed, list[bytes]] = {}
    for key, versions in (await network.histories(tuple(by_key), 1)).items():
        if versions:
            found.setdefault(pairs[by_key[key]], []).append(by_key[key])
    return found


def _match_id(chain_id: bytes, one: Listed, other: Listed) -> bytes:
    """What the ledger calls the trade between an ask and a bid."""
    ask, bid = (one, other) if one.record.side is Side.ASK else (other, one)
    ends = (keys.order(each.participant_id, each.period, each.place) for each in (ask, bid))
    return generate_match_id(chain_id, *ends)


async def market(network: Network, auctions_max: int) -> Market:
    """The book, and the auctions of the last `auctions_max` periods."""
    now, first_open = await _clock(network)
    is_open = [each for each in await _listed(network, keys.ORDER) if each.record.end is OrderEnd.OPEN]
    by_key = {keys.market(p): p for p in range(max(first_open - auctions_max, 0), first_open)}
    auctions = []
    for key, versions in (await network.histories(tuple(by_key), _VERSIONS_OF_A_MARKET)).items():
        written = [each.value for each in versions if each.value is not None]
        auctions += [(by_key[key], decode_record(MarketRecord, value)) for value in written[-1:]]
    return Market(now, first_open, sorted(is_open, key=_best_first), auctions)


def _best_first(order: Listed) -> tuple[int, int, int]:
    record = order.record
    price = record.price_micro_per_kwh
    return order.period, record.side, price if record.side is Side.ASK else -price


async def place(
    network: Network,
    side: Side,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
    expires_period: int | None = None,
) -> tuple[PlaceOrder, OrderReceipt, int]:
    """Sign and send an order, by default for the first period whose gate is open.

    No block after `expires_period` takes it; what was taken stands until its gate closes.

    Returns the order, its receipt and the block's height.

    Raises:
        HouseholdError: all places for the period are taken, or there is no such period.
    """
    now, first_open = await _clock(network)
    wanted = first_open if period is None else period
    if wanted > PERIOD_MAX:
        raise HouseholdError(f"there is no period {wanted}")
    taken = {
        o.place for o in await own_orders(network) if o.period == wanted and o.record.end is OrderEnd.OPEN
    }
    free = [number for number in range(ORDER_PLACES) if number not in taken]
    if not free:
        raise HouseholdError(f"{ORDER_PLACES} orders for this period are open already: cancel one first")
    order = sign_order(
        network.device.signer,
        network.device.genesis.chain_id,
        side,
        wanted,
        free[0],
        energy_wh,
        price_micro_per_kwh,
        wall_clock_ms(),
        now + LIFE_PERIODS if expires_period is None else expires_period,
    )
    receipt, height = await network.send(order)
    assert isinstance(receipt, OrderReceipt), "the receipt of an order"
    return order, receipt, height


async def cancel(network: Network, period: int, place_number: int) -> tuple[CancelOrder, OrderReceipt, int]:
    """Take an order back; returns the withdrawal, its receipt and the block's height."""
    now, _ = await _clock(network)
    withdrawal = sign_cancel(
        network.device.signer,
        network.device.genesis.chain_id,
        period,
        place_number,
        wall_clock_ms(),
        now + LIFE_PERIODS,
    )
    receipt, height = await network.send(withdrawal)
    assert isinstance(receipt, OrderReceipt), "the receipt of a withdrawal"
    return withdrawal, receipt, height
