from typing import Any

import msgspec
import pytest
from village import PRICE, WALLET_NANO, Village, with_readings

from p2penergy.ledger import Decline, TradeStage, generate_trade_id, keys, query, stages
from p2penergy.ledger.state import Version, VersionStage
from p2penergy.messages import encode


def figures(receipt: Any) -> tuple[Decline, int, int]:
    return receipt.code, receipt.expected, receipt.found


def balances(village: Village) -> list[query.Balance]:
    return [query.balance(village.ledger.get, who) for who in village.ids]


@pytest.mark.parametrize("leader", [0, 1])
@pytest.mark.parametrize("by_seller", [True, False])
def test_a_trade_moves_energy_and_money(leader: int, by_seller: bool) -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 400, by_seller), proposer=leader)
    assert receipt.accepted
    assert receipt.stage is TradeStage.FINAL
    seller, buyer = balances(village)[1], balances(village)[3]
    assert (seller.energy_wh, seller.wallet_nano) == (600, WALLET_NANO + 400 * PRICE)
    assert (buyer.energy_wh, buyer.wallet_nano) == (400, WALLET_NANO - 400 * PRICE)
    assert village.ledger.audit_totals().is_conserved()


def test_the_packet_is_claimed_and_the_trade_is_on_record() -> None:
    village = with_readings()
    terms = village.terms(1, 3, 400)
    receipt = village.one(encode(village.submit(1, terms, village.signed_by(3, terms))))
    packet = query.packet(village.ledger.get, village.ids[1], 100)
    assert packet is not None
    assert (packet.available_wh, packet.claimed_wh) == (600, 400)
    record = query.trade(village.ledger.get, receipt.trade_id)
    assert record is not None
    assert (record.height, record.index) == (village.ledger.height, 0)


def test_energy_is_with_the_leader_only_in_the_execution_stage() -> None:
    village = with_readings()
    outcome = village.run(village.draft(village.contract(1, 3, 400)))
    written = [v for v in outcome.versions if v.key.startswith((keys.ENERGY, keys.WALLET))]
    seller, buyer, leader = village.ids[1], village.ids[3], village.ids[0]
    stages_of = [(v.key, v.stage) for v in written]
    assert stages_of == [
        (keys.energy(seller), VersionStage.EXECUTION),
        (keys.energy(leader), VersionStage.EXECUTION),
        (keys.wallet(buyer), VersionStage.EXECUTION),
        (keys.wallet(leader), VersionStage.EXECUTION),
        (keys.energy(buyer), VersionStage.FINAL),
        (keys.energy(leader), VersionStage.FINAL),
        (keys.wallet(seller), VersionStage.FINAL),
        (keys.wallet(leader), VersionStage.FINAL),
    ]
    assert written[5] == Version(keys.energy(leader), 0, VersionStage.FINAL, None)


def test_where_the_seller_leads_its_own_legs_write_nothing() -> None:
    village = with_readings()
    outcome = village.run(village.draft(village.contract(1, 3, 400), proposer=1))
    written = [(v.key, v.stage) for v in outcome.versions if v.key.startswith((keys.ENERGY, keys.WALLET))]
    seller, buyer = village.ids[1], village.ids[3]
    assert written == [
        (keys.wallet(buyer), VersionStage.EXECUTION),
        (keys.wallet(seller), VersionStage.EXECUTION),
        (keys.energy(buyer), VersionStage.FINAL),
        (keys.energy(seller), VersionStage.FINAL),
    ]


def test_readings_and_the_contracts_on_them_may_share_a_block() -> None:
    village = Village()
    *_, trade = village.block(
        village.reading(1, export_wh=50), village.reading(3, import_wh=50), village.contract(1, 3, 50)
    )
    assert trade.accepted


def test_one_wh_backs_one_trade() -> None:
    village = with_readings()
    first, second, third = village.block(
        village.contract(1, 3, 700),
        village.contract(1, 4, 700, number=2),
        village.contract(1, 4, 300, number=3),
    )
    assert first.accepted
    assert figures(second) == (Decline.TOO_LITTLE_ENERGY, 700, 300)
    assert (second.stage, second.condition, second.alpha) == (TradeStage.EXECUTION, 1, 1)
    assert third.accepted


def test_energy_that_was_bought_is_not_sold_again() -> None:
    village = with_readings()
    first, second = village.block(village.contract(1, 3, 500), village.contract(3, 4, 500))
    assert first.accepted
    assert figures(second) == (Decline.TOO_LITTLE_ENERGY, 500, 0)


def test_too_little_money() -> None:
    village = with_readings(member={"wallet_nano": 100 * PRICE})
    first, second = village.block(village.contract(1, 3, 60), village.contract(1, 3, 41, number=2))
    assert first.accepted
    assert figures(second) == (Decline.TOO_LITTLE_MONEY, 41 * PRICE, 40 * PRICE)
    assert (second.stage, second.condition, second.alpha) == (TradeStage.EXECUTION, 2, -1)


def test_money_from_a_sale_can_be_spent_in_the_same_block() -> None:
    village = Village(member={"wallet_nano": 10 * PRICE})
    *_, sale, purchase = village.block(
        village.reading(1, export_wh=10),
        village.reading(2, export_wh=20),
        village.reading(3, import_wh=10),
        village.reading(4, import_wh=20),
        village.contract(1, 3, 10),
        village.contract(2, 4, 10),
    )
    assert sale.accepted
    assert purchase.accepted


def test_nobody_buys_more_than_its_meter_drew() -> None:
    village = with_readings()
    first, second = village.block(village.contract(1, 3, 900), village.contract(2, 3, 101))
    assert first.accepted
    assert figures(second) == (Decline.TOO_LITTLE_IMPORT, 101, 100)
    assert (second.stage, second.condition, second.alpha) == (TradeStage.FINAL, 3, -1)


def test_a_buyer_without_a_reading_buys_nothing() -> None:
    village = with_readings()
    assert figures(village.one(village.contract(1, 0, 5))) == (Decline.TOO_LITTLE_IMPORT, 5, 0)


@pytest.mark.parametrize(
    ("changes", "code", "expected", "found"),
    [
        ({"buyer": 1}, Decline.SELF_TRADE, 2, 1),
        ({"seller": b"x" * 20}, Decline.NOT_A_PARTY, 1, 0),
        ({"buyer": b"x" * 20}, Decline.UNKNOWN_PARTY, 2, 1),
        ({"valid_until_period": 99}, Decline.TERMS_EXPIRED, 100, 99),
        ({"valid_until_period": 197}, Decline.VALIDITY_TOO_FAR, 196, 197),
        ({"period": 99}, Decline.WRONG_PERIOD, 100, 99),
        ({"period": 101}, Decline.WRONG_PERIOD, 100, 101),
    ],
)
def test_what_is_declined_in_the_preparation_stage(
    changes: dict[str, Any], code: Decline, expected: int, found: int
) -> None:
    village = with_readings()
    if changes.get("buyer") == 1:
        changes = {"buyer": village.ids[1]}
    terms = msgspec.structs.replace(village.terms(1, 3, 400), **changes)
    before = balances(village)
    receipt = village.one(encode(village.submit(1, terms, village.signed_by(3, terms))))
    assert figures(receipt) == (code, expected, found)
    assert (receipt.stage, receipt.condition, receipt.alpha) == (TradeStage.PREPARATION, 0, 0)
    assert balances(village) == before


@pytest.mark.parametrize("valid_until", [100, 196])
def test_the_edges_of_validity(valid_until: int) -> None:
    village = with_readings()
    assert village.one(village.contract(1, 3, 5, valid_until_period=valid_until)).accepted


def altered(village: Village, by: int, number: int = 1) -> bytes:
    """Members 1 (seller) and 3 (buyer) agree on 400 Wh; `by` makes it 900 and submits."""
    genuine = village.terms(1, 3, 400, number=number)
    other = 3 if by == 1 else 1
    forged = msgspec.structs.replace(genuine, energy_wh=900)
    return encode(village.submit(by, forged, village.signed_by(other, genuine)))


@pytest.mark.parametrize(("by", "condition", "alpha", "figure"), [(1, 1, 1, 900), (3, 2, -1, 900 * PRICE)])
def test_an_altered_contract_is_declined_and_costs_its_submitter(
    by: int, condition: int, alpha: int, figure: int
) -> None:
    village = with_readings()
    before = balances(village)
    receipt = village.one(altered(village, by))
    assert figures(receipt) == (Decline.ALTERED_CONTRACT, figure, 0)
    assert (receipt.stage, receipt.condition, receipt.alpha) == (TradeStage.EXECUTION, condition, alpha)
    lost = before[by].q_ppm * 3 // 10
    before[by] = msgspec.structs.replace(before[by], q_ppm=before[by].q_ppm - lost)
    assert balances(village) == before


def test_whoever_alters_again_and_again_is_shut_out() -> None:
    village = with_readings()
    receipts = [village.one(altered(village, 3, number)) for number in range(3)]
    assert [receipt.code for receipt in receipts[:2]] == [Decline.ALTERED_CONTRACT] * 2
    assert figures(receipts[2]) == (Decline.SCORE_TOO_LOW, 150_000, 147_000)
    # The other side is not shut out, but not with this one either.
    assert village.one(village.contract(1, 3, 5)).code is Decline.SCORE_TOO_LOW
    assert village.one(village.contract(1, 4, 5)).accepted


def test_only_an_execution_uses_up_a_trade_id() -> None:
    village = with_readings(member={"wallet_nano": 10 * PRICE})
    terms = village.terms(1, 3, 11)
    signature = village.signed_by(3, terms)
    assert village.one(encode(village.submit(1, terms, signature))).code is Decline.TOO_LITTLE_MONEY
    # Member 3 earns what it lacks by nothing on this ledger; smaller terms are another trade.
    smaller = msgspec.structs.replace(terms, energy_wh=10)
    assert village.one(encode(village.submit(1, smaller, village.signed_by(3, smaller)))).accepted
    assert query.trade(village.ledger.get, generate_trade_id(terms, village.chain_id)) is None


def test_terms_execute_once_whoever_submits_them() -> None:
    village = with_readings()
    terms = village.terms(1, 3, 400)
    by_seller = encode(village.submit(1, terms, village.signed_by(3, terms)))
    by_buyer = encode(village.submit(3, terms, village.signed_by(1, terms)))
    again = encode(village.submit(1, terms, village.signed_by(3, terms)))
    first, second = village.block(by_seller, by_buyer)
    assert first.accepted
    assert figures(second) == (Decline.TRADE_REPLAYED, 0, village.ledger.height)
    assert village.one(again).code is Decline.TRADE_REPLAYED
    assert balances(village)[3].energy_wh == 400


def test_equal_agreements_differ_by_number() -> None:
    village = with_readings()
    receipts = village.block(village.contract(1, 3, 400), village.contract(1, 3, 400, number=2))
    assert all(receipt.accepted for receipt in receipts)


@pytest.mark.parametrize(
    ("function", "place", "condition", "stage"),
    [
        ("execution_legs", 0, 1, TradeStage.EXECUTION),
        ("execution_legs", 3, 2, TradeStage.EXECUTION),
        ("final_legs", 0, 3, TradeStage.FINAL),
        ("final_legs", 2, 4, TradeStage.FINAL),
    ],
)
def test_a_leader_that_books_a_wrong_leg_is_found_out(
    monkeypatch: pytest.MonkeyPatch, function: str, place: int, condition: int, stage: TradeStage
) -> None:
    village = with_readings()
    honest = getattr(stages, function)

    def wrong(*arguments: Any) -> stages.StageLegs:
        legs = list(honest(*arguments))
        legs[place] = legs[place]._replace(after=legs[place].after + 1)
        return stages.StageLegs(*legs)

    monkeypatch.setattr(stages, function, wrong)
    before = balances(village)
    receipt = village.one(village.contract(1, 3, 400))
    assert receipt.code is Decline.WRONG_LEG
    assert (receipt.condition, receipt.stage) == (condition, stage)
    assert receipt.found == receipt.expected + 1
    assert balances(village) == before
    monkeypatch.undo()
    assert village.one(village.contract(1, 3, 400)).accepted


def test_a_decline_writes_its_nonce_and_nothing_else() -> None:
    village = with_readings()
    outcome = village.run(village.draft(village.contract(1, 3, 1001)))
    assert [v.key[:6] for v in outcome.versions if v.index == 0] == [keys.NONCE]
