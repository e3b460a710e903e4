"""A member's standing: its score, and the little that the next trade or vote must know of the past.

Lives here: `Standing`, and what trades, defaults and votes make of it. Never here: the arithmetic
(`qscore`), the state, who is at fault. Owns the invariants that a standing has a bounded size and that
no day brings more than its limits. Implements LEDGER section 6.

A score drifts while its owner does nothing, without anybody writing it: `score` works it out from the
last day on which something happened.
"""

import msgspec
from msgspec.structs import replace

from p2penergy.ledger import qscore
from p2penergy.score_rules import ScoreRules

PERIODS_PER_DAY = 96
"""A day of the ledger is 96 periods from midnight UTC: 92 or 100 of them would need a time zone."""
MEETINGS_MAX = 32
"""At least the largest `breadth_counterparties`: the latest meetings suffice to count the breadth."""


class Meeting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A counterparty, the last day on which they traded, and how often on that day."""

    counterparty: bytes
    day: int
    count: int


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """All that the score of one member depends on."""

    q_ppm: int
    """The score at the end of `day`."""
    day: int
    """The last day on which the member traded, voted or defaulted."""
    trade_gain_ppm: int = 0
    """Gained by trades on `day`."""
    vote_gain_ppm: int = 0
    """Gained by work on committees on `day`."""
    meetings: tuple[Meeting, ...] = ()
    """Latest last; at most `MEETINGS_MAX`."""


def day_of(period: int) -> int:
    """The ledger's day of a settlement period."""
    return period // PERIODS_PER_DAY


def score(rules: ScoreRules, standing: Standing, day: int) -> int:
    """The score on a day, with the drift of the whole days in between."""
    idle_days = day - standing.day - 1
    return qscore.drifted(rules, standing.q_ppm, idle_days) if idle_days > 0 else standing.q_ppm


def _today(rules: ScoreRules, standing: Standing, day: int) -> Standing:
    """The same standing as something happens on `day`."""
    if day <= standing.day:
        return standing
    meetings = tuple(met for met in standing.meetings if day - met.day < rules.breadth_days)
    return Standing(score(rules, standing, day), day, meetings=meetings)


def _met(standing: Standing, counterparty: bytes) -> tuple[tuple[Meeting, ...], int]:
    """The meetings with one more, today's; and how often the two have traded today before."""
    before = 0
    others = []
    for met in standing.meetings:
        if met.counterparty != counterparty:
            others.append(met)
        elif met.day == standing.day:
            before = met.count
    others.append(Meeting(counterparty, standing.day, before + 1))
    return tuple(others[-MEETINGS_MAX:]), before


def after_trade(
    rules: ScoreRules,
    own: Standing,
    other_id: bytes,
    other_q_ppm: int,
    *,
    x_ppm: int,
    energy_wh: int,
    chosen: bool,
    day: int,
) -> Standing:
    """One side's standing after a trade with x >= 0; `other_q_ppm` is the other's score before it."""
    own = _today(rules, own, day)
    meetings, repeats = _met(own, other_id)
    circle = qscore.breadth(rules, len(meetings))
    w = qscore.weight(rules, energy_wh, repeats, circle, chosen)
    gain = qscore.trade_gain(rules, x_ppm, own.q_ppm, other_q_ppm, w)
    day_max = qscore.product(rules.trade_day_max_ppm, circle)
    gain = qscore.within_day(gain, own.trade_gain_ppm, day_max)
    return Standing(own.q_ppm + gain, own.day, own.trade_gain_ppm + gain, own.vote_gain_ppm, meetings)


def after_default(rules: ScoreRules, own: Standing, x_ppm: int, day: int) -> Standing:
    """The standing of the side at fault; the other's stays."""
    own = _today(rules, own, day)
    return replace(own, q_ppm=own.q_ppm - qscore.default_loss(rules, x_ppm, own.q_ppm))


def after_vote(rules: ScoreRules, own: Standing, rate_ppm: int, day: int) -> Standing:
    """A proposer's, signer's or verifier's standing after a block; it counts as activity."""
    own = _today(rules, own, day)
    gain = qscore.vote_gain(rate_ppm, own.q_ppm)
    gain = qscore.within_day(gain, own.vote_gain_ppm, rules.vote_day_max_ppm)
    return replace(own, q_ppm=own.q_ppm + gain, vote_gain_ppm=own.vote_gain_ppm + gain)


def after_stake(rules: ScoreRules, own: Standing, change_ppm: int, day: int) -> Standing:
    """A verifier's standing once a stake was taken off it, or has come back; it counts as activity."""
    own = _today(rules, own, day)
    return replace(own, q_ppm=own.q_ppm + change_ppm)


def at_join(rules: ScoreRules, own: Standing | None, day: int) -> Standing:
    """A new member's standing: a newcomer's score, and nobody more who was a member before."""
    if own is None:
        return Standing(rules.start_ppm, day)
    own = _today(rules, own, day)
    return replace(own, q_ppm=min(own.q_ppm, rules.start_ppm))
