from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from p2penergy.genesis import PPM
from p2penergy.ledger import qscore
from p2penergy.ledger import standing as rules_of
from p2penergy.ledger.standing import MEETINGS_MAX, Standing
from p2penergy.score_rules import ScoreRules

RULES = ScoreRules()
DAY = 20_000


def breadth(own: Standing) -> int:
    return qscore.breadth(RULES, len(own.meetings))


def who(number: int) -> bytes:
    return number.to_bytes(20, "big")


def trade(own: Standing, other: int, day: int = DAY, **changes: Any) -> Standing:
    values = {"x_ppm": PPM, "energy_wh": 500, "chosen": False} | changes
    return rules_of.after_trade(RULES, own, who(other), 600_000, day=day, **values)


def veteran(counterparties: int = 12, q_ppm: int = 500_000, day: int = DAY) -> Standing:
    """Has met that many yesterday."""
    own = Standing(q_ppm, day - 1)
    for other in range(counterparties):
        own = trade(own, 1000 + other, day - 1)
    return replace(own, q_ppm=q_ppm)


def test_the_first_trade_counts_with_a_breadth_of_one_twelfth() -> None:
    assert trade(Standing(300_000, DAY), 1).q_ppm - 300_000 == 42_000 * 83_333 // PPM


def test_the_same_pair_earns_half_as_much_each_time_on_one_day_and_the_whole_tomorrow() -> None:
    own, gains = veteran(), []
    for day in (DAY, DAY, DAY, DAY + 1):
        after = trade(replace(own, q_ppm=500_000), 7, day, energy_wh=50)
        gains.append(after.q_ppm - 500_000)
        own = after
    assert gains == [3_000, 1_500, 750, 3_000]


def test_breadth_forgets_after_seven_days() -> None:
    own = veteran(11)
    assert breadth(trade(own, 1, DAY + 5)) == PPM
    assert breadth(trade(own, 1, DAY + 6)) == PPM // 12


def test_a_day_of_trades_brings_at_most_five_hundredths_and_a_narrow_circle_less() -> None:
    own, narrow = veteran(12, 300_000), Standing(300_000, DAY)
    for other in range(100):
        own, narrow = trade(own, other), trade(narrow, other % 2)
    assert own.q_ppm == 350_000
    assert narrow.q_ppm <= 300_000 + 50_000 * 2 // 12


def test_a_day_of_votes_brings_at_most_five_hundredths() -> None:
    own = Standing(500_000, DAY)
    for _ in range(100):
        own = rules_of.after_vote(RULES, own, RULES.proposer_gain_ppm, DAY)
    assert own.q_ppm == 550_000
    tomorrow = rules_of.after_vote(RULES, own, RULES.proposer_gain_ppm, DAY + 1)
    assert tomorrow.q_ppm > 550_000


def test_trades_and_votes_have_limits_of_their_own() -> None:
    own = veteran(12, 300_000)
    for other in range(100):
        own = rules_of.after_vote(RULES, trade(own, other), RULES.proposer_gain_ppm, DAY)
    assert own.q_ppm == 400_000


def test_whoever_does_something_every_day_does_not_drift() -> None:
    own = Standing(900_000, DAY)
    for day in range(DAY, DAY + 60):
        own = rules_of.after_vote(RULES, own, 0, day)
        assert rules_of.score(RULES, own, day) == rules_of.score(RULES, own, day + 1) == 900_000


def test_ninety_idle_days_take_half_of_what_sets_a_score_apart() -> None:
    own = Standing(900_000, DAY)
    assert rules_of.score(RULES, own, DAY + 91) == 600_000
    assert rules_of.after_default(RULES, own, -PPM, DAY + 91).q_ppm == 420_000


def test_a_default_costs_three_tenths_whatever_was_gained_that_day() -> None:
    assert rules_of.after_default(RULES, Standing(600_000, DAY), -PPM, DAY).q_ppm == 420_000


def test_a_trade_that_came_to_nothing_changes_no_score() -> None:
    assert trade(veteran(), 1, x_ppm=0).q_ppm == 500_000


events = st.tuples(
    st.sampled_from(["trade", "vote", "default"]),
    st.integers(0, 60),
    st.integers(0, PPM),
    st.integers(1, 2000),
    st.integers(0, 30),
    st.booleans(),
)


@given(st.integers(0, PPM), st.lists(events, max_size=60))
def test_a_standing_stays_in_its_bounds(q_ppm: int, happened: list[tuple[Any, ...]]) -> None:
    own, day = Standing(q_ppm, DAY), DAY
    for kind, other, x, energy_wh, days, chosen in happened:
        day += days * (other % 2)
        if kind == "trade":
            own = trade(own, other, day, x_ppm=x, energy_wh=energy_wh, chosen=chosen)
        elif kind == "vote":
            own = rules_of.after_vote(RULES, own, RULES.proposer_gain_ppm, day)
        else:
            own = rules_of.after_default(RULES, own, -x, day)
        assert 0 <= own.q_ppm <= PPM
        assert 0 <= own.trade_gain_ppm <= RULES.trade_day_max_ppm
        assert 0 <= own.vote_gain_ppm <= RULES.vote_day_max_ppm
        assert len(own.meetings) <= MEETINGS_MAX
        assert len({met.counterparty for met in own.meetings}) == len(own.meetings)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=150))
def test_the_breadth_is_exact_although_few_meetings_are_remembered(trades: list[tuple[int, int]]) -> None:
    own, day, met = Standing(300_000, DAY), DAY, {}
    for other, days in trades:
        day += days
        own = trade(own, other, day)
        met[other] = day
        distinct = sum(day - last < RULES.breadth_days for last in met.values())
        assert breadth(own) == min(distinct, 12) * PPM // 12
