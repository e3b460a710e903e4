"""The versioned state: current values, a scratch copy over them, and the versions that it writes.

Lives here: `State` (the current values and what is derived from them), `Scratch` (one block's changes on
top), `Version`. Never here: what the values mean for a trade; past versions, which a store keeps. Owns
the invariants that execution never changes the current state, and that everything in memory can be
rebuilt from the current values. Implements LEDGER section 3.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

import msgspec

from p2penergy.ledger import keys
from p2penergy.ledger.bucket_tree import BucketTree, StateProof, TreePatch
from p2penergy.ledger.records import due_period, expiry

_SHARED_VALUES_MAX = 256
BLOCK_INDEX = -1
"""Index of versions that a block writes by itself, not one of its transactions."""


class VersionStage(IntEnum):
    """Which of the paper's stages a version belongs to."""

    EXECUTION = 1
    """Temporary: with the leader on the way from seller to buyer; followed by a FINAL one."""
    FINAL = 2
    """Permanent."""


class Version(msgspec.Struct, frozen=True, gc=False):
    """One entry of the history: `value` None says that the key has none from here on."""

    key: bytes
    index: int
    stage: VersionStage
    value: bytes | None


def versions_of(items: Iterable[tuple[bytes, bytes]]) -> list[Version]:
    """What every key of a whole state holds, as a store keeps it that begins with this state."""
    return [Version(key, BLOCK_INDEX, VersionStage.FINAL, value) for key, value in items]


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one block does to a state."""

    values: dict[bytes, bytes | None]
    tree: TreePatch


@dataclass(slots=True)
class State:
    """Current values with their tree, and two indices that are derived from them."""

    life_periods: int
    _values: dict[bytes, bytes] = field(default_factory=dict)
    _tree: BucketTree = field(default_factory=BucketTree)
    _expiring: dict[int, dict[int, list[bytes]]] = field(default_factory=dict)
    """Last period -> last byte of the key -> keys: small groups, so that few can be taken at a time.

    Lists, since a day's trades stand here: sets would take five times the memory. Groups end as a whole.
    """
    _open_meters: set[bytes] = field(default_factory=set)
    _due: dict[bytes, dict[int, set[bytes]]] = field(
        default_factory=lambda: {keys.ORDER: {}, keys.ESCROW: {}}
    )
    """Prefix -> period -> open orders, or contracts in escrow, for it."""

    @classmethod
    def of(cls, items: Iterable[tuple[bytes, bytes]], life_periods: int) -> "State":
        """The state that holds `items`."""
        state = cls(life_periods)
        values: dict[bytes, bytes | None] = dict(items)
        state.apply(Changes(values, state._tree.patch({}, values)))
        return state

    @property
    def root(self) -> bytes:
        """Root over all current values, 32 bytes."""
        return self._tree.root

    def get(self, key: bytes) -> bytes | None:
        """The current value."""
        return self._values.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All current values, in no order."""
        return iter(self._values.items())

    def prove(self, key: bytes) -> StateProof:
        """Presence or absence of one key under `root`."""
        return self._tree.prove(self._values, key)

    def frozen(self) -> tuple[dict[bytes, bytes], bytes]:
        """A copy of all current values, and the roots of the tree's parts."""
        return self._values.copy(), self._tree.part_roots()

    def open_meters(self) -> list[bytes]:
        """Meters whose reading of the present period is in, ascending."""
        return sorted(self._open_meters)

    def due(self, prefix: bytes, period: int) -> list[bytes]:
        """Open orders or contracts in escrow, by their prefix, for `period` or an earlier one.

        Earlier periods first; within one, ascending.
        """
        waiting = self._due[prefix]
        periods = sorted(number for number in waiting if number <= period)
        return [key for number in periods for key in sorted(waiting[number])]

    def is_due(self, prefix: bytes, period: int) -> bool:
        """Whether `due` has any."""
        return any(number <= period for number in self._due[prefix])

    def busy_periods(self) -> tuple[int, ...]:
        """Periods with open orders or contracts in escrow, ascending."""
        return tuple(sorted({period for waiting in self._due.values() for period in waiting}))

    def open_orders(self, period: int) -> int:
        """How many orders stand in a period's book."""
        return len(self._due[keys.ORDER].get(period, ()))

    def all_open_orders(self) -> int:
        """How many stand in the books of all periods together; costs in proportion to the periods."""
        return sum(map(len, self._due[keys.ORDER].values()))

    def expired(self, period: int, count_min: int) -> list[bytes]:
        """Keys whose last period lies before `period`: all, or the first groups that make `count_min`.

        The order follows from the keys alone: nodes that were restored take the same.
        """
        found: list[bytes] = []
        for last in sorted(last for last in self._expiring if last < period):
            for _, group in sorted(self._expiring[last].items()):
                found += sorted(group)
                if len(found) >= count_min:
                    return found
        return found

    def changes(self, values: dict[bytes, bytes | None]) -> Changes:
        """What writing `values` would do; entries that stay as they are fall out."""
        real = {key: value for key, value in values.items() if self._values.get(key) != value}
        return Changes(real, self._tree.patch(self._values, real))

    def apply(self, changes: Changes) -> None:
        """Make changes permanent that were computed on the present state."""
        ended: dict[int, dict[int, set[bytes]]] = {}
        for key, value in changes.values.items():
            before = self._values.pop(key, None)
            was = None if before is None else expiry(key, before, self.life_periods)
            last = None if value is None else expiry(key, value, self.life_periods)
            if was is not None and was != last:
                ended.setdefault(was, {}).setdefault(key[-1], set()).add(key)
            elif was is None and before is not None:
                self._forget(key, before)
            if value is None:
                continue
            if last is None:
                self._index(key, value)
            elif last != was:
                self._expiring.setdefault(last, {}).setdefault(key[-1], []).append(key)
            self._values[key] = _shared(value) if key.startswith(keys.NONCE) else value
        self._end(ended)
        self._tree.apply(changes.tree)

    def _end(self, ended: dict[int, dict[int, set[bytes]]]) -> None:
        """Take keys out of `_expiring`, where they stand by their last period and last byte."""
        for last, groups in ended.items():
            standing = self._expiring[last]
            for byte, gone in groups.items():
                standing[byte] = [key for key in standing[byte] if key not in gone]
                if not standing[byte]:
                    del standing[byte]
            if not standing:
                del self._expiring[last]

    def _index(self, key: bytes, value: bytes) -> None:
        """Take note of an entry that has no last period."""
        if key.startswith(keys.PERIOD):
            self._open_meters.add(keys.meter_of(key))
        elif (waiting := self._waiting(key)) is not None:
            waiting.setdefault(due_period(key, value), set()).add(key)

    def _forget(self, key: bytes, value: bytes) -> None:
        if key.startswith(keys.PERIOD):
            self._open_meters.discard(keys.meter_of(key))
        elif (waiting := self._waiting(key)) is not None:
            period = due_period(key, value)
            waiting[period].discard(key)
            if not waiting[period]:
                del waiting[period]

    def _waiting(self, key: bytes) -> dict[int, set[bytes]] | None:
        """The part of `_due` that a key belongs to."""
        return next((waiting for prefix, waiting in self._due.items() if key.startswith(prefix)), None)


@lru_cache(maxsize=_SHARED_VALUES_MAX)
def _shared(value: bytes) -> bytes:
    """The one object that stands for equal values: all nonces of an hour say the same."""
    return value


class Scratch:
    """One block's work on top of a state: reads through, writes aside, notes every version."""

    __slots__ = ("_get", "index", "values", "versions")

    def __init__(self, state: State) -> None:
        self._get = state._values.get  # the state itself would be one call more, twenty times per trade
        self.values: dict[bytes, bytes | None] = {}
        self.versions: list[Version] = []
        self.index = BLOCK_INDEX

    def get(self, key: bytes) -> bytes | None:
        """The value as this block has left it so far."""
        if key in self.values:
            return self.values[key]
        return self._get(key)

    def put(self, key: bytes, value: bytes | None, stage: VersionStage = VersionStage.FINAL) -> None:
        """Add a version; None ends the key."""
        self.values[key] = value
        self.versions.append(Version(key, self.index, stage, value))
