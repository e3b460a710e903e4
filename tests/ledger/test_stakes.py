"""Verifiers' gains and stakes: what vouching for a newcomer brings and costs."""

from __future__ import annotations

from newcomers import Newcomers, newcomer
from test_ledger_evidence import proof, submitted

from p2penergy.ledger import VerdictCode, query
from p2penergy.messages import Stage
from p2penergy.score_rules import ScoreRules

STAKING = ScoreRules(proposer_gain_ppm=0, signer_gain_ppm=0, verifier_gain_ppm=0)
Q, STAKE = 600_000, 30_000


def with_newcomer(scores: ScoreRules = STAKING, by: tuple[int, ...] = (0, 1, 2)) -> Newcomers:
    village, who = Newcomers(market={"scores": scores}), newcomer(0)
    village.verify(village.admission(village.join_request(who), by=by))
    village.signers.append(who)
    village.ids.append(who.participant_id)
    return village


def scores_of(village: Newcomers) -> list[int]:
    return [village.score_of(who) for who in village.ids[:4]]


def trade(village: Newcomers) -> None:
    receipts = village.block(
        village.reading(4, export_wh=500),
        village.reading(3, import_wh=500),
        village.contract(4, 3, 500, number=village.ledger.height),
    )
    assert all(receipt.accepted for receipt in receipts)
    village.next_period()


def test_who_accepts_stakes_a_share_and_who_says_nothing_does_not() -> None:
    village = with_newcomer()
    assert scores_of(village) == [Q - STAKE, Q - STAKE, Q - STAKE, Q]
    record = query.stake(village.ledger.get, village.ids[4])
    assert record is not None
    assert sorted((each.verifier, each.stake_ppm) for each in record.stakes) == sorted(
        (who, STAKE) for who in village.ids[:3]
    )


def test_nobody_falls_below_the_bar_by_vouching() -> None:
    bar = Q - STAKE // 3
    village = with_newcomer(ScoreRules(**{**_plain(), "committee_bar_ppm": bar}))
    assert scores_of(village) == [bar, bar, bar, Q]
    village.join(newcomer(1))
    assert scores_of(village) == [bar, bar, bar, Q]
    assert query.stake(village.ledger.get, newcomer(1).participant_id) is None
    assert len(village.ledger.volunteers(Stage.VALIDATION, village.ledger.height)) == 4


def test_a_clean_newcomer_s_stake_comes_back_with_a_tenth_after_enough_days() -> None:
    village = with_newcomer(ScoreRules(**{**_plain(), "stake_days": 2, "idle_half_life_days": 3650}))
    first_day = village.ledger.period // 96
    before = scores_of(village)
    while query.stake(village.ledger.get, village.ids[4]) is not None:
        before = scores_of(village)
        village.next_period()
    assert village.ledger.period == (first_day + 2) * 96
    gains = [now - then for now, then in zip(scores_of(village), before, strict=True)]
    # Besides, everybody drifts a little.
    assert all(0 <= STAKE * 11 // 10 - gain < 100 for gain in gains[:3])
    assert -100 < gains[3] < 0


def test_or_after_enough_trades() -> None:
    village = with_newcomer(ScoreRules(**{**_plain(), "stake_trades": 3}))
    for _ in range(2):
        trade(village)
        assert query.stake(village.ledger.get, village.ids[4]) is not None
    trade(village)
    assert query.stake(village.ledger.get, village.ids[4]) is None
    assert scores_of(village)[:3] == [Q - STAKE + STAKE * 11 // 10] * 3


def _plain() -> dict[str, int]:
    return {"proposer_gain_ppm": 0, "signer_gain_ppm": 0, "verifier_gain_ppm": 0}


def test_a_newcomer_that_defaults_takes_the_stake_with_it() -> None:
    village = with_newcomer()
    village.block(village.reading(4, export_wh=10), village.reading(3, import_wh=5000))
    village.one(village.contract(4, 3, 3000))
    assert query.stake(village.ledger.get, village.ids[4]) is None
    assert scores_of(village)[:3] == [Q - STAKE] * 3


def test_a_newcomer_that_is_expelled_does_so_too() -> None:
    village = with_newcomer()
    village.one(submitted(village, proof(village, 4), by=0))
    assert query.stake(village.ledger.get, village.ids[4]) is None
    assert scores_of(village)[:3] == [Q - STAKE] * 3


def test_a_newcomer_that_leaves_or_is_revoked_gives_it_back_without_a_bonus() -> None:
    for leaving in (True, False):
        village = with_newcomer()
        who = newcomer(0)
        assert village.verify_one(village.leave(who) if leaving else village.revocation(who)).accepted
        assert scores_of(village) == [Q] * 4
        assert query.stake(village.ledger.get, who.participant_id) is None


def test_an_expelled_verifier_gets_nothing_back() -> None:
    village = with_newcomer()
    village.one(submitted(village, proof(village, 1), by=0))
    village.verify(village.leave(newcomer(0)))
    assert scores_of(village) == [Q, 0, Q, Q]


def test_verdicts_that_agree_with_the_decision_earn() -> None:
    gain = 10_000 * 600_000 // 1_000_000 * 400_000 // 1_000_000
    village = Newcomers(market={"scores": ScoreRules(proposer_gain_ppm=0, signer_gain_ppm=0)})
    request = village.join_request(newcomer(0))
    village.verify(village.admission(request, VerdictCode.EXPIRED, (0, 1)))
    assert scores_of(village) == [Q + gain, Q + gain, Q, Q]


def test_accepting_what_the_ledger_declines_earns_nothing_and_stakes_nothing() -> None:
    village = with_newcomer(ScoreRules(proposer_gain_ppm=0, signer_gain_ppm=0))
    before = scores_of(village)
    receipt = village.verify_one(village.admission(village.join_request(newcomer(0))))
    assert not receipt.accepted
    assert scores_of(village) == before
