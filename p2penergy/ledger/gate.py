"""Gate closure: what the ledger's clock does to the orders of a period.

Lives here: clearing a period's book into contracts, and telling every order what became of it. Never
here: the matching itself (`auction`), delivery (`deferred`). Owns the invariant that no order stays
open beyond its gate, and that a bid's money is either under a contract or back with its owner.
Implements LEDGER section 4, step 2.

The gate for period p closes at the first block whose period is p - `gate_lead_periods` or later. The
seed of the draw among equal limits contains that block's reveal: nobody who placed an order knew it,
its proposer apart, who could only have given up its turn.
"""

from p2penergy.digests import TAG_AUCTION, TAG_MATCH, digest
from p2penergy.ledger import deferred, keys, qscore
from p2penergy.ledger.auction import Clearing, Order, Pricing, Reason, clear
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.orders import end_order
from p2penergy.ledger.records import MarketRecord, OrderEnd, OrderRecord, decode_record, encode_record
from p2penergy.ledger.state import State
from p2penergy.ledger.transactions import Side, Terms

_ENDS = {
    Reason.PRICE: OrderEnd.PRICE,
    Reason.NO_COUNTERPARTY: OrderEnd.NO_COUNTERPARTY,
    Reason.SELF_ONLY: OrderEnd.SELF_ONLY,
}

_Book = dict[bytes, OrderRecord]


def close_gates(block: BlockContext, state: State, beacon: bytes) -> None:
    """Clear every period whose gate closes with this block; `beacon` is this block's R.

    Orders for a period that the ledger's clock has passed over come too late. Costs in proportion to
    the orders.
    """
    books: dict[int, _Book] = {}
    for key in state.due(keys.ORDER, block.draft.period + block.market.gate_lead_periods):
        value = state.get(key)
        assert value is not None, "the state's index names an order that it does not hold"
        _, period, _ = keys.order_of(key)
        books.setdefault(period, {})[key] = decode_record(OrderRecord, value)
    for period, book in sorted(books.items()):
        if period < block.draft.period:
            for key, record in book.items():
                end_order(block, key, record, OrderEnd.TOO_LATE)
        else:
            _clear(block, period, book, digest(TAG_AUCTION, beacon, period.to_bytes(8, "big")))


def _clear(block: BlockContext, period: int, book: _Book, seed: bytes) -> None:
    sides: dict[Side, list[Order]] = {Side.ASK: [], Side.BID: []}
    for key, record in book.items():
        owner, _, _ = keys.order_of(key)
        if qscore.may_trade(block.market.scores, block.standings.score(owner)):
            sides[record.side].append(Order(key, owner, record.price_micro_per_kwh, record.energy_wh))
        else:
            end_order(block, key, record, OrderEnd.SCORE)
    rule = Pricing.PAY_AS_BID if block.market.pay_as_bid else Pricing.UNIFORM
    clearing = clear(sides[Side.ASK], sides[Side.BID], seed=seed, rule=rule)
    volume_wh = _contract(block, period, book, clearing)
    how = MarketRecord(clearing.price_micro_per_kwh, volume_wh, len(sides[Side.ASK]), len(sides[Side.BID]))
    block.scratch.put(keys.market(period), encode_record(how))


def generate_match_id(chain_id: bytes, ask_id: bytes, bid_id: bytes) -> bytes:
    """The trade id of an ask and a bid that met: over the keys of both orders."""
    return digest(TAG_MATCH, chain_id, ask_id, bid_id)


def _contract(block: BlockContext, period: int, book: _Book, clearing: Clearing) -> int:
    """Turn matches into contracts in escrow, end all orders of the book that took part; the Wh contracted.

    A match that the feeder can't carry beside the ones before it falls away.
    """
    filled_wh: dict[bytes, int] = {}
    spent_nano: dict[bytes, int] = {}
    undeliverable: dict[bytes, OrderEnd] = {}
    for number, match in enumerate(clearing.matches):
        seller, buyer = (keys.order_of(key)[0] for key in (match.ask_id, match.bid_id))
        if block.grid is not None and block.grid.refusal(seller, buyer, period, match.energy_wh):
            undeliverable |= dict.fromkeys((match.ask_id, match.bid_id), OrderEnd.GRID)
            continue
        terms = Terms(seller, buyer, period, match.energy_wh, match.price_micro_per_kwh, period, 0)
        trade_id = generate_match_id(block.chain_id, match.ask_id, match.bid_id)
        deferred.open_escrow(block, trade_id, terms, number, chosen=False)
        for key in (match.ask_id, match.bid_id):
            filled_wh[key] = filled_wh.get(key, 0) + match.energy_wh
        spent_nano[match.bid_id] = spent_nano.get(match.bid_id, 0) + terms.amount_nano
    ends = dict.fromkeys(filled_wh, OrderEnd.FILLED)
    ends |= {rest.order_id: _ENDS[rest.reason] for rest in clearing.unfilled}
    ends |= undeliverable
    for key in sorted(ends):
        end_order(block, key, book[key], ends[key], filled_wh.get(key, 0), spent_nano.get(key, 0))
    return sum(wh for key, wh in filled_wh.items() if book[key].side is Side.ASK)
