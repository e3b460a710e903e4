from typing import Any

import pytest
from village import PRICE, Village, with_readings

from p2penergy.ledger import Decline, keys, query
from p2penergy.ledger.records import StandingRecord, decode_record
from p2penergy.ledger.scores import score_on
from p2penergy.messages import Certificate, encode
from p2penergy.score_rules import ScoreRules

RULES = ScoreRules()
REWARDS: dict[str, Any] = {"scores": RULES}


def q(village: Village, who: int) -> int:
    return query.score(village.ledger.get, village.ids[who])


def signed(village: Village, *signers: int) -> Certificate:
    votes = tuple((village.ids[who], bytes(64)) for who in signers)
    return Certificate(1, 0, bytes(32), votes)


# ---- committees --------------------------------------------------------------------------------------


def test_the_proposer_gains_and_so_do_the_signers_that_its_block_names() -> None:
    village = Village(market=REWARDS)
    village.block(proposer=0, parent_certificate=signed(village, 0, 1))
    # 0.02 Q (1 - Q) at 0.6, then 0.01 Q (1 - Q) at 0.6048.
    assert q(village, 0) == 600_000 + 4_800 + 2_390
    assert q(village, 1) == 600_000 + 2_400
    assert q(village, 2) == 300_000


def test_a_day_on_committees_brings_five_hundredths_and_then_writes_nothing() -> None:
    village = Village(market=REWARDS)
    for _ in range(40):
        outcome = village.run(village.draft(proposer=0))
    assert q(village, 0) == 650_000
    assert not [v for v in outcome.versions if v.key.startswith((keys.SCORE, keys.STANDING))]
    village.ledger.commit(village.ledger.execute(village.draft(proposer=0)))


def test_a_stranger_in_a_certificate_gains_nothing() -> None:
    village = Village(market=REWARDS)
    votes = ((b"x" * 20, bytes(64)),)
    village.block(parent_certificate=Certificate(1, 0, bytes(32), votes))
    assert village.ledger.get(keys.score(b"x" * 20)) is None


# ---- trades ------------------------------------------------------------------------------------------


def test_a_trade_is_worth_more_with_a_member_of_standing() -> None:
    village = with_readings(members=6)
    village.block(village.contract(1, 3, 500), village.contract(2, 4, 500))
    # Member 1 started at 0.6 as a volunteer, member 2 at 0.3: 0.10 B (1 - S) / 12 / 4.
    assert q(village, 3) - 300_000 == 2 * (q(village, 4) - 300_000) == 874
    assert q(village, 1) - 600_000 == 249


def test_scores_show_at_once_and_the_rest_once_per_block() -> None:
    village = with_readings()
    outcome = village.run(village.draft(village.contract(1, 3, 10), village.contract(1, 3, 10, number=2)))
    of_three = [v.index for v in outcome.versions if v.key == keys.score(village.ids[3])]
    assert of_three == [0, 1]
    standings = [v for v in outcome.versions if v.key == keys.standing(village.ids[3])]
    assert [v.index for v in standings] == [-1]
    assert standings[0].value is not None
    record = decode_record(StandingRecord, standings[0].value)
    assert [(met.counterparty, met.count) for met in record.meetings] == [(village.ids[1][:4], 2)]


def test_the_total_of_equation_2_is_on_record() -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 400))
    # v + L + S + B with x = 1
    assert receipt.quality_ppm == 600_000 + 600_000 + 600_000 + 300_000
    before = q(village, 3)
    altered = village.one(encode(village.submit(3, village.terms(1, 3, 5, number=7), bytes(64))))
    # -v - L + B: the letter counts a buyer's fault in its favour, which is why it is no member's score.
    assert (altered.alpha, altered.quality_ppm) == (-1, -600_000 - 600_000 + before)
    assert q(village, 3) < before
    nobody = village.one(village.contract(1, 3, 5, period=99))
    assert (nobody.code, nobody.quality_ppm) == (Decline.WRONG_PERIOD, 0)


# ---- defaults ----------------------------------------------------------------------------------------


def test_whoever_signs_for_more_than_twice_of_what_it_has_is_at_fault_once() -> None:
    village = with_readings()
    terms = village.terms(2, 3, 2001)
    raws = [encode(village.submit(3, terms, village.signed_by(2, terms))) for _ in range(3)]
    for raw in raws:
        receipt = village.one(raw)
        assert (receipt.code, receipt.alpha) == (Decline.TOO_LITTLE_ENERGY, 1)
    # The buyer holds the seller's signature, and cannot ruin it with one promise.
    assert q(village, 2) == 210_000
    assert q(village, 3) == 300_000


@pytest.mark.parametrize(("energy_wh", "lost"), [(2000, 0), (2001, 90_000)])
def test_half_is_no_default_yet(energy_wh: int, lost: int) -> None:
    village = with_readings()
    assert village.one(village.contract(2, 3, energy_wh)).code is Decline.TOO_LITTLE_ENERGY
    assert q(village, 2) == 300_000 - lost


def test_nobody_is_at_fault_before_its_meter_has_spoken() -> None:
    village = Village()
    assert village.one(village.contract(2, 3, 500)).code is Decline.TOO_LITTLE_ENERGY
    village.block(village.reading(2, export_wh=500))
    assert village.one(village.contract(2, 3, 500, number=2)).code is Decline.TOO_LITTLE_IMPORT
    assert (q(village, 2), q(village, 3)) == (300_000, 300_000)


def test_a_buyer_that_can_not_pay_half_is_at_fault() -> None:
    village = with_readings(member={"wallet_nano": 100 * PRICE})
    assert village.one(village.contract(2, 3, 201)).code is Decline.TOO_LITTLE_MONEY
    assert (q(village, 2), q(village, 3)) == (300_000, 210_000)


def test_a_buyer_that_signs_for_more_than_twice_of_what_it_draws_is_at_fault() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 900))
    before = q(village, 3)
    assert village.one(village.contract(2, 3, 201)).code is Decline.TOO_LITTLE_IMPORT
    assert q(village, 3) == before - before * 3 // 10


def test_the_largest_contract_grows_with_the_lower_score() -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 30_001))
    assert (receipt.code, receipt.expected, receipt.found) == (Decline.TOO_LARGE, 30_000, 30_001)
    assert q(village, 1) == 600_000


# ---- drift -------------------------------------------------------------------------------------------


def test_an_idle_volunteer_drifts_without_anything_being_written() -> None:
    village = Village()
    later = 100 + 96 * 91
    assert q(village, 0) == 600_000
    assert score_on(village.ledger.get, RULES, village.ids[0], later) == 450_000
    assert score_on(village.ledger.get, RULES, village.ids[2], later) == 300_000


def test_drift_counts_when_a_score_is_asked_for() -> None:
    village = Village(market={"replay": False}, rules={"t0_ms": 101 * 900_000})
    for number in (5, 6):
        village.one(encode(village.submit(3, village.terms(1, 3, number), bytes(64))))
    assert q(village, 3) == 147_000
    assert village.one(village.contract(1, 3, 7)).code is Decline.SCORE_TOO_LOW
    later = 100 + 96 * 5
    village.block(period=later, slot=96 * 5 * 900)
    # Five days later it may trade again, and what it lacks now is energy.
    assert score_on(village.ledger.get, RULES, village.ids[3], later) >= RULES.trading_bar_ppm
    assert village.one(village.contract(1, 3, 7)).code is Decline.TOO_LITTLE_ENERGY


def test_strangers_have_no_score() -> None:
    village = Village()
    assert score_on(village.ledger.get, RULES, b"x" * 20, 100) == 0
