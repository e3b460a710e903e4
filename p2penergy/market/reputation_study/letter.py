"""The letter of Equation (2) as everybody's running score, on the trades of a week.

Lives here: three ways to read it as one, each exact. Never here: the bounded reading. Implements the
comparison that LEDGER section 6 asks for.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from p2penergy.ledger.qscore import SELLER_AT_FAULT, equation_2
from p2penergy.market.reputation_study.week import Trade

Scores = dict[str, Fraction | int]
START = Fraction(3, 10)


def assigned(trades: Iterable[Trade], names: Iterable[str]) -> Scores:
    """Whoever a transaction is about gets f(x, alpha) on top; in a decline only the side at fault."""
    scores: Scores = dict.fromkeys(names, START)
    for trade in trades:
        x = 1 if not trade.fault else -1
        seller, buyer = scores[trade.seller], scores[trade.buyer]
        points = equation_2(0, 0, x, seller, buyer, trade.fault).total
        for name in _concerned(trade):
            scores[name] += points
    return scores


def remembered(trades: Iterable[Trade], names: Iterable[str], step: Fraction = Fraction(9, 10)) -> Scores:
    """Every score is multiplied by x, as v is: 0.9 for a success, -0.9 for a decline."""
    scores: Scores = dict.fromkeys(names, START)
    for trade in trades:
        x = step if not trade.fault else -step
        for name in _concerned(trade):
            scores[name] = equation_2(scores[name], 0, x, 0, 0, SELLER_AT_FAULT).validators
    return scores


def last_total(trades: Iterable[Trade], names: Iterable[str]) -> Scores:
    """A score is the total of the last transaction; v and L run on from one to the next."""
    scores: Scores = dict.fromkeys(names, START)
    v: Fraction | int = START
    leader: Fraction | int = START
    for trade in trades:
        x = 1 if not trade.fault else -1
        seller, buyer = scores[trade.seller], scores[trade.buyer]
        total, v, leader = equation_2(v, leader, x, seller, buyer, trade.fault)
        for name in _concerned(trade):
            scores[name] = total
    return scores


READINGS: Mapping[str, Callable[[Iterable[Trade], Iterable[str]], Scores]] = {
    "points of Equation (2) added up": assigned,
    "score multiplied by x, as v is": remembered,
    "total of the last transaction": last_total,
}


def _concerned(trade: Trade) -> tuple[str, ...]:
    if not trade.fault:
        return trade.seller, trade.buyer
    return (trade.seller,) if trade.fault == SELLER_AT_FAULT else (trade.buyer,)
