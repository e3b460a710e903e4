"""Bad households on the ledger: all suspended soon, no honest one, and hardly a trade fails for them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from misconduct_week import Week

from p2penergy.demo.misconduct import SHARES_PPM, BadActor, Kind, Misconduct, choose, penniless
from p2penergy.demo.verdicts import BOUNDED, verdicts
from p2penergy.grid.neighbourhood import Neighbourhood, load_sample

BAD = 12
PERIODS_PER_DAY = 96
DEFAULTS_SHARE_MAX = 0.02


@pytest.fixture(scope="module")
def sample() -> Neighbourhood:
    return load_sample()


@pytest.fixture(scope="module")
def actors(sample: Neighbourhood) -> tuple[BadActor, ...]:
    return choose(sample.households, BAD)


def test_the_same_ones_are_chosen_each_time_and_all_kinds_of_them(
    sample: Neighbourhood, actors: Sequence[BadActor]
) -> None:
    assert choose(sample.households[::-1], BAD) == tuple(actors)
    assert len({actor.name for actor in actors}) == BAD
    assert {actor.kind for actor in actors} == set(Kind)
    assert {actor.share_ppm for actor in actors} == set(SHARES_PPM)
    panels = {h.name for h in sample.households if h.pv_w}
    assert not penniless(actors) & panels


def test_attempts_are_false_and_their_victims_honest(
    sample: Neighbourhood, actors: Sequence[BadActor]
) -> None:
    bad = {actor.name for actor in actors}
    misconduct = Misconduct(sample, actors, sample.periods[-1])
    kinds = set()
    for period in sample.periods[:PERIODS_PER_DAY]:
        attempts = list(misconduct.attempts(period, ()))
        assert attempts == list(Misconduct(sample, actors, sample.periods[-1]).attempts(period, ()))
        parties = [name for each in attempts for name in (each.seller, each.buyer)]
        assert len(parties) == len(set(parties))
        for each in attempts:
            kinds.add(each.actor.kind)
            assert {each.seller, each.buyer} - bad
            if each.actor.kind is Kind.NO_PAYMENT:
                assert each.buyer == each.actor.name
                assert each.energy_wh <= sample.surpluses(period)[each.seller]
            else:
                assert each.seller == each.actor.name
                assert each.energy_wh > 2 * sample.surpluses(each.period).get(each.seller, 0)
                assert each.energy_wh == sample.deficits(each.period)[each.buyer]
    assert kinds == set(Kind)
    assert not list(misconduct.attempts(sample.periods[40], bad))


def test_who_is_left_out_of_usual_trade(sample: Neighbourhood, actors: Sequence[BadActor]) -> None:
    period = sample.periods[40]
    misconduct = Misconduct(sample, actors, sample.periods[-1])
    ahead = next(each for each in misconduct.attempts(period, ()) if each.period > period)
    misconduct.promised(ahead)
    suspended = {sample.households[0].name}
    surpluses, deficits = misconduct.left(ahead.period, suspended)
    assert not {ahead.seller, ahead.buyer, *suspended} & {*surpluses, *deficits}
    assert not penniless(actors) & deficits.keys()
    assert len(misconduct.left(period, ())[1]) == len(sample.deficits(period).keys() - penniless(actors))


def test_no_promise_is_made_beyond_the_last_period(sample: Neighbourhood, actors: Sequence[BadActor]) -> None:
    period = sample.periods[40]
    assert all(each.period == period for each in Misconduct(sample, actors, period).attempts(period, ()))


def check(sample: Neighbourhood, actors: Sequence[BadActor], days: int) -> None:
    periods = sample.periods[: days * PERIODS_PER_DAY]
    week = Week(sample, actors, periods, validators=4)
    week.run()
    names = dict(zip(week.village.ids, week.names, strict=True))
    said = verdicts(week.census, names, actors, periods[-1])
    assert week.village.ledger.audit_totals().is_conserved()
    assert said.wrongly_suspended == ()
    assert set(said.suspended) == {actor.name for actor in actors}
    assert max(week.census.suspended.values()) < periods[0] + 3 * PERIODS_PER_DAY
    assert 0 < said.defaults < DEFAULTS_SHARE_MAX * said.trades
    assert all(row.defaults > 0 and row.reason and row.suspended_start for row in said.actors)
    letter = {row.score: row.auc for row in said.letter}
    # The letter's readings stand beside it; what they come to depends on who happens to be bad.
    assert letter.pop(BOUNDED) == 1
    assert len(letter) == 3


def test_twelve_bad_households_of_118_are_suspended(
    sample: Neighbourhood, actors: Sequence[BadActor]
) -> None:
    check(sample, actors, days=3)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_any_twelve_bad_households_of_118_in_a_week(sample: Neighbourhood, seed: int) -> None:
    check(sample, choose(sample.households, BAD, seed), days=7)
