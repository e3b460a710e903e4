"""What a demo with bad households showed: who was suspended and why, and what Equation (2) would have said.

Lives here: the way from a ledger's census to rows of the report. Never here: counting (`census`), how it
looks (`display`). Implements the comparison of LEDGER section 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2penergy.demo.census import Census, Ended
from p2penergy.demo.misconduct import BadActor
from p2penergy.demo.report import ActorRow, LetterRow
from p2penergy.genesis import PPM
from p2penergy.grid.periods import period_start_text
from p2penergy.ledger.standing import day_of
from p2penergy.market.reputation_study.letter import READINGS
from p2penergy.market.reputation_study.week import Trade, auc

BOUNDED = "bounded score"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """For the report."""

    suspended: tuple[str, ...]
    wrongly_suspended: tuple[str, ...]
    trades: int
    """All that ended, defaults among them."""
    defaults: int
    actors: tuple[ActorRow, ...]
    letter: tuple[LetterRow, ...]


def verdicts(census: Census, names: Mapping[bytes, str], actors: Sequence[BadActor], last: int) -> Verdicts:
    """Who failed and what it came to, up to the trades for period `last`."""
    ended = [each for each in census.ended if each.for_period <= last]
    failed = [each for each in ended if each.fault]
    bad = {actor.name for actor in actors}
    suspended = {names[who]: at for who, at in census.suspended.items()}
    scores = {name: census.scores[who] for who, name in names.items()}
    return Verdicts(
        tuple(sorted(suspended)),
        tuple(sorted(suspended.keys() - bad)),
        len(ended),
        len(failed),
        tuple(_row(actor, failed, names, suspended, scores) for actor in actors),
        _letter(ended, names, bad, scores) if bad else (),
    )


def _row(
    actor: BadActor,
    failed: Sequence[Ended],
    names: Mapping[bytes, str],
    suspended: Mapping[str, int],
    scores: Mapping[str, int],
) -> ActorRow:
    own = [each for each in failed if each.at_fault is not None and names[each.at_fault] == actor.name]
    at = suspended.get(actor.name)
    return ActorRow(
        household=actor.name,
        does=str(actor.kind),
        tries_ppm=actor.share_ppm,
        defaults=len(own),
        suspended_start=None if at is None else period_start_text(at),
        reason=own[-1].reason if own else "",
        q_ppm=scores[actor.name],
    )


def _letter(
    ended: Sequence[Ended], names: Mapping[bytes, str], bad: set[str], scores: Mapping[str, int]
) -> tuple[LetterRow, ...]:
    trades = [
        Trade(
            day_of(each.period),
            names[each.seller],
            names[each.buyer],
            each.delivered_wh,
            -PPM if each.fault else PPM,
            each.fault,
        )
        for each in ended
    ]
    rows = [LetterRow(score=BOUNDED, auc=round(auc(scores, bad), 3))]
    for words, reading in READINGS.items():
        by_letter = reading(trades, tuple(names.values()))
        rows.append(LetterRow(score=f"letter: {words}", auc=round(auc(by_letter, bad), 3)))
    return tuple(rows)
