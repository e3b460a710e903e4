from typing import Any

import pytest
from village import PRICE, WALLET_NANO, Village

from p2penergy.ledger import keys, query
from p2penergy.ledger.records import EscrowRecord, MarketRecord, OrderEnd, decode_record
from p2penergy.messages import encode


def wallet(village: Village, who: int) -> int:
    return query.balance(village.ledger.get, village.ids[who]).wallet_nano


def end(village: Village, who: int, period: int = 102, place: int = 0) -> tuple[OrderEnd, int]:
    record = query.order(village.ledger.get, village.ids[who], period, place)
    assert record is not None
    assert record.escrow_nano == 0 or record.end is OrderEnd.OPEN
    return record.end, record.filled_wh


def escrows(village: Village) -> list[EscrowRecord]:
    found = [
        decode_record(EscrowRecord, value)
        for key, value in village.ledger.items()
        if key.startswith(keys.ESCROW)
    ]
    return sorted(found, key=lambda escrow: (escrow.period, escrow.number))


def test_the_gate_closes_when_its_period_is_the_next_and_matches_become_contracts() -> None:
    village = Village()
    village.block(village.ask(1, 500, 100_000), village.bid(3, 800, 300_000))
    assert end(village, 1) == (OrderEnd.OPEN, 0)
    village.next_period()
    assert end(village, 1) == (OrderEnd.FILLED, 500)
    # The bid's rest would take more at its limit: that is the price.
    assert end(village, 3) == (OrderEnd.NO_COUNTERPARTY, 500)
    assert query.market(village.ledger.get, 102) == MarketRecord(300_000, 500, 1, 1)
    (escrow,) = escrows(village)
    assert (escrow.seller, escrow.buyer, escrow.energy_wh) == (village.ids[1], village.ids[3], 500)
    assert (escrow.period, escrow.price_micro_per_kwh, escrow.chosen) == (102, 300_000, False)
    assert wallet(village, 3) == WALLET_NANO - 500 * 300_000
    assert village.ledger.audit_totals().is_conserved()


@pytest.mark.parametrize(("pay_as_bid", "price"), [(False, 150_000), (True, 200_000)])
def test_a_bid_gets_back_what_the_price_leaves(pay_as_bid: bool, price: int) -> None:
    village = Village(market={"pay_as_bid": pay_as_bid})
    village.block(village.ask(1, 500, 100_000), village.bid(3, 500, 200_000))
    village.next_period()
    assert escrows(village)[0].price_micro_per_kwh == price
    assert wallet(village, 3) == WALLET_NANO - 500 * price
    assert village.ledger.audit_totals().is_conserved()


def test_every_order_says_what_became_of_it() -> None:
    village = Village(members=6)
    village.block(
        village.ask(1, 300, 100_000),
        village.ask(2, 300, 280_000),
        village.bid(3, 300, 200_000),
        village.bid(4, 300, 110_000),
        village.ask(5, 50, 150_000),
        village.bid(5, 50, 190_000, place=1),
    )
    village.next_period()
    assert end(village, 1) == (OrderEnd.FILLED, 300)
    assert end(village, 2) == (OrderEnd.PRICE, 0)
    assert end(village, 4) == (OrderEnd.PRICE, 0)
    assert not [e for e in escrows(village) if e.seller == e.buyer]
    sold = sum(end(village, who)[1] for who in (1, 2)) + end(village, 5)[1]
    assert sold == sum(end(village, who)[1] for who in (3, 4)) + end(village, 5, place=1)[1]


def test_ones_own_orders_do_not_meet() -> None:
    village = Village()
    village.block(village.ask(1, 50, 100_000), village.bid(1, 50, 200_000, place=1))
    village.next_period()
    assert end(village, 1) == end(village, 1, place=1) == (OrderEnd.SELF_ONLY, 0)
    assert query.market(village.ledger.get, 102) == MarketRecord(None, 0, 1, 1)
    assert wallet(village, 1) == WALLET_NANO


def test_a_suspended_members_orders_are_left_out() -> None:
    village = Village()
    village.block(village.ask(1, 500), village.bid(3, 500))
    altered = [encode(village.submit(3, village.terms(1, 3, n), bytes(64))) for n in (5, 6)]
    village.block(*altered)
    village.next_period()
    assert end(village, 3) == (OrderEnd.SCORE, 0)
    assert end(village, 1) == (OrderEnd.NO_COUNTERPARTY, 0)
    assert wallet(village, 3) == WALLET_NANO


def test_orders_whose_period_was_passed_over_come_too_late() -> None:
    village = Village(market={"gate_lead_periods": 0, "replay": False}, rules={"t0_ms": 101 * 900_000})
    assert village.ledger.period == 100
    village.block(village.ask(1, 500, period=101), village.bid(3, 500, period=101))
    village.block(period=103, slot=4000)
    assert end(village, 1, 101) == end(village, 3, 101) == (OrderEnd.TOO_LATE, 0)
    assert wallet(village, 3) == WALLET_NANO
    assert not escrows(village)


@pytest.mark.parametrize("lead", [0, 1, 3])
def test_the_lead_is_a_parameter(lead: int) -> None:
    village = Village(market={"gate_lead_periods": lead})
    period = 100 + lead + 1
    village.block(village.ask(1, 500), village.bid(3, 500))
    assert end(village, 1, period) == (OrderEnd.OPEN, 0)
    village.next_period()
    assert end(village, 1, period) == (OrderEnd.FILLED, 500)


def test_each_periods_gate_closes_in_its_turn() -> None:
    village = Village()
    for period in (102, 103, 104):
        village.block(village.ask(1, period, period=period), village.bid(3, period, period=period))
    village.next_period()
    assert [escrow.period for escrow in escrows(village)] == [102]
    village.next_period()
    assert [escrow.period for escrow in escrows(village)] == [102, 103]


def test_equal_limits_are_drawn_by_the_reveal_of_the_closing_block() -> None:
    def winner(blocks: int) -> int:
        village = Village(members=8)
        village.block(village.ask(2, 10), *[village.bid(who, 10) for who in range(3, 8)])
        for _ in range(blocks):
            village.block()
        village.next_period()
        return next(who for who in range(3, 8) if end(village, who)[0] is OrderEnd.FILLED)

    winners = [winner(blocks) for blocks in range(8)]
    assert winners == [winner(blocks) for blocks in range(8)]
    assert len(set(winners)) > 2


def test_orders_are_forgotten_a_transactions_life_after_their_period() -> None:
    village = Village(market={"transaction_life_periods": 2})
    village.block(village.ask(1, 5), village.bid(3, 5))

    def kept() -> list[bytes]:
        kinds = (keys.ORDER, keys.MARKET, keys.CONTRACT, keys.ESCROW, keys.PROMISE, keys.NONCE)
        return [key for key, _ in village.ledger.items() if key.startswith(kinds)]

    while village.ledger.period < 104:
        village.next_period()
        assert kept()
    village.next_period()
    assert not kept()


def test_a_restored_ledger_knows_its_book() -> None:
    village = Village()
    village.block(village.ask(1, 500), village.bid(3, 500))
    ledger = village.ledger
    twin = type(ledger).restore(village.genesis, village.checker, ledger.height, ledger.items())
    draft = village.draft(period=101)
    assert twin.execute(draft).state_root == ledger.execute(draft).state_root


@pytest.mark.parametrize("order", [0, 1])
def test_the_order_of_arrival_does_not_matter(order: int) -> None:
    village = Village()
    parts: list[Any] = [village.ask(1, 40), village.ask(2, 40), village.bid(3, 50), village.bid(4, 20)]
    village.block(*(parts if order else reversed(parts)))
    village.next_period()
    assert query.market(village.ledger.get, 102) == MarketRecord(PRICE, 70, 2, 2)
    assert sum(end(village, who)[1] for who in (3, 4)) == 70
