"""The study's figures as numbers: what is drawn and what is tabled.

Lives here: running the scenarios and adding up. Never here: drawing, files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from p2penergy.genesis import PPM
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.market.reputation_study import attacks
from p2penergy.market.reputation_study.letter import READINGS
from p2penergy.market.reputation_study.week import Week, auc, choose_bad, simulate
from p2penergy.score_rules import ScoreRules

BAD_HOUSEHOLDS = 12
PERIODS_PER_DAY = 96
FAILING_PPM = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
RING_SIZES = (2, 4, 8, 13, 24)
RING_DAYS = 60
RING_WH = 500
RING_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw of bad households."""

    seed: int
    trades: int
    defaults: int
    bad_suspended: int
    honest_suspended: int
    last_day: float
    """Days until the last bad one was suspended; 7 when one never was."""
    defaults_unsuspended: int
    """Defaults in the same week when nobody is suspended."""
    auc: float
    letter_auc: tuple[float, ...]
    """In the order of `READINGS`."""


@dataclass(frozen=True, slots=True)
class Failing:
    """Bad households that all fail equally often."""

    failing_ppm: int
    suspended: int
    defaults: int
    trades: int


@dataclass(frozen=True, slots=True)
class Study:
    """All results."""

    week: Week
    """The first draw, for its curves."""
    unsuspended: Week
    draws: tuple[Draw, ...]
    failing: tuple[Failing, ...]
    rings: dict[tuple[int, bool], list[int]]
    """(size, chosen) -> mean score by day."""


def run(
    neighbourhood: Neighbourhood,
    rules: ScoreRules,
    seeds: int,
    failing_ppm: Sequence[int] = FAILING_PPM,
    ring_sizes: Sequence[int] = RING_SIZES,
) -> Study:
    """Run everything; a second or two per seed."""
    names = tuple(household.name for household in neighbourhood.households)
    weeks = [_draw(neighbourhood, names, seed, rules) for seed in range(seeds)]
    failing = []
    for share_ppm in failing_ppm:
        bad = dict.fromkeys(choose_bad(names, BAD_HOUSEHOLDS, 0), share_ppm)
        week = simulate(neighbourhood, bad, 0, rules)
        failing.append(
            Failing(share_ppm, sum(b in week.suspended for b in bad), week.defaults, len(week.trades))
        )
    rings = {
        (size, chosen): attacks.ring(
            rules, size, RING_DAYS, chosen=chosen, energy_wh=RING_WH, rounds=RING_ROUNDS
        )
        for size in ring_sizes
        for chosen in (True, False)
    }
    first_week, first_unsuspended, _ = weeks[0]
    return Study(first_week, first_unsuspended, tuple(draw for *_, draw in weeks), tuple(failing), rings)


def _draw(
    neighbourhood: Neighbourhood, names: tuple[str, ...], seed: int, rules: ScoreRules
) -> tuple[Week, Week, Draw]:
    bad = choose_bad(names, BAD_HOUSEHOLDS, seed)
    week = simulate(neighbourhood, bad, seed, rules)
    unsuspended = simulate(neighbourhood, bad, seed, rules, suspending=False)
    letters = [auc(reading(unsuspended.trades, names), bad) for reading in READINGS.values()]
    over = len(neighbourhood.periods)
    caught = [week.suspended.get(name, over) for name in bad]
    draw = Draw(
        seed,
        len(week.trades),
        week.defaults,
        sum(name in week.suspended for name in bad),
        sum(name not in bad for name in week.suspended),
        max(caught) / PERIODS_PER_DAY,
        unsuspended.defaults,
        auc(unsuspended.scores[-1], bad),
        tuple(letters),
    )
    return week, unsuspended, draw


def table(study: Study, rules: ScoreRules) -> str:
    """The numbers as Markdown."""
    lines = [
        "| draw | trades | defaults | without scores | bad suspended | last after days | honest suspended |"
        " AUC | " + " | ".join(f"letter: {name}" for name in READINGS) + " |",
        "|---" * (8 + len(READINGS)) + "|",
    ]
    for d in study.draws:
        letters = " | ".join(f"{value:.2f}" for value in d.letter_auc)
        lines.append(
            f"| {d.seed} | {d.trades} | {d.defaults} ({d.defaults / d.trades:.2%}) "
            f"| {d.defaults_unsuspended} | {d.bad_suspended} of {BAD_HOUSEHOLDS} | {d.last_day:.1f} "
            f"| {d.honest_suspended} | {d.auc:.2f} | {letters} |"
        )
    lines += ["", "| fails | suspended within the week | defaults |", "|---|---|---|"]
    for f in study.failing:
        lines.append(
            f"| {f.failing_ppm / PPM:.1%} | {f.suspended} of {BAD_HOUSEHOLDS} "
            f"| {f.defaults} of {f.trades} ({f.defaults / f.trades:.2%}) |"
        )
    lines += ["", "| score | defaults in a row until suspended | Wh they can promise |", "|---|---|---|"]
    for q_ppm in (rules.start_ppm, 450_000, rules.volunteer_start_ppm, 800_000, PPM):
        lines.append(
            f"| {q_ppm / PPM:.2f} | {attacks.defaults_left(rules, q_ppm)} | {attacks.harm_wh(rules, q_ppm)} |"
        )
    lines += ["", "| ring of | by contract, after 30 days | through the auction |", "|---|---|---|"]
    for size in sorted({size for size, _ in study.rings}):
        chosen, met = (study.rings[size, flag][30] / PPM for flag in (True, False))
        lines.append(f"| {size} | {chosen:.2f} | {met:.2f} |")
    return "\n".join(lines) + "\n"
