from __future__ import annotations

from pathlib import Path

import pytest

from p2penergy.genesis import PPM
from p2penergy.grid.neighbourhood import Neighbourhood, load_sample
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT
from p2penergy.market.reputation_study import attacks, letter
from p2penergy.market.reputation_study.results import run, table
from p2penergy.market.reputation_study.week import Trade, Week, auc, choose_bad, simulate
from p2penergy.score_rules import ScoreRules

RULES = ScoreRules()
BAD = 12


@pytest.fixture(scope="module")
def sample() -> Neighbourhood:
    return load_sample()


@pytest.fixture(scope="module")
def bad(sample: Neighbourhood) -> dict[str, int]:
    return choose_bad(tuple(household.name for household in sample.households), BAD, seed=0)


@pytest.fixture(scope="module")
def week(sample: Neighbourhood, bad: dict[str, int]) -> Week:
    return simulate(sample, bad, 0, RULES)


@pytest.fixture(scope="module")
def unsuspended(sample: Neighbourhood, bad: dict[str, int]) -> Week:
    return simulate(sample, bad, 0, RULES, suspending=False)


def test_all_bad_households_are_suspended_within_three_days_and_no_honest_one(
    week: Week, bad: dict[str, int]
) -> None:
    assert set(week.suspended) == set(bad)
    assert max(week.suspended.values()) < 3 * 96


def test_less_than_two_percent_of_the_trades_default(week: Week, unsuspended: Week) -> None:
    assert len(week.trades) > 10_000
    assert week.defaults < len(week.trades) * 2 // 100
    assert week.defaults * 20 < unsuspended.defaults


def test_the_bounded_score_tells_good_from_bad_and_the_letter_does_not(
    unsuspended: Week, bad: dict[str, int]
) -> None:
    assert auc(unsuspended.scores[-1], bad) == 1
    names = list(unsuspended.scores[-1])
    for reading in letter.READINGS.values():
        assert auc(reading(unsuspended.trades, names), bad) < 0.95


def test_one_seed_gives_one_week(sample: Neighbourhood, bad: dict[str, int], week: Week) -> None:
    assert simulate(sample, bad, 0, RULES).trades == week.trades


def test_by_the_letter_a_buyer_who_never_pays_gains_by_every_default() -> None:
    trades = [Trade(1, "S", "B", 500, -PPM, BUYER_AT_FAULT)] * 3
    scores = letter.assigned(trades, ["S", "B"])
    assert scores["B"] == 8 * letter.START
    assert scores["S"] == letter.START
    assert letter.assigned([Trade(1, "S", "B", 500, -PPM, SELLER_AT_FAULT)], ["S", "B"])["S"] == 0


@pytest.mark.parametrize(("scores", "expected"), [((3, 1), 1.0), ((1, 3), 0.0), ((2, 2), 0.5)])
def test_auc(scores: tuple[int, int], expected: float) -> None:
    assert auc({"good": scores[0], "bad": scores[1]}, {"bad": PPM}) == expected


def test_a_pair_that_washes_hardly_climbs_and_a_wide_ring_does() -> None:
    def after_a_month(size: int) -> int:
        return attacks.ring(RULES, size, 30, chosen=True, energy_wh=500, rounds=2)[-1]

    assert after_a_month(2) < 330_000
    assert after_a_month(13) > 900_000


def test_a_score_is_good_for_few_defaults() -> None:
    assert [attacks.defaults_left(RULES, q) for q in (100_000, 300_000, 600_000, PPM)] == [0, 2, 4, 6]
    assert attacks.harm_wh(RULES, 300_000) == 30_000 + 21_000


def test_the_study_draws_its_figures_and_a_table(sample: Neighbourhood, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from p2penergy.market.reputation_study.figures import draw

    study = run(sample, RULES, 1, failing_ppm=(PPM,), ring_sizes=(2, 4))
    figures = sorted(path.name for path in draw(study, RULES, tmp_path) if path.stat().st_size)
    assert figures == ["qscore-harm.svg", "qscore-letter.svg", "qscore-rings.svg", "qscore-week.svg"]
    assert "12 of 12" in table(study, RULES)
