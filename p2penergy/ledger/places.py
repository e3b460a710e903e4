"""Volunteers' places in the pools: eligible, in reserve, or neither.

Lives here: what a member's score, age and roles make of it, and noting when that changes. Never here: the
pools as lists (`roster`), the draw (`p2penergy.committees`), the arithmetic of scores. Owns the invariant
that a place is written in the block that changes it, whatever the reason: roles, age, score, departure,
drift. Implements the pools of CONSENSUS section 9 and the committee bar of LEDGER section 6.

A score drifts while nobody writes it, so that all volunteers are looked at once in every day of the ledger.
Below the bar the score counts in hundredths: who fills a committee up need not change with every trade.
"""

from collections.abc import Iterable

from p2penergy.genesis import ConsensusRules
from p2penergy.ledger import keys, qscore, query
from p2penergy.ledger.needed import Needed
from p2penergy.ledger.query import Get
from p2penergy.ledger.records import MemberRecord, PoolChange, PoolRecord, encode_record
from p2penergy.ledger.scores import Standings
from p2penergy.ledger.state import Scratch
from p2penergy.messages import Stage
from p2penergy.score_rules import ScoreRules

ELIGIBLE = 255
"""The grade of who is above the bar; below it, 0 to 100."""
GRADE_PPM = 10_000


def grade(rules: ScoreRules, q_ppm: int) -> int:
    """What a score makes of a volunteer."""
    return ELIGIBLE if qscore.may_validate(rules, q_ppm) else q_ppm // GRADE_PPM


def roles(timing: ConsensusRules, member: MemberRecord | None, height: int) -> int:
    """The stages that a member may serve in the state after block `height`, as bits."""
    if member is None or not is_of_age(timing, member, height):
        return 0
    return (member.validator << Stage.VALIDATION) | (member.verifier << Stage.VERIFICATION)


def is_of_age(timing: ConsensusRules, member: MemberRecord, height: int) -> bool:
    """Whether a member may be drawn; those of genesis need not wait."""
    return not member.joined_height or height >= due_height(timing, member)


def due_height(timing: ConsensusRules, member: MemberRecord) -> int:
    """The block that makes a newcomer old enough."""
    return member.joined_height + timing.volunteer_age_blocks


def first_place(timing: ConsensusRules, rules: ScoreRules, member: MemberRecord) -> bytes:
    """The entry `pool/ID` of a volunteer of genesis."""
    place = PoolChange(0, roles(timing, member, 0), grade(rules, rules.volunteer_start_ppm))
    return encode_record(PoolRecord((place,)))


class Places:
    """Notes of one block whose place has changed."""

    def __init__(self, scratch: Scratch, timing: ConsensusRules, height: int, needed: Needed) -> None:
        self._scratch = scratch
        self._timing = timing
        self._height = height
        self._needed = needed
        self._changed: set[bytes] = set()

    def look_again(self, who: Iterable[bytes]) -> None:
        """At the end of the block these members' roles are worked out anew, not only their scores."""
        self._changed.update(who)

    def close(self, standings: Standings, all_graded: Iterable[bytes]) -> None:
        """Write the places that are others now: of who changed, and of these for their scores alone."""
        for who in sorted(self._changed):
            self._write(who, roles(self._timing, query.member(self._get, who), self._height), standings)
        for who in sorted({*standings.moved, *all_graded} - self._changed):
            known = query.pool(self._get, who)
            if known is not None and known.changes[-1].roles:
                self._write(who, known.changes[-1].roles, standings)

    @property
    def _get(self) -> Get:
        return self._scratch.get

    def _write(self, who: bytes, serves: int, standings: Standings) -> None:
        known = query.pool(self._get, who)
        if known is None and not serves:
            return
        now = PoolChange(self._height, serves, grade(standings.rules, standings.score(who)) if serves else 0)
        before = known.changes if known is not None else ()
        if before and (before[-1].roles, before[-1].grade) == (now.roles, now.grade):
            return
        kept = self._needed.kept((*before, now))
        self._scratch.put(keys.pool(who), encode_record(PoolRecord(kept)))
