"""Attacks on the score itself: pairs and rings that trade among themselves, swarms, sleepers.

Lives here: how fast a ring of real meters climbs, and how much harm a score is good for. Never here: the
sample week (`week`). Owns nothing: attackers play by the ledger's own rules.
"""

from itertools import combinations

from p2penergy.genesis import PPM
from p2penergy.ledger import qscore, standing
from p2penergy.ledger.standing import Standing
from p2penergy.score_rules import ScoreRules


def ring(rules: ScoreRules, size: int, days: int, *, chosen: bool, energy_wh: int, rounds: int) -> list[int]:
    """Mean score after each day of newcomers who trade with each other and nobody else.

    Every pair trades `rounds` times a day; `chosen` says whether by contract or, if they manage to meet
    there, in the auction.
    """
    members = [number.to_bytes(20, "big") for number in range(size)]
    standings = {who: Standing(rules.start_ppm, 0) for who in members}
    means = [rules.start_ppm]
    for day in range(1, days + 1):
        for _ in range(rounds):
            for one, two in combinations(members, 2):
                q_ppm = {who: standings[who].q_ppm for who in (one, two)}
                for own, other in ((one, two), (two, one)):
                    standings[own] = standing.after_trade(
                        rules,
                        standings[own],
                        other,
                        q_ppm[other],
                        x_ppm=PPM,
                        energy_wh=energy_wh,
                        chosen=chosen,
                        day=day,
                    )
        means.append(sum(own.q_ppm for own in standings.values()) // size)
    return means


def defaults_left(rules: ScoreRules, q_ppm: int) -> int:
    """How many trades in a row a member of this score can break before it may trade no more."""
    count = 0
    while qscore.may_trade(rules, q_ppm):
        q_ppm -= qscore.default_loss(rules, -PPM, q_ppm)
        count += 1
    return count


def harm_wh(rules: ScoreRules, q_ppm: int) -> int:
    """The most energy that these trades can promise together."""
    harm = 0
    while qscore.may_trade(rules, q_ppm):
        harm += qscore.order_wh_max(rules, q_ppm)
        q_ppm -= qscore.default_loss(rules, -PPM, q_ppm)
    return harm
