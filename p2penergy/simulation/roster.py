"""Who is a member of the counting network, who volunteers, with which key: one immutable value per height.

Lives here: what joining, leaving and renewing make of it. Never here: when that happens (`households`), what
committees follow. Owns the bound that keeps every committee safe: at most one member is gone at a time, so
that of the committees of two heights together at most two are struck, and reserves take their places.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from p2penergy.genesis import Genesis
from p2penergy.messages import Stage

JOIN, LEAVE = b"join", b"quit"
"""Volunteer for the validation committee, or no longer."""
GONE, BACK = b"gone", b"back"
"""No member any more, and one again, with the first key and without any role."""
RENEW = b"renw"
"""From the first key to the second, and back."""
KINDS = (JOIN, LEAVE, GONE, BACK, RENEW)


def second_key(first: bytes) -> bytes:
    """The key that a member with this first key renews to: not a point, but stand-ins need none."""
    return b"\x02" + sha256(b"renewed" + first).digest()


@dataclass(frozen=True, slots=True)
class Roster:
    """The members after one block."""

    founders: Mapping[bytes, bytes]
    """Everybody there ever is, with the first key, ids ascending."""
    present: Mapping[bytes, bytes]
    """The members, with the key of the moment."""
    pools: Mapping[Stage, tuple[bytes, ...]]
    least: int
    """So many volunteers stay, unless one leaves the network altogether."""

    @classmethod
    def of(cls, genesis: Genesis) -> "Roster":
        """As genesis says."""
        members = sorted((bytes.fromhex(each.participant_id), each) for each in genesis.members)
        keys = {who: bytes.fromhex(each.public_key) for who, each in members}
        pools = {
            Stage.VALIDATION: tuple(who for who, each in members if each.validator),
            Stage.VERIFICATION: tuple(who for who, each in members if each.verifier),
        }
        return cls(keys, keys, pools, genesis.consensus.committee_size_min)

    def reserves(self, stage: Stage) -> tuple[bytes, ...]:
        """Members who do not volunteer: the counting network has no scores, so ids stand for them."""
        rest = self.present.keys() - set(self.pools[stage])
        return tuple(sorted(rest, key=lambda who: sha256(who).digest()))

    def apply(self, kind: bytes, number: int) -> "Roster":
        """After one transaction about the member of that number; the same when it is declined."""
        who = list(self.founders)[number % len(self.founders)]
        pool, key = self.pools[Stage.VALIDATION], self.present.get(who)
        if kind == BACK and key is None:
            return replace(self, present={**self.present, who: self.founders[who]})
        if key is None:
            return self
        if kind == JOIN and who not in pool:
            return self._with_pool(Stage.VALIDATION, (*pool, who))
        if kind == LEAVE and who in pool and len(pool) > self.least:
            return self._without(who, (Stage.VALIDATION,))
        if kind == RENEW:
            other = second_key(key) if key == self.founders[who] else self.founders[who]
            return replace(self, present={**self.present, who: other})
        if kind == GONE and len(self.present) == len(self.founders) > 1:
            left = {each: its for each, its in self.present.items() if each != who}
            return replace(self._without(who, tuple(Stage)), present=left)
        return self

    def _with_pool(self, stage: Stage, pool: tuple[bytes, ...]) -> "Roster":
        return replace(self, pools={**self.pools, stage: tuple(sorted(pool))})

    def _without(self, who: bytes, stages: tuple[Stage, ...]) -> "Roster":
        roster = self
        for stage in stages:
            pool = tuple(each for each in roster.pools[stage] if each != who)
            roster = roster._with_pool(stage, pool)
        return roster
