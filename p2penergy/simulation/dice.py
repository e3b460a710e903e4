"""Seeded chance: every random choice of the simulator comes out of a `Dice`.

Lives here: named, independent streams of reproducible choices. Never here: a clock, an unseeded
source, anything whose order depends on hashes. Owns the invariant of CONSENSUS section 10 "same seed,
same trace" as far as chance is concerned: only `Random.random()` is used, the one method whose
sequence Python promises to keep.
"""

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

T = TypeVar("T")

PPM = 1_000_000


class Dice:
    """One stream of choices; streams of other names are independent of it.

    A fault that owns its stream can be taken out of a run without moving the draws of the others.
    """

    def __init__(self, *name: object) -> None:
        text = "/".join(str(part) for part in name)
        self._next = Random(int.from_bytes(sha256(text.encode()).digest(), "big")).random

    def below(self, bound: int) -> int:
        """An integer in 0..bound-1."""
        return int(self._next() * bound)

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int(self._next() * (high - low + 1))

    def chance(self, ppm: int) -> bool:
        """True in `ppm` of a million cases."""
        return self._next() * PPM < ppm

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def subset(self, items: Sequence[T], ppm: int) -> tuple[T, ...]:
        """Each item with the same chance, in their order."""
        return tuple(item for item in items if self.chance(ppm))

    def sample(self, items: Sequence[T], count: int) -> tuple[T, ...]:
        """`count` different items, in the order drawn."""
        left = list(items)
        return tuple(left.pop(self.below(len(left))) for _ in range(min(count, len(left))))
