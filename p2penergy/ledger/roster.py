"""The pools of volunteers as lists, at every height that committees depend on.

Lives here: an index over `pool/ID`, the newcomers' coming of age, and open stakes; all of it derived from the
state. Never here: who is eligible (`places`), the draw (`p2penergy.committees`). Owns the invariant that an
index rebuilt from the state gives the same answers, and that a question costs in proportion to what changed
since it was last asked, not to the members. Implements the pools of CONSENSUS section 9.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable

from p2penergy.genesis import ConsensusRules
from p2penergy.ledger import keys
from p2penergy.ledger.needed import value_at
from p2penergy.ledger.places import ELIGIBLE, due_height
from p2penergy.ledger.records import MemberRecord, PoolChange, PoolRecord, decode_record
from p2penergy.messages import Stage

POOLS_REMEMBERED_MAX = 64
EVENTS_MAX = 4_096
"""Changes of places that are remembered; for a pool older than that all volunteers are looked at."""

_Ids = tuple[bytes, ...]


class Roster:
    """What the current state says of volunteers and newcomers."""

    def __init__(self, timing: ConsensusRules, height: int, items: Iterable[tuple[bytes, bytes]]) -> None:
        """The roster of the state after block `height`."""
        self._timing = timing
        self._places: dict[bytes, tuple[PoolChange, ...]] = {}
        self._coming_of_age: dict[int, set[bytes]] = {}
        self._staked: set[bytes] = set()
        self._events: list[tuple[int, bytes]] = []
        """(height, volunteer) of the latest changes, heights ascending."""
        self._complete_after = 0
        """All changes above this height are among `_events`."""
        self._pools: OrderedDict[tuple[Stage, int], _Ids] = OrderedDict()
        self._reserves: OrderedDict[tuple[Stage, int], _Ids] = OrderedDict()
        for key, value in items:
            self._note(key, value, height)
        self._events = sorted((each.height, who) for who, changes in self._places.items() for each in changes)
        self._shorten()

    def apply(self, values: Iterable[tuple[bytes, bytes | None]], height: int) -> None:
        """Take in what block `height` has written."""
        for key, value in values:
            who = self._note(key, value, height)
            if who is not None and self._places[who][-1].height == height:
                self._events.append((height, who))
        self._coming_of_age.pop(height, None)
        self._shorten()

    def _note(self, key: bytes, value: bytes | None, height: int) -> bytes | None:
        """Index one entry; whose places it tells, if any's."""
        if key.startswith(keys.POOL) and value is not None:
            who = key.removeprefix(keys.POOL)
            self._places[who] = decode_record(PoolRecord, value).changes
            return who
        if key.startswith(keys.MEMBER) and value is not None:
            member = decode_record(MemberRecord, value)
            due = due_height(self._timing, member)
            if member.joined_height and due > height:
                self._coming_of_age.setdefault(due, set()).add(key.removeprefix(keys.MEMBER))
        elif key.startswith(keys.STAKE):
            change = self._staked.discard if value is None else self._staked.add
            change(key.removeprefix(keys.STAKE))
        return None

    def _shorten(self) -> None:
        excess = len(self._events) - EVENTS_MAX
        if excess > 0:
            self._complete_after = self._events[excess - 1][0]
            self._events = self._events[bisect_left(self._events, (self._complete_after + 1, b"")) :]

    # ---- what a block has to look at -------------------------------------------------------------

    def coming_of_age(self, height: int) -> set[bytes]:
        """Newcomers whom block `height` makes old enough."""
        return self._coming_of_age.get(height, set())

    def all_volunteers(self) -> Iterable[bytes]:
        """Everybody who has a place, or had one."""
        return self._places.keys()

    def staked(self) -> list[bytes]:
        """Newcomers on whom something is staked, ascending."""
        return sorted(self._staked)

    # ---- the pools -------------------------------------------------------------------------------

    def volunteers(self, stage: Stage, height: int) -> _Ids:
        """Eligible members of a stage's pool in the state after block `height`, ascending.

        While nothing changes it is the same tuple.
        """
        pool = self._pools.get((stage, height))
        if pool is None:
            pool = self._pool(stage, height)
        return self._remember(self._pools, (stage, height), pool)

    def _pool(self, stage: Stage, height: int) -> _Ids:
        start = self._known_before(self._pools, stage, height)
        if start is None:
            return tuple(sorted(who for who in self._places if self._is_eligible(who, stage, height)))
        before = self._pools[stage, start]
        after: list[bytes] | None = None
        # Whether somebody was in it, the list itself tells: the state may have forgotten so old a place.
        for who in self._changed(start, height):
            pool = before if after is None else after
            place = bisect_left(pool, who)
            was = place < len(pool) and pool[place] == who
            if was is self._is_eligible(who, stage, height):
                continue
            if after is None:
                after = list(before)
            if was:
                del after[place]
            else:
                after.insert(place, who)
        return before if after is None else tuple(after)

    def _known_before(
        self, known: "OrderedDict[tuple[Stage, int], _Ids]", stage: Stage, height: int
    ) -> int | None:
        """The latest height with a known answer since which all changes are remembered."""
        return max(
            (at for of, at in known if of is stage and self._complete_after <= at <= height), default=None
        )

    def _changed(self, start: int, height: int) -> set[bytes]:
        first, last = (bisect_right(self._events, (at, b"\xff" * 21)) for at in (start, height))
        return {who for _, who in self._events[first:last]}

    def _is_eligible(self, who: bytes, stage: Stage, height: int) -> bool:
        place = value_at(self._places[who], height)
        return place is not None and bool(place.roles >> stage & 1) and place.grade == ELIGIBLE

    def reserves(self, stage: Stage, height: int) -> _Ids:
        """Volunteers below the bar in the state after block `height`, best scored first, then ascending."""
        found = self._reserves.get((stage, height))
        if found is None:
            start = self._known_before(self._reserves, stage, height)
            if start is not None and not self._changed(start, height):
                found = self._reserves[stage, start]
            else:
                found = self._graded(stage, height)
        return self._remember(self._reserves, (stage, height), found)

    def _graded(self, stage: Stage, height: int) -> _Ids:
        graded = []
        for who, changes in self._places.items():
            place = value_at(changes, height)
            if place is not None and place.roles >> stage & 1 and place.grade != ELIGIBLE:
                graded.append((-place.grade, who))
        return tuple(who for _, who in sorted(graded))

    def _remember(
        self, where: "OrderedDict[tuple[Stage, int], _Ids]", key: tuple[Stage, int], found: _Ids
    ) -> _Ids:
        where[key] = found
        where.move_to_end(key)
        while len(where) > POOLS_REMEMBERED_MAX:
            where.popitem(last=False)
        return found
