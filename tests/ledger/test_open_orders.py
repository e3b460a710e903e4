from typing import Any

import pytest
from village import Village

from p2penergy.ledger import Decline, Side, open_orders, query
from p2penergy.ledger.records import OrderEnd

FULL, HALF = 4, 2


@pytest.fixture(autouse=True)
def small_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_orders, "BOOK_ORDERS_MAX", FULL)
    monkeypatch.setattr(open_orders, "BOOK_SECOND_ORDERS_MAX", HALF)


def codes(receipts: list[Any]) -> list[Decline]:
    return [receipt.code for receipt in receipts]


def test_a_book_takes_so_many_orders_within_a_block_and_over_blocks() -> None:
    village = Village(members=7)
    assert codes(village.block(*(village.ask(who, 5) for who in range(3)))) == [Decline.NONE] * 3
    receipts = village.block(village.ask(3, 5), village.ask(4, 5))
    assert codes(receipts) == [Decline.NONE, Decline.BOOK_FULL]
    assert (receipts[1].expected, receipts[1].found) == (FULL, FULL)
    assert query.order(village.ledger.get, village.ids[4], 102, 0) is None
    # Another period has room, and so has this one once somebody withdraws.
    assert village.one(village.ask(4, 5, period=103)).accepted
    assert codes(village.block(village.cancel(0), village.ask(4, 5))) == [Decline.NONE] * 2


def test_second_orders_leave_room_for_first_ones() -> None:
    village = Village(members=7)
    orders = [village.ask(1, 5, place=place) for place in range(4)]
    expected = [Decline.NONE] * HALF + [Decline.BOOK_FULL] * 2
    assert codes(village.block(*orders)) == expected
    assert village.one(village.ask(2, 5)).accepted


def test_a_declined_bid_keeps_its_money_and_gates_still_close() -> None:
    village = Village(members=7)
    village.block(*(village.order(who, Side(1 + who % 2), 5) for who in range(FULL)))
    before = query.balance(village.ledger.get, village.ids[5]).wallet_nano
    assert village.one(village.bid(5, 5)).code is Decline.BOOK_FULL
    assert query.balance(village.ledger.get, village.ids[5]).wallet_nano == before
    village.next_period()
    record = query.order(village.ledger.get, village.ids[0], 102, 0)
    assert record is not None and record.end is OrderEnd.FILLED
    # The closed orders take no room in the next book.
    assert codes(village.block(*(village.ask(who, 5) for who in range(FULL)))) == [Decline.NONE] * FULL
    assert village.ledger.audit_totals().is_conserved()


def test_all_books_together_are_bounded_and_the_next_period_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_orders, "ALL_BOOKS_ORDERS_MAX", 3)
    village = Village(members=7)
    ahead = [village.ask(who, 5, period=110 + who) for who in range(4)]
    receipts = village.block(*ahead)
    assert codes(receipts) == [Decline.NONE] * 3 + [Decline.BOOKS_FULL]
    assert (receipts[3].expected, receipts[3].found) == (3, 3)
    assert village.one(village.ask(4, 5, period=103)).code is Decline.BOOKS_FULL
    assert village.one(village.ask(4, 5)).accepted
    # What is withdrawn makes room for one more, once fewer than the bound are open.
    village.block(village.cancel(0, period=110), village.cancel(1, period=111))
    assert village.one(village.ask(5, 5, period=115)).accepted
