"""Scores in the state: who gains and who loses in a block.

Lives here: `Standings`, one block's view of its members' scores. Never here: the arithmetic (`qscore`,
`standing`), who is at fault (`contracts`, `deferred`). Owns the invariants that a score changes in one
place only, and that a member with proven evidence against it stays at 0. Implements LEDGER section 6.

A change shows at once under `q/ID`, as a version of the transaction that caused it. What else a
standing remembers goes under `standing/ID` once per block, however often its owner traded in it.
"""

from msgspec.structs import replace

from p2penergy.ledger import keys, standing
from p2penergy.ledger.query import Get
from p2penergy.ledger.records import (
    StandingRecord,
    decode_integer,
    decode_record,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.standing import Standing, day_of
from p2penergy.ledger.state import BLOCK_INDEX, Scratch
from p2penergy.score_rules import ScoreRules

COUNTERPARTY_BYTES = 4
"""Of a counterparty's id a standing remembers the first bytes. Two that share them count as one, which
only makes a circle look narrower."""


def _load(get: Get, who: bytes, day: int) -> Standing:
    """A standing from the state; a member that never did anything is at its start."""
    q_ppm = decode_integer(get(keys.score(who)))
    value = get(keys.standing(who))
    if value is None:
        return Standing(q_ppm, day)
    kept = decode_record(StandingRecord, value)
    return Standing(q_ppm, kept.day, kept.trade_gain_ppm, kept.vote_gain_ppm, kept.meetings)


def score_on(get: Get, rules: ScoreRules, who: bytes, period: int) -> int:
    """A member's score in a period, drift included; 0 for strangers and proven equivocators."""
    if get(keys.proven(who)) is not None:
        return 0
    day = day_of(period)
    return standing.score(rules, _load(get, who, day), day)


class Standings:
    """The standings that one block reads and changes."""

    def __init__(self, scratch: Scratch, rules: ScoreRules, period: int) -> None:
        self._scratch = scratch
        self.rules = rules
        self._period = period
        self._day = day_of(period)
        self._changed: dict[bytes, Standing] = {}

    def score(self, who: bytes) -> int:
        """The score now."""
        own = self._changed.get(who)
        if own is None or self._is_expelled(who):
            return score_on(self._scratch.get, self.rules, who, self._period)
        return standing.score(self.rules, own, self._day)

    def trade(self, seller: bytes, buyer: bytes, x_ppm: int, energy_wh: int, chosen: bool) -> None:
        """Both sides gain by a trade with x > 0, each by the other's score before it."""
        before = {who: self.score(who) for who in (seller, buyer)}
        for own, other in ((seller, buyer), (buyer, seller)):
            after = standing.after_trade(
                self.rules,
                self._own(own),
                other[:COUNTERPARTY_BYTES],
                before[other],
                x_ppm=x_ppm,
                energy_wh=energy_wh,
                chosen=chosen,
                day=self._day,
            )
            self._keep(own, after)

    def default(self, who: bytes, x_ppm: int) -> None:
        """The side at fault loses."""
        self._keep(who, standing.after_default(self.rules, self._own(who), x_ppm, self._day))

    def vote(self, who: bytes, rate_ppm: int) -> None:
        """A member gains by its work on a committee."""
        if self._scratch.get(keys.score(who)) is not None:
            self._keep(who, standing.after_vote(self.rules, self._own(who), rate_ppm, self._day))

    def expel(self, who: bytes) -> None:
        """Take the whole score of a member against whom evidence is on record."""
        self._put_score(who, 0)

    def close(self) -> None:
        """Write what the block leaves to remember."""
        self._scratch.index = BLOCK_INDEX
        for who in sorted(self._changed):
            own = self._changed[who]
            record = StandingRecord(own.day, own.trade_gain_ppm, own.vote_gain_ppm, own.meetings)
            value, key = encode_record(record), keys.standing(who)
            if self._scratch.get(key) != value:
                self._scratch.put(key, value)

    def _own(self, who: bytes) -> Standing:
        return self._changed.get(who) or _load(self._scratch.get, who, self._day)

    def _keep(self, who: bytes, own: Standing) -> None:
        if self._is_expelled(who):
            own = replace(own, q_ppm=0)
        self._changed[who] = own
        self._put_score(who, own.q_ppm)

    def _put_score(self, who: bytes, q_ppm: int) -> None:
        value = encode_integer(q_ppm)
        if self._scratch.get(keys.score(who)) != value:
            self._scratch.put(keys.score(who), value)

    def _is_expelled(self, who: bytes) -> bool:
        return self._scratch.get(keys.proven(who)) is not None
