"""Orders: taking an ask or a bid for a period's auction, and taking it back.

Lives here: the rules on one order and what standing in the book means. Never here: matching
(`auction`), the closing of the gate (`gate`). Owns the invariants that an open bid can always be paid,
that nobody has more than `ORDER_PLACES` orders for a period, and all together no more than a book holds.
Implements LEDGER section 4, step 2.
"""

from p2penergy.ledger import keys, open_orders, qscore, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.open_orders import orders_max
from p2penergy.ledger.readings import rated_wh
from p2penergy.ledger.receipts import ACCEPTED, Decline, OrderReceipt, Refusal
from p2penergy.ledger.records import (
    MemberRecord,
    OrderEnd,
    OrderRecord,
    decode_integer,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.transactions import CancelOrder, PlaceOrder, Side, answer_key


def place_order(
    block: BlockContext, order: PlaceOrder, transaction_id: bytes, member: MemberRecord
) -> OrderReceipt:
    """Take an order whose owner's signature holds, or decline it; its nonce is answered either way.

    A bid's money leaves the wallet now, at its limit, so that no match can fail for want of it.
    """
    scratch = block.scratch
    scratch.put(answer_key(order), encode_integer(order.expires_period))
    escrow_nano = order.energy_wh * order.price_micro_per_kwh if order.side is Side.BID else 0
    refusal = _refusal(block, order, member, escrow_nano)
    if refusal is None:
        if escrow_nano:
            wallet = keys.wallet(order.submitter)
            scratch.put(wallet, encode_integer(decode_integer(scratch.get(wallet)) - escrow_nano))
        record = OrderRecord(order.side, order.energy_wh, order.price_micro_per_kwh, escrow_nano)
        scratch.put(keys.order(order.submitter, order.period, order.place), encode_record(record))
        block.open_orders.change(order.period, 1)
    return _receipt(order, transaction_id, refusal, order.energy_wh)


def _refusal(
    block: BlockContext, order: PlaceOrder, member: MemberRecord, escrow_nano: int
) -> Refusal | None:
    get, market, rules = block.scratch.get, block.market, block.market.scores
    first_open = block.draft.period + market.gate_lead_periods + 1
    if order.period < first_open:
        return Refusal(Decline.GATE_CLOSED, first_open, order.period)
    latest = block.draft.period + market.transaction_life_periods
    if order.period > latest:
        return Refusal(Decline.PERIOD_TOO_FAR, latest, order.period)
    q_ppm = block.standings.score(order.submitter)
    if not qscore.may_trade(rules, q_ppm):
        return Refusal(Decline.SCORE_TOO_LOW, rules.trading_bar_ppm, q_ppm)
    energy_wh_max = qscore.order_wh_max(rules, q_ppm)
    if order.energy_wh > energy_wh_max:
        return Refusal(Decline.TOO_LARGE, energy_wh_max, order.energy_wh)
    if member.rated_w and order.energy_wh > rated_wh(member.rated_w):
        return Refusal(Decline.ABOVE_RATED_POWER, rated_wh(member.rated_w), order.energy_wh)
    standing = query.order(get, order.submitter, order.period, order.place)
    if standing is not None and standing.end is OrderEnd.OPEN:
        return Refusal(Decline.PLACE_TAKEN, 0, standing.energy_wh)
    is_open, taken_max = block.open_orders.count(order.period), orders_max(order.place)
    if is_open >= taken_max:
        return Refusal(Decline.BOOK_FULL, taken_max, is_open)
    of_all = block.open_orders.count_all()
    if order.period > first_open and of_all >= open_orders.ALL_BOOKS_ORDERS_MAX:
        return Refusal(Decline.BOOKS_FULL, open_orders.ALL_BOOKS_ORDERS_MAX, of_all)
    wallet_nano = query.balance(get, order.submitter).wallet_nano
    if wallet_nano < escrow_nano:
        return Refusal(Decline.TOO_LITTLE_MONEY, escrow_nano, wallet_nano)
    return None


def cancel_order(block: BlockContext, cancel: CancelOrder, transaction_id: bytes) -> OrderReceipt:
    """Take an open order back, with its money; its nonce is answered either way."""
    scratch = block.scratch
    scratch.put(answer_key(cancel), encode_integer(cancel.expires_period))
    record = query.order(scratch.get, cancel.submitter, cancel.period, cancel.place)
    if record is None or record.end is not OrderEnd.OPEN:
        return _receipt(cancel, transaction_id, Refusal(Decline.NO_SUCH_ORDER, 1, 0), 0)
    end_order(block, keys.order(cancel.submitter, cancel.period, cancel.place), record, OrderEnd.CANCELLED)
    return _receipt(cancel, transaction_id, None, record.energy_wh)


def end_order(
    block: BlockContext,
    key: bytes,
    record: OrderRecord,
    end: OrderEnd,
    filled_wh: int = 0,
    spent_nano: int = 0,
) -> None:
    """Close an open order; what its escrow holds beyond `spent_nano` returns to the owner's wallet."""
    scratch = block.scratch
    owner, period, _ = keys.order_of(key)
    block.open_orders.change(period, -1)
    back_nano = record.escrow_nano - spent_nano
    if back_nano:
        wallet = keys.wallet(owner)
        scratch.put(wallet, encode_integer(decode_integer(scratch.get(wallet)) + back_nano))
    ended = OrderRecord(record.side, record.energy_wh, record.price_micro_per_kwh, 0, end, filled_wh)
    scratch.put(key, encode_record(ended))


def _receipt(
    order: PlaceOrder | CancelOrder, transaction_id: bytes, refusal: Refusal | None, energy_wh: int
) -> OrderReceipt:
    code, expected, found, *_ = refusal or ACCEPTED
    return OrderReceipt(
        transaction_id, code, expected, found, order.submitter, order.period, order.place, energy_wh
    )
