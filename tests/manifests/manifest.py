"""What is done to a network of real processes, drawn from a seed: who fails how, when, and for how long.

Lives here: the plan alone, as a value; the same seed gives the same plan. Never here: processes, clocks.
Owns the invariant that never more than f validators are disturbed at once: there are f lanes, each disturbs
one validator at a time, and no validator is in two lanes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

VALIDATORS_MIN, VALIDATORS_MAX = 4, 10
GAP_MS_MAX, LASTS_MS_MAX = 1_500, 3_000
EPISODES_MIN, EPISODES_MAX = 2, 3
EPISODES_TOLD_MAX = 4
CLOCK_WRONG_SLOTS_MAX = 6


class Kind(Enum):
    """What may happen to a validator."""

    KILL = "kill"
    """SIGKILL, later started again."""
    RESTART = "restart"
    """Stopped in order, later started again."""
    PAUSE = "pause"
    """SIGSTOP, later SIGCONT."""
    DISCONNECT = "disconnect"
    """Its cable is pulled, later put back; a pause where there are no network namespaces."""
    CLOCK = "clock"
    """Its clock jumps by slots while it runs, and later back."""
    LATE = "late"
    """It is not there when the network starts."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One disturbance of one validator."""

    after_ms: int
    """From when the lane's last victim had caught up."""
    victim: int
    kind: Kind
    lasts_ms: int
    """At least; the others must have decided a block meanwhile, too."""
    clock_ms: int = 0
    """For CLOCK: what is added to its clock."""

    def __str__(self) -> str:
        wrong = f" by {self.clock_ms:+} ms" if self.kind is Kind.CLOCK else ""
        return f"after {self.after_ms} ms {self.kind.value} {self.victim + 1}{wrong} for {self.lasts_ms} ms"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One network and what happens to it."""

    seed: int
    validators: int
    alpha_ms: int
    eps_ms: int
    delta_ms: int
    clocks_ms: tuple[int, ...]
    """How far each validator's clock is off all the time, within eps."""
    lanes: tuple[tuple[Episode, ...], ...]

    @property
    def fault_limit(self) -> int:
        """f."""
        return (self.validators - 1) // 3

    @property
    def late(self) -> frozenset[int]:
        """Who is not there at the beginning."""
        return frozenset(each.victim for lane in self.lanes for each in lane if each.kind is Kind.LATE)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.validators} validators, alpha {self.alpha_ms} ms"]
        for number, lane in enumerate(self.lanes, 1):
            told = [*map(str, lane[:EPISODES_TOLD_MAX]), *(["..."] if len(lane) > EPISODES_TOLD_MAX else [])]
            lines.append(f"  lane {number}: " + "; ".join(told))
        return "\n".join(lines)


def draw(seed: int) -> Manifest:
    """The manifest of a seed."""
    dice = random.Random(seed)
    validators = dice.randint(VALIDATORS_MIN, VALIDATORS_MAX)
    # More processes on the same two cores take longer for the same.
    alpha_ms, eps_ms, delta_ms = (400, 15, 25) if validators <= 7 else (700, 20, 45)
    clocks = tuple(dice.randint(-eps_ms // 2, eps_ms // 2) for _ in range(validators))
    lanes = []
    for victims in _victims(validators):
        count = dice.randint(EPISODES_MIN, EPISODES_MAX)
        lanes.append(tuple(_episode(dice, victims, alpha_ms, number == 0) for number in range(count)))
    return Manifest(seed, validators, alpha_ms, eps_ms, delta_ms, clocks, tuple(lanes))


def kills(seed: int, validators: int, count: int) -> Manifest:
    """Nothing but SIGKILL, `count` times, spread over all validators."""
    dice = random.Random(seed)
    lanes: list[list[Episode]] = [[] for _ in _victims(validators)]
    for number in range(count):
        lane = number % len(lanes)
        victims = _victims(validators)[lane]
        # Often back before anybody missed it, sometimes only after a while.
        lasts_ms = dice.choice((0, 0, 1_000))
        lanes[lane].append(Episode(dice.randint(0, 900), dice.choice(victims), Kind.KILL, lasts_ms))
    return Manifest(seed, validators, 400, 15, 25, (0,) * validators, tuple(map(tuple, lanes)))


def _victims(validators: int) -> list[list[int]]:
    faults = (validators - 1) // 3
    return [list(range(lane, validators, faults)) for lane in range(faults)]


def _episode(dice: random.Random, victims: list[int], alpha_ms: int, is_first: bool) -> Episode:
    kinds = [kind for kind in Kind if is_first or kind is not Kind.LATE]
    kind, victim = dice.choice(kinds), dice.choice(victims)
    after_ms, lasts_ms = dice.randint(0, GAP_MS_MAX), dice.randint(0, LASTS_MS_MAX)
    slots = dice.choice((-1, 1)) * dice.randint(1, CLOCK_WRONG_SLOTS_MAX)
    return Episode(after_ms, victim, kind, lasts_ms, slots * alpha_ms if kind is Kind.CLOCK else 0)
