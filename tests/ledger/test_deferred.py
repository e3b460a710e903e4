from typing import Any

import pytest
from village import PRICE, WALLET_NANO, Village

from p2penergy.genesis import PPM
from p2penergy.ledger import Decline, TradeStage, Version, VersionStage, keys, query, sentence
from p2penergy.ledger.records import ContractRecord
from p2penergy.messages import encode
from p2penergy.score_rules import ScoreRules

LEADER, SELLER, BUYER = 0, 2, 3


def balance(village: Village, who: int) -> query.Balance:
    return query.balance(village.ledger.get, village.ids[who])


def trade(village: Village, receipt: Any) -> ContractRecord:
    found = query.trade(village.ledger.get, receipt.trade_id)
    assert found is not None
    return found


def agreed(energy_wh: int = 400, **changes: Any) -> tuple[Village, Any]:
    village = Village(**changes)
    return village, village.one(village.forward(SELLER, BUYER, energy_wh))


def delivered(village: Village, export_wh: int | None, import_wh: int | None) -> None:
    """The period comes with these readings, and ends."""
    readings = []
    if export_wh is not None:
        readings.append(village.reading(SELLER, export_wh=export_wh, period=village.ledger.period + 1))
    if import_wh is not None:
        readings.append(village.reading(BUYER, import_wh=import_wh, period=village.ledger.period + 1))
    village.next_period(*readings)
    village.next_period()


def test_a_contract_for_a_period_to_come_puts_its_price_aside() -> None:
    village, receipt = agreed()
    assert receipt.accepted
    assert (receipt.stage, receipt.legs) == (TradeStage.PREPARATION, ())
    assert sentence(receipt) == "accepted, in escrow until its period is settled"
    assert balance(village, BUYER).wallet_nano == WALLET_NANO - 400 * PRICE
    assert balance(village, SELLER) == query.Balance(0, WALLET_NANO, 300_000)
    escrow = query.escrow(village.ledger.get, receipt.trade_id)
    assert escrow is not None
    assert (escrow.amount_nano, escrow.chosen) == (400 * PRICE, True)
    assert village.ledger.audit_totals().is_conserved()


def test_full_delivery_is_settled_through_the_leader_in_both_stages() -> None:
    village, receipt = agreed()
    village.next_period(
        village.reading(SELLER, export_wh=900, period=101), village.reading(BUYER, import_wh=500, period=101)
    )
    assert balance(village, SELLER).wallet_nano == WALLET_NANO
    outcome = village.run(village.draft(period=102))
    assert balance(village, SELLER).wallet_nano == WALLET_NANO + 400 * PRICE
    assert balance(village, BUYER).wallet_nano == WALLET_NANO - 400 * PRICE
    record = trade(village, receipt)
    assert (record.delivered_wh, record.x_ppm) == (400, PPM)
    assert record.quality_ppm == 600_000 + 600_000 + 300_000 + 300_000
    leader = keys.wallet(village.ids[LEADER])
    passed = [version.stage for version in outcome.versions if version.key == leader]
    assert passed == [VersionStage.EXECUTION, VersionStage.FINAL]
    bill = query.bill(village.ledger.get, village.ids[BUYER], 101)
    assert bill is not None
    assert (bill.bought_wh, bill.bought_nano, bill.grid_import_wh) == (400, 400 * PRICE, 100)
    assert query.escrow(village.ledger.get, receipt.trade_id) is None
    assert village.ledger.audit_totals().is_conserved()


@pytest.mark.parametrize(
    ("export_wh", "import_wh", "got_wh", "x_ppm", "at_fault"),
    [
        (380, 400, 380, PPM, None),
        (300, 400, 300, 500_000, None),
        (400, 200, 200, 0, None),
        (199, 400, 199, -PPM, SELLER),
        (400, 199, 199, -PPM, BUYER),
        (100, 100, 100, -PPM, SELLER),
        (None, 400, 0, -PPM, SELLER),
        (400, None, 0, -PPM, BUYER),
        (None, None, 0, 0, None),
    ],
)
def test_settlement_is_the_lesser_of_contracted_and_metered(
    export_wh: int | None, import_wh: int | None, got_wh: int, x_ppm: int, at_fault: int | None
) -> None:
    village, receipt = agreed()
    delivered(village, export_wh, import_wh)
    record = trade(village, receipt)
    assert (record.delivered_wh, record.x_ppm) == (got_wh, x_ppm)
    assert balance(village, SELLER).wallet_nano == WALLET_NANO + got_wh * PRICE
    assert balance(village, BUYER).wallet_nano == WALLET_NANO - got_wh * PRICE
    for who in (SELLER, BUYER):
        q_ppm = balance(village, who).q_ppm
        if at_fault is None:
            assert (q_ppm > 300_000) == (x_ppm > 0)
        else:
            assert q_ppm == (210_000 if who == at_fault else 300_000)
    assert village.ledger.audit_totals().is_conserved()


def test_metered_energy_is_given_out_first_in_first_out() -> None:
    village = Village()
    first, second, third = village.block(
        village.forward(SELLER, BUYER, 300),
        village.forward(SELLER, 4, 300),
        village.forward(SELLER, 1, 300),
    )
    readings = [village.reading(who, import_wh=300, period=101) for who in (BUYER, 4, 1)]
    village.next_period(village.reading(SELLER, export_wh=500, period=101), *readings)
    village.next_period()
    assert [trade(village, receipt).delivered_wh for receipt in (first, second, third)] == [300, 200, 0]
    assert village.ledger.audit_totals().is_conserved()


def test_what_is_promised_is_not_sold_twice() -> None:
    village, receipt = agreed(400)
    village.next_period(
        village.reading(SELLER, export_wh=500, period=101),
        village.reading(BUYER, import_wh=450, period=101),
        village.reading(4, import_wh=500, period=101),
    )
    for_another, beyond = village.block(
        village.contract(SELLER, 4, 101), village.contract(SELLER, 4, 100, number=2)
    )
    assert (for_another.code, for_another.found) == (Decline.TOO_LITTLE_ENERGY, 100)
    assert beyond.accepted
    village.block(village.reading(1, export_wh=100))
    covered = village.one(village.contract(1, BUYER, 51))
    assert (covered.code, covered.found) == (Decline.TOO_LITTLE_IMPORT, 50)
    village.next_period()
    assert trade(village, receipt).delivered_wh == 400


def test_a_period_without_a_block_calls_its_contracts_off() -> None:
    village = Village(market={"replay": False}, rules={"t0_ms": 101 * 900_000})
    receipt = village.one(village.forward(SELLER, BUYER, 400))
    village.block(period=103, slot=4000)
    record = trade(village, receipt)
    assert (record.delivered_wh, record.x_ppm, record.quality_ppm) == (0, 0, 0)
    assert balance(village, BUYER) == query.Balance(0, WALLET_NANO, 300_000)
    assert query.escrow(village.ledger.get, receipt.trade_id) is None


def test_the_same_terms_are_put_into_escrow_once() -> None:
    village = Village()
    terms = village.terms(SELLER, BUYER, 400, period=101)
    first, second = (
        encode(village.submit(SELLER, terms, village.signed_by(BUYER, terms), expires_period=100))
        for _ in range(2)
    )
    assert village.one(first).accepted
    assert village.one(second).code is Decline.TRADE_REPLAYED
    delivered(village, 400, 400)
    spot = encode(village.submit(SELLER, terms, village.signed_by(BUYER, terms)))
    assert village.one(spot).code is Decline.WRONG_PERIOD
    assert balance(village, BUYER).wallet_nano == WALLET_NANO - 400 * PRICE


def test_a_trade_is_remembered_after_its_period_though_its_terms_expired() -> None:
    village = Village()
    receipt = village.one(village.forward(SELLER, BUYER, 5, ahead=3, valid_until_period=100))
    while village.ledger.period < 104:
        village.next_period()
    assert trade(village, receipt).x_ppm == 0


def test_an_escrow_needs_the_money() -> None:
    village = Village(member={"wallet_nano": 399 * PRICE})
    receipt = village.one(village.forward(SELLER, BUYER, 400))
    assert (receipt.code, receipt.expected, receipt.found) == (
        Decline.TOO_LITTLE_MONEY,
        400 * PRICE,
        399 * PRICE,
    )
    assert balance(village, BUYER).q_ppm == 300_000
    assert query.promise(village.ledger.get, village.ids[SELLER], 101).sell_wh == 0


@pytest.mark.parametrize(("expires", "accepted"), [(100, True), (101, False), (104, False)])
def test_a_contract_that_lives_to_see_its_period_waits_for_it(expires: int, accepted: bool) -> None:
    village = Village()
    terms = village.terms(SELLER, BUYER, 400, period=101)
    raw = encode(village.submit(SELLER, terms, village.signed_by(BUYER, terms), expires_period=expires))
    assert village.ledger.pool.add(raw).accepted
    assert (raw in village.ledger.pool.select(100, 1 << 20)) is accepted
    assert raw in village.ledger.pool.select(101, 1 << 20) or accepted
    receipt = village.one(raw)
    assert receipt.accepted is accepted
    assert accepted or receipt.code is Decline.WRONG_PERIOD


def test_a_chosen_partner_earns_a_quarter_of_what_a_match_earns() -> None:
    gains = []
    for by_auction in (False, True):
        village = Village(market={"gate_lead_periods": 0})
        raws = [village.ask(SELLER, 400), village.bid(BUYER, 400)]
        village.block(*raws) if by_auction else village.one(village.forward(SELLER, BUYER, 400))
        delivered(village, 400, 400)
        assert balance(village, SELLER).wallet_nano == WALLET_NANO + 400 * PRICE
        gains.append(balance(village, SELLER).q_ppm - 300_000)
    assert gains[1] // 4 == gains[0] > 0


def test_everything_written_at_settlement_is_the_blocks_own() -> None:
    village, _ = agreed()
    village.next_period(village.reading(SELLER, export_wh=400, period=101))
    outcome = village.run(village.draft(period=102))
    assert all(isinstance(version, Version) and version.index == -1 for version in outcome.versions)


def test_parameters_of_genesis_count() -> None:
    harsh = ScoreRules(proposer_gain_ppm=0, default_loss_ppm=PPM, full_delivery_ppm=PPM)
    village, receipt = agreed(market={"scores": harsh})
    delivered(village, 399, 400)
    assert trade(village, receipt).x_ppm == 995_000
    village.block(village.forward(SELLER, BUYER, 400))
    delivered(village, 0, 400)
    assert balance(village, SELLER).q_ppm == 0
