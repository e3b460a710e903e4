from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.genesis import PPM
from p2penergy.ledger import qscore
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT, equation_2
from p2penergy.score_rules import ScoreRules

RULES = ScoreRules()
ppm = st.integers(0, PPM)
scores = st.fractions(0, 1, max_denominator=100)


# ---- the letter --------------------------------------------------------------------------------------


@given(scores, scores, st.fractions(Fraction(1, 100), 3), scores, scores, st.integers(-2, 2))
def test_a_successful_transaction_by_the_letter(
    v: Fraction, leader: Fraction, x: Fraction, s: Fraction, b: Fraction, alpha: int
) -> None:
    quality = equation_2(v, leader, x, s, b, alpha)
    assert quality == (v * x + leader * x**3 + (s + b) * x**5, v * x, leader * x**3)


@given(scores, scores, st.fractions(-3, Fraction(-1, 100)), scores, scores)
def test_a_declined_transaction_by_the_letter(
    v: Fraction, leader: Fraction, x: Fraction, s: Fraction, b: Fraction
) -> None:
    base = v * x + leader * x**3
    assert equation_2(v, leader, x, s, b, SELLER_AT_FAULT).total == base + s * x**5
    assert equation_2(v, leader, x, s, b, BUYER_AT_FAULT).total == base - b * x**5


def test_at_zero_nobody_counts_from_either_side() -> None:
    assert equation_2(1, 1, 0, 1, 1, SELLER_AT_FAULT) == (0, 0, 0)


@pytest.mark.parametrize("alpha", [0, 2, -3])
def test_a_declined_transaction_has_somebody_at_fault(alpha: int) -> None:
    with pytest.raises(ValueError, match=r"\+1 or -1"):
        equation_2(1, 1, -1, 1, 1, alpha)


# ---- why the letter can't be a running score ---------------------------------------------------------


def running(x: Fraction, transactions: int) -> tuple[Fraction, Fraction]:
    v = leader = Fraction(1, 2)
    for _ in range(transactions):
        _, v, leader = equation_2(v, leader, x, 0, 0, SELLER_AT_FAULT)
    return v, leader


def test_nine_tenths_per_success_decays_to_nothing() -> None:
    v, leader = running(Fraction(9, 10), 100)
    assert 0 < v < Fraction(1, 50_000)
    assert 0 < leader < Fraction(1, 10**12)


def test_eleven_tenths_per_success_explodes() -> None:
    v, leader = running(Fraction(11, 10), 100)
    assert v > 6_000
    assert leader > 10**12


def test_zero_never_recovers() -> None:
    _, v, leader = equation_2(Fraction(1, 2), Fraction(1, 2), 0, 1, 1, SELLER_AT_FAULT)
    for _ in range(50):
        _, v, leader = equation_2(v, leader, 3, 1, 1, SELLER_AT_FAULT)
    assert v == leader == 0


@given(st.fractions(-3, Fraction(-1, 100)), st.fractions(Fraction(1, 100), 1))
def test_a_buyer_who_does_not_pay_is_rewarded(x: Fraction, b: Fraction) -> None:
    assert equation_2(0, 0, x, 0, b, BUYER_AT_FAULT).total > 0
    assert equation_2(0, 0, x, b, 0, SELLER_AT_FAULT).total < 0


@given(st.fractions(-3, Fraction(-1, 100)), st.fractions(Fraction(1, 100), 1))
def test_validators_and_a_leader_who_rightly_decline_change_sign(x: Fraction, q: Fraction) -> None:
    _, v, leader = equation_2(q, q, x, 1, 1, SELLER_AT_FAULT)
    assert v < 0
    assert leader < 0
    _, v_again, _ = equation_2(v, leader, x, 1, 1, SELLER_AT_FAULT)
    assert v_again > 0


# ---- x ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivered_wh", "x_ppm"),
    [
        (1000, PPM),
        (2000, PPM),
        (950, PPM),
        (949, 898_000),
        (750, 500_000),
        (500, 0),
        (499, -PPM),
        (0, -PPM),
    ],
)
def test_x_by_the_share_that_was_delivered(delivered_wh: int, x_ppm: int) -> None:
    assert qscore.outcome(RULES, delivered_wh, 1000) == x_ppm


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_more_delivered_is_never_worse(a: int, b: int, contracted: int) -> None:
    less, more = sorted((a, b))
    assert qscore.outcome(RULES, less, contracted) <= qscore.outcome(RULES, more, contracted)


def test_x_stays_a_success_or_nothing_whatever_genesis_calls_a_part() -> None:
    assert qscore.outcome(ScoreRules(part_delivery_ppm=200_000), 300, 1000) == 0


# ---- gains and losses --------------------------------------------------------------------------------


def test_a_gain_is_a_tenth_by_the_others_score_and_the_own_room() -> None:
    assert qscore.trade_gain(RULES, PPM, 300_000, 600_000, PPM) == 42_000
    assert qscore.trade_gain(RULES, PPM, 300_000, 600_000, PPM // 4) == 10_500
    assert qscore.trade_gain(RULES, PPM // 2, 300_000, 600_000, PPM) == 42_000 // 32


@given(ppm, ppm, ppm, ppm)
def test_a_gain_never_leaves_the_scale_and_none_is_given_by_a_nobody(
    x: int, own: int, other: int, w: int
) -> None:
    gain = qscore.trade_gain(RULES, x, own, other, w)
    assert 0 <= gain <= (PPM - own) // 10
    assert qscore.trade_gain(RULES, x, own, 0, w) == 0


def test_a_default_costs_three_tenths_of_the_own_score() -> None:
    assert qscore.default_loss(RULES, -PPM, 600_000) == 180_000
    assert qscore.default_loss(RULES, -PPM // 2, PPM) == 300_000 // 32


@given(ppm, st.integers(-PPM, 0))
def test_a_default_takes_no_more_than_three_tenths(own: int, x: int) -> None:
    assert 0 <= qscore.default_loss(RULES, x, own) <= own * 3 // 10


@given(ppm, st.integers(-PPM, 0), st.integers(-PPM, 0))
def test_a_worse_default_costs_no_less(own: int, x: int, y: int) -> None:
    assert qscore.default_loss(RULES, min(x, y), own) >= qscore.default_loss(RULES, max(x, y), own)


def test_a_newcomer_who_defaults_at_once_is_out_after_two() -> None:
    own = RULES.start_ppm
    for _ in range(2):
        assert qscore.may_trade(RULES, own)
        own -= qscore.default_loss(RULES, -PPM, own)
    assert not qscore.may_trade(RULES, own)


def test_votes_bring_most_in_the_middle_and_the_proposer_twice_a_signers() -> None:
    assert qscore.vote_gain(RULES.proposer_gain_ppm, 500_000) == 5_000
    assert qscore.vote_gain(RULES.signer_gain_ppm, 500_000) == 2_500
    assert qscore.vote_gain(RULES.verifier_gain_ppm, 500_000) == 2_500
    assert qscore.vote_gain(RULES.proposer_gain_ppm, 0) == qscore.vote_gain(RULES.proposer_gain_ppm, PPM) == 0


# ---- weights -----------------------------------------------------------------------------------------


def test_half_a_kilowatt_hour_counts_wholly_and_less_in_proportion() -> None:
    assert qscore.weight(RULES, 500, 0, PPM, False) == PPM
    assert qscore.weight(RULES, 5000, 0, PPM, False) == PPM
    assert qscore.weight(RULES, 50, 0, PPM, False) == PPM // 10


def test_every_repeat_of_the_pair_today_halves() -> None:
    assert [qscore.weight(RULES, 500, n, PPM, False) for n in (0, 1, 2, 3, 60)] == [
        1_000_000,
        500_000,
        250_000,
        125_000,
        0,
    ]


def test_twelve_counterparties_make_a_full_breadth() -> None:
    assert [qscore.breadth(RULES, n) for n in (0, 1, 6, 12, 118)] == [0, 83_333, 500_000, PPM, PPM]
    assert qscore.weight(RULES, 500, 0, qscore.breadth(RULES, 6), False) == 500_000


def test_a_pair_that_chose_each_other_earns_a_quarter() -> None:
    assert qscore.weight(RULES, 500, 0, PPM, True) == 250_000


def test_a_day_brings_no_more_than_its_limit() -> None:
    assert qscore.within_day(30_000, 0, 50_000) == 30_000
    assert qscore.within_day(30_000, 40_000, 50_000) == 10_000
    assert qscore.within_day(30_000, 60_000, 50_000) == 0


# ---- drift -------------------------------------------------------------------------------------------


def test_idle_scores_go_half_the_way_to_a_newcomers_in_ninety_days() -> None:
    assert [qscore.drifted(RULES, 900_000, days) for days in (0, 90, 180, 45)] == [
        900_000,
        600_000,
        450_000,
        750_000,
    ]
    assert qscore.drifted(RULES, 100_000, 90) == 200_000


@given(ppm, st.integers(0, 4000), st.integers(0, 4000))
def test_drift_never_overshoots_and_never_turns_back(own: int, a: int, b: int) -> None:
    start, (less, more) = RULES.start_ppm, sorted((a, b))
    sooner, later = qscore.drifted(RULES, own, less), qscore.drifted(RULES, own, more)
    assert abs(later - start) <= abs(sooner - start) <= abs(own - start)
    assert (own - start) * (later - start) >= 0


# ---- what a score is good for ------------------------------------------------------------------------


def test_the_bars() -> None:
    assert qscore.may_trade(RULES, 150_000)
    assert not qscore.may_trade(RULES, 149_999)
    assert qscore.may_validate(RULES, 400_000)
    assert not qscore.may_validate(RULES, 399_999)


def test_the_largest_order_grows_with_the_score() -> None:
    assert [qscore.order_wh_max(RULES, q) for q in (0, 149_999, 150_000, 300_000, PPM)] == [
        0,
        0,
        15_000,
        30_000,
        100_000,
    ]


def test_a_stake_is_a_twentieth_and_comes_back_with_a_tenth_more() -> None:
    taken = qscore.stake(RULES, 600_000)
    assert taken == 30_000
    assert qscore.stake_back(RULES, taken, 600_000 - taken) == 33_000
    assert qscore.stake_back(RULES, taken, 990_000) == 10_000


def test_a_stake_is_settled_after_twenty_trades_or_fourteen_days() -> None:
    assert not qscore.is_stake_settled(RULES, 19, 13)
    assert qscore.is_stake_settled(RULES, 20, 0)
    assert qscore.is_stake_settled(RULES, 0, 14)
