"""Scores in the state: who gains and who loses in a block.

Lives here: `Standings`, one block's view of its members' scores. Never here: the arithmetic (`qscore`,
`standing`), who is at fault (`contracts`, `deferred`). Owns the invariants that a score changes in one
place only, and that a member with proven evidence against it stays at 0. Implements LEDGER section 6.

A change shows at once under `q/ID`, as a version of the transaction that caused it. What else a
standing remembers goes under `standing/ID` once per block, however often its owner traded in it.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from p2penergy.ledger import keys, qscore, query, standing
from p2penergy.ledger.query import Get
from p2penergy.ledger.records import (
    Stake,
    StakeRecord,
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
    """A member's score in a period, drift included; 0 for strangers, and for who is no member any more."""
    if get(keys.gone(who)) is not None:
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
        self.moved: set[bytes] = set()
        """Whose score this block has changed."""

    def score(self, who: bytes) -> int:
        """The score now."""
        own = self._changed.get(who)
        if own is None or self._scratch.get(keys.gone(who)) is not None:
            return score_on(self._scratch.get, self.rules, who, self._period)
        return standing.score(self.rules, own, self._day)

    def trade(self, seller: bytes, buyer: bytes, x_ppm: int, energy_wh: int, chosen: bool) -> None:
        """Both sides gain by a trade with x > 0, each by the other's score before it."""
        seller_ppm, buyer_ppm = self.score(seller), self.score(buyer)
        for own, other, other_ppm in ((seller, buyer, buyer_ppm), (buyer, seller, seller_ppm)):
            after = standing.after_trade(
                self.rules,
                self._own(own),
                other[:COUNTERPARTY_BYTES],
                other_ppm,
                x_ppm=x_ppm,
                energy_wh=energy_wh,
                chosen=chosen,
                day=self._day,
            )
            self._keep(own, after)
        for who in (seller, buyer):
            self._count_trade(who)

    def default(self, who: bytes, x_ppm: int) -> None:
        """The side at fault loses."""
        self._keep(who, standing.after_default(self.rules, self._own(who), x_ppm, self._day))
        self.forfeit(who)

    def vote(self, who: bytes, rate_ppm: int) -> None:
        """A member gains by its work on a committee."""
        if self._scratch.get(keys.score(who)) is not None:
            self._keep(who, standing.after_vote(self.rules, self._own(who), rate_ppm, self._day))

    def expel(self, who: bytes) -> None:
        """Take the whole score of a member against whom evidence is on record, and what is staked on it."""
        self._put_score(who, 0)
        self.forfeit(who)

    def begin(self, who: bytes, before: bytes | None) -> None:
        """Give who joins its score: a newcomer's, and no more than it had, or who had its meter before.

        A bad score is not washed off by another certificate for the same connection.
        """
        joined = standing.at_join(self.rules, self._known(who), self._day)
        former = None if before is None else self._known(before)
        if former is not None:
            # Its own reading, not `score`: who has left counts as 0 there.
            q_ppm = standing.score(self.rules, former, self._day)
            joined = replace(joined, q_ppm=min(joined.q_ppm, q_ppm))
        self._keep(who, joined)

    def _known(self, who: bytes) -> Standing | None:
        return self._own(who) if self._scratch.get(keys.score(who)) is not None else None

    # ---- stakes ------------------------------------------------------------------------------------

    def stake(self, newcomer: bytes, verifiers: Iterable[bytes]) -> None:
        """Verifiers put a share of their scores on a newcomer; nobody falls below the bar by vouching.

        Else a day with many newcomers would empty the committees of all who welcomed them.
        """
        stakes = []
        for who in verifiers:
            q_ppm = self.score(who)
            above_ppm = max(q_ppm - self.rules.committee_bar_ppm, 0)
            stake_ppm = min(qscore.stake(self.rules, q_ppm), above_ppm)
            if stake_ppm:
                self._change(who, -stake_ppm)
                stakes.append(Stake(who, stake_ppm))
        if stakes:
            self._put_stake(newcomer, StakeRecord(self._day, 0, tuple(stakes)))

    def return_stake(self, newcomer: bytes, *, bonus: bool) -> None:
        """What was staked on a newcomer goes back to its verifiers; with a bonus if it was clean."""
        record = query.stake(self._scratch.get, newcomer)
        if record is None:
            return
        self.forfeit(newcomer)
        for each in record.stakes:
            back = qscore.stake_back(self.rules, each.stake_ppm, self.score(each.verifier))
            self._change(each.verifier, back if bonus else min(back, each.stake_ppm))

    def return_due(self, newcomers: Iterable[bytes]) -> None:
        """On a new day: the stakes on these newcomers, as far as they have been there long enough."""
        for newcomer in newcomers:
            record = query.stake(self._scratch.get, newcomer)
            if record is not None and qscore.is_stake_settled(
                self.rules, record.trades, self._day - record.day
            ):
                self.return_stake(newcomer, bonus=True)

    def forfeit(self, newcomer: bytes) -> None:
        """What was staked on a newcomer is lost."""
        key = keys.stake(newcomer)
        if self._scratch.get(key) is not None:
            self._scratch.put(key, None)

    def _change(self, who: bytes, change_ppm: int) -> None:
        self._keep(who, standing.after_stake(self.rules, self._own(who), change_ppm, self._day))

    def _count_trade(self, newcomer: bytes) -> None:
        record = query.stake(self._scratch.get, newcomer)
        if record is None:
            return
        trades, days = record.trades + 1, self._day - record.day
        self._put_stake(newcomer, StakeRecord(record.day, trades, record.stakes))
        if qscore.is_stake_settled(self.rules, trades, days):
            self.return_stake(newcomer, bonus=True)

    def _put_stake(self, newcomer: bytes, record: StakeRecord) -> None:
        self._scratch.put(keys.stake(newcomer), encode_record(record))

    # ---- writing -----------------------------------------------------------------------------------

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
        key, value = keys.score(who), encode_integer(q_ppm)
        self.moved.add(who)
        if self._scratch.get(key) != value:
            self._scratch.put(key, value)

    def _is_expelled(self, who: bytes) -> bool:
        return self._scratch.get(keys.proven(who)) is not None
