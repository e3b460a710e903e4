"""Committees, quorums, views and leaders, written a second time from the specification.

Lives here: Equation (1) and what it needs, for the audit alone. Never here: anything imported from the
consensus core: two programs that agree are better evidence than one that agrees with itself. Implements
CONSENSUS sections 1, 2 and 9.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from p2penergy.digests import TAG_COMMITTEE, digest
from p2penergy.genesis import ConsensusRules


def ordered(seed: bytes, pool: Sequence[bytes]) -> list[bytes]:
    """Fisher-Yates over 64-bit words of SHA-256(seed || counter), words that would bias rejected."""
    words = _words(seed)
    order = list(pool)
    for last in reversed(range(1, len(order))):
        choices = last + 1
        word = next(words)
        while word >= 2**64 // choices * choices:
            word = next(words)
        chosen = word % choices
        order[last], order[chosen] = order[chosen], order[last]
    return order


def _words(seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        hashed = sha256(seed + counter.to_bytes(8, "big")).digest()
        for start in (0, 8, 16, 24):
            yield int.from_bytes(hashed[start : start + 8], "big")
        counter += 1


@dataclass(frozen=True, slots=True)
class Panel:
    """The ordered committee of one height."""

    members: tuple[bytes, ...]

    @classmethod
    def drawn(cls, seed: bytes, pool: Sequence[bytes], size_max: int) -> "Panel":
        """The first `size_max` of the pool in seeded order."""
        return cls(tuple(ordered(seed, pool)[:size_max]))

    @property
    def quorum(self) -> int:
        """Q = (n + f) // 2 + 1 with f = (n - 1) // 3."""
        n = len(self.members)
        return (n + (n - 1) // 3) // 2 + 1

    @property
    def root(self) -> bytes:
        """What headers hold of it."""
        return digest(TAG_COMMITTEE, len(self.members).to_bytes(4, "big"), *self.members)

    def leader(self, view: int) -> bytes:
        """Equation (1): l = view mod eta."""
        return self.members[view % len(self.members)]


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one height: view first + j is its j-th attempt."""

    first: int
    size: int
    rules: ConsensusRules

    def _slots(self, attempt: int) -> int:
        ordinary = 2 * self.size
        if attempt < ordinary:
            return 1
        doublings = (attempt - ordinary) // self.size + 1
        return min(1 << min(doublings, 16), self.rules.view_slots_max)

    def start_slot(self, view: int) -> int:
        """Where a view begins; `view` is at least `first`."""
        return self.first + sum(self._slots(attempt) for attempt in range(view - self.first))

    def view_starting_in(self, slot: int) -> int | None:
        """The view that begins in a slot; None where none does."""
        attempt, start = 0, self.first
        while start < slot:
            start += self._slots(attempt)
            attempt += 1
        return self.first + attempt if start == slot else None
