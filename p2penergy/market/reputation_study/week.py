"""The sample week with households of whom some do not keep what they promise.

Lives here: who trades with whom, who fails, and what the scores make of it. Never here: attacks on the
score itself (`attacks`), drawing. Owns the invariant that one seed gives one week, with whatever score.
"""

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from p2penergy.genesis import PPM
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.ledger import qscore, standing
from p2penergy.ledger.auction import Match, Order, clear
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT
from p2penergy.ledger.standing import Standing
from p2penergy.market.tariffs import Tariffs
from p2penergy.score_rules import ScoreRules

BAD_SHARES_PPM = (1_000_000, 500_000, 200_000)
"""How often the bad ones fail: a third of them each."""
HONEST_SHORT_PPM = 20_000
"""How often an honest seller delivers 80 to 95 percent only."""
HONEST_DEFAULT_PPM = 200
"""How often an honest seller delivers nothing: a blown fuse."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade as it went; `fault` as alpha in Equation (2), 0 when nobody is at fault."""

    day: int
    seller: str
    buyer: str
    energy_wh: int
    x_ppm: int
    fault: int


@dataclass(slots=True)
class Week:
    """What happened."""

    bad: dict[str, int]
    """Household -> how often it fails, ppm."""
    trades: list[Trade] = field(default_factory=list)
    scores: list[dict[str, int]] = field(default_factory=list)
    """By hour, household -> ppm."""
    suspended: dict[str, int] = field(default_factory=dict)
    """Household -> number of the period in which its score fell below the bar."""

    @property
    def defaults(self) -> int:
        """Trades that failed by somebody's fault."""
        return sum(trade.fault != 0 for trade in self.trades)


def choose_bad(households: tuple[str, ...], count: int, seed: int) -> dict[str, int]:
    """Draw the bad ones; how often they fail goes round `BAD_SHARES_PPM`."""
    chosen = random.Random(seed).sample(sorted(households), count)
    return {name: BAD_SHARES_PPM[number % len(BAD_SHARES_PPM)] for number, name in enumerate(chosen)}


def simulate(
    neighbourhood: Neighbourhood,
    bad: dict[str, int],
    seed: int,
    rules: ScoreRules,
    *,
    suspending: bool = True,
    tariffs: Tariffs | None = None,
) -> Week:
    """Let the households trade through the week's auctions.

    Everybody asks or bids at a random limit between feed-in and retail. Without `suspending`, scores
    are kept but nobody is kept out by them.
    """
    dice = random.Random(seed)
    tariffs = tariffs or Tariffs()
    week = Week(bad)
    first_day = standing.day_of(neighbourhood.periods[0])
    standings = {h.name: Standing(rules.start_ppm, first_day) for h in neighbourhood.households}
    for number, period in enumerate(neighbourhood.periods):
        day = standing.day_of(period)
        allowed = {
            name
            for name, own in standings.items()
            if not suspending or qscore.may_trade(rules, standing.score(rules, own, day))
        }
        asks, bids = _orders(neighbourhood, period, allowed, dice, tariffs)
        clearing = clear(asks, bids, seed=period.to_bytes(32, "big"))
        for match in clearing.matches:
            trade = _trade(match, day, bad, dice)
            week.trades.append(trade)
            _score(rules, standings, trade)
        for name, own in standings.items():
            if name not in week.suspended and own.q_ppm < rules.trading_bar_ppm:
                week.suspended[name] = number
        if number % 4 == 3:
            week.scores.append({n: standing.score(rules, own, day) for n, own in standings.items()})
    return week


def _orders(
    neighbourhood: Neighbourhood,
    period: int,
    allowed: set[str],
    dice: random.Random,
    tariffs: Tariffs,
) -> tuple[list[Order], list[Order]]:
    def orders(energies_wh: dict[str, int], prefix: bytes) -> list[Order]:
        made = []
        for name, energy_wh in energies_wh.items():
            limit = dice.randint(tariffs.feed_in_micro_per_kwh, tariffs.retail_micro_per_kwh)
            if name in allowed:
                made.append(Order(prefix + name.encode(), name.encode(), limit, energy_wh))
        return made

    return orders(neighbourhood.surpluses(period), b"a"), orders(neighbourhood.deficits(period), b"b")


def _trade(match: Match, day: int, bad: dict[str, int], dice: random.Random) -> Trade:
    seller, buyer = match.ask_id[1:].decode(), match.bid_id[1:].decode()
    x_ppm, fault = PPM, 0
    if dice.randrange(PPM) < bad.get(seller, HONEST_DEFAULT_PPM):
        x_ppm, fault = -PPM, SELLER_AT_FAULT
    elif dice.randrange(PPM) < bad.get(buyer, 0):
        x_ppm, fault = -PPM, BUYER_AT_FAULT
    elif dice.randrange(PPM) < HONEST_SHORT_PPM:
        x_ppm = 2 * dice.randint(800_000, 950_000) - PPM
    return Trade(day, seller, buyer, match.energy_wh, x_ppm, fault)


def _score(rules: ScoreRules, standings: dict[str, Standing], trade: Trade) -> None:
    seller, buyer = trade.seller, trade.buyer
    if trade.fault:
        name = seller if trade.fault == SELLER_AT_FAULT else buyer
        standings[name] = standing.after_default(rules, standings[name], trade.x_ppm, trade.day)
        return
    q_ppm = {name: standing.score(rules, standings[name], trade.day) for name in (seller, buyer)}
    for own, other in ((seller, buyer), (buyer, seller)):
        standings[own] = standing.after_trade(
            rules,
            standings[own],
            other.encode(),
            q_ppm[other],
            x_ppm=trade.x_ppm,
            energy_wh=trade.energy_wh,
            chosen=False,
            day=trade.day,
        )


def auc(scores: Mapping[str, int | Fraction], bad: Container[str]) -> float:
    """How often a good household stands above a bad one: 1 tells them apart, 0.5 is a coin."""
    good = [score for name, score in scores.items() if name not in bad]
    worse = [score for name, score in scores.items() if name in bad]
    higher = sum(1.0 if a > b else 0.5 * (a == b) for a in good for b in worse)
    return higher / (len(good) * len(worse))
