from typing import Any

import msgspec
import pytest
from village import PRICE, WALLET_NANO, Village

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Decline, Side, decode_receipt, keys, parse, query, sentence
from p2penergy.ledger.records import OrderEnd, OrderRecord
from p2penergy.messages import encode


def wallet(village: Village, who: int) -> int:
    return query.balance(village.ledger.get, village.ids[who]).wallet_nano


def record(village: Village, who: int, place: int = 0, period: int = 102) -> OrderRecord:
    found = query.order(village.ledger.get, village.ids[who], period, place)
    assert found is not None
    return found


def test_an_ask_stands_in_the_book() -> None:
    village = Village()
    receipt = village.one(village.ask(1, 500))
    assert receipt.accepted
    assert (receipt.participant, receipt.period, receipt.place) == (village.ids[1], 102, 0)
    assert record(village, 1) == OrderRecord(Side.ASK, 500, PRICE, 0)
    assert wallet(village, 1) == WALLET_NANO


def test_a_bids_money_is_put_aside_at_its_limit() -> None:
    village = Village()
    assert village.one(village.bid(3, 500)).accepted
    assert record(village, 3) == OrderRecord(Side.BID, 500, PRICE, 500 * PRICE)
    assert wallet(village, 3) == WALLET_NANO - 500 * PRICE
    assert village.ledger.audit_totals().is_conserved()


@pytest.mark.parametrize(
    ("side", "changes", "code", "expected", "found"),
    [
        (Side.ASK, {"period": 101}, Decline.GATE_CLOSED, 102, 101),
        (Side.ASK, {"period": 3}, Decline.GATE_CLOSED, 102, 3),
        (Side.ASK, {"period": 197}, Decline.PERIOD_TOO_FAR, 196, 197),
        (Side.ASK, {"energy_wh": 30_001}, Decline.TOO_LARGE, 30_000, 30_001),
        (Side.BID, {"energy_wh": 10_001}, Decline.ABOVE_RATED_POWER, 10_000, 10_001),
        (Side.BID, {"price_micro_per_kwh": 10**9}, Decline.TOO_LITTLE_MONEY, 10**12, 10**12 - 1),
    ],
)
def test_what_is_declined(
    side: Side, changes: dict[str, Any], code: Decline, expected: int, found: int
) -> None:
    village = Village(member={"rated_w": 40_000, "wallet_nano": WALLET_NANO - 1})
    values = {"energy_wh": 1000} | changes
    receipt = village.one(village.order(2, side, **values))
    assert (receipt.code, receipt.expected, receipt.found) == (code, expected, found)
    assert sentence(receipt).startswith("declined: ")
    assert wallet(village, 2) == WALLET_NANO - 1
    assert query.order(village.ledger.get, village.ids[2], values.get("period", 102), 0) is None


@pytest.mark.parametrize("period", [102, 196])
def test_the_first_and_the_last_period_that_can_be_ordered_for(period: int) -> None:
    assert Village().one(Village().ask(1, 5, period=period)).accepted


def test_without_standing_no_orders() -> None:
    village = Village()
    for _ in range(2):
        village.one(encode(village.submit(3, village.terms(1, 3, 5), bytes(64))))
    receipt = village.one(village.bid(3, 5))
    assert (receipt.code, receipt.expected, receipt.found) == (Decline.SCORE_TOO_LOW, 150_000, 147_000)


def test_a_place_holds_one_order_until_it_is_cancelled() -> None:
    village = Village()
    first, second, elsewhere = village.block(village.bid(3, 7), village.bid(3, 8), village.bid(3, 9, place=1))
    assert first.accepted
    assert elsewhere.accepted
    assert (second.code, second.expected, second.found) == (Decline.PLACE_TAKEN, 0, 7)
    cancelled = village.one(village.cancel(3))
    assert cancelled.accepted
    assert cancelled.energy_wh == 7
    assert record(village, 3).end is OrderEnd.CANCELLED
    assert wallet(village, 3) == WALLET_NANO - 9 * PRICE
    assert village.one(village.bid(3, 8)).accepted
    assert village.ledger.audit_totals().is_conserved()


def test_there_is_no_ninth_place() -> None:
    village = Village()
    assert village.one(village.ask(1, 5, place=7)).accepted
    with pytest.raises(InvalidBlockError) as caught:
        village.block(village.ask(1, 5, place=8))
    assert caught.value.code == "malformed_transaction"


def test_only_an_open_order_of_ones_own_is_cancelled() -> None:
    village = Village()
    village.block(village.bid(3, 7))
    for raw in (village.cancel(4), village.cancel(3, place=1), village.cancel(3, period=103)):
        assert village.one(raw).code is Decline.NO_SUCH_ORDER
    assert village.one(village.cancel(3)).accepted
    assert village.one(village.cancel(3)).code is Decline.NO_SUCH_ORDER
    assert wallet(village, 3) == WALLET_NANO


@pytest.mark.parametrize("kind", ["bid", "cancel"])
def test_each_nonce_is_answered_once(kind: str) -> None:
    village = Village()
    raw = village.bid(3, 7) if kind == "bid" else village.cancel(3)
    village.block(raw)
    with pytest.raises(InvalidBlockError) as caught:
        village.block(raw)
    assert caught.value.code == "answered_twice"
    assert village.ledger.pool.check(raw).code == "answered"


def test_an_order_of_somebody_elses_is_invalid() -> None:
    village = Village()
    order = parse(village.bid(3, 7), village.chain_id).transaction
    forged = encode(msgspec.structs.replace(order, submitter=village.ids[4]))  # type: ignore[type-var]
    with pytest.raises(InvalidBlockError) as caught:
        village.block(forged)
    assert caught.value.code == "bad_signature"
    assert village.ledger.pool.add(forged).code == "bad_signature"


@pytest.mark.parametrize(
    ("expires", "code"), [(99, "transaction_expired"), (100, None), (196, None), (197, "expiry_too_far")]
)
def test_the_expiry_of_orders(expires: int, code: str | None) -> None:
    village = Village()
    raw = village.bid(3, 7, expires_period=expires)
    assert village.ledger.pool.check(raw).accepted == (code is None)
    if code is None:
        assert village.one(raw).accepted
        return
    with pytest.raises(InvalidBlockError) as caught:
        village.block(raw)
    assert caught.value.code == code


def test_the_pool_hands_orders_out_at_once_and_in_turn() -> None:
    village = Village()
    orders = [village.ask(1, 5), village.cancel(1), village.bid(3, 5)]
    for raw in orders:
        assert village.ledger.pool.add(raw).accepted
        assert len(village.ledger.pool.signature_items(raw)) == 1
    assert village.ledger.has_pending(slot=1)
    assert village.ledger.pool.select(100, 1 << 20) == (orders[0], orders[2], orders[1])
    outcome = village.propose()
    assert all(decode_receipt(raw).accepted for raw in outcome.receipts)
    assert outcome.draft.period == 100
    assert village.ledger.get(keys.order(village.ids[3], 102, 0)) is not None


def test_the_owner_is_told() -> None:
    village = Village()
    assert village.ledger.concerned(village.bid(3, 7)) == (village.ids[3],)
    assert village.ledger.concerned(village.cancel(3)) == (village.ids[3],)
