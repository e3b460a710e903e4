"""Committees, quorums, views and leaders, written a second time from the specification.

Lives here: Equation (1) and what it needs, for the audit alone. Never here: anything imported from the
consensus core: two programs that agree are better evidence than one that agrees with itself. Implements
CONSENSUS sections 1, 2 and 9; who is drawn at all is in `panels`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from p2penergy.digests import TAG_COMMITTEE, digest
from p2penergy.genesis import ConsensusRules


class Words:
    """The 64-bit words of SHA-256(seed || counter)."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0
        self._left: list[int] = []

    def below(self, choices: int) -> int:
        """The next number under a bound; words that would favour some numbers are left out."""
        while True:
            if not self._left:
                hashed = sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
                self._left = [int.from_bytes(hashed[at : at + 8], "big") for at in (24, 16, 8, 0)]
                self._counter += 1
            word = self._left.pop()
            if word < 2**64 // choices * choices:
                return word % choices


def words_of(seed: bytes) -> Words:
    """The words of a seed, from the first one on."""
    return Words(seed)


def mix_up(members: Sequence[bytes], words: Words) -> list[bytes]:
    """Fisher-Yates, from the last place down."""
    order = list(members)
    for last in reversed(range(1, len(order))):
        chosen = words.below(last + 1)
        order[last], order[chosen] = order[chosen], order[last]
    return order


@dataclass(frozen=True, slots=True)
class Panel:
    """The ordered committee of one height, and its members' keys."""

    members: tuple[bytes, ...]
    keys: Mapping[bytes, bytes]

    @property
    def quorum(self) -> int:
        """Q = (n + f) // 2 + 1 with f = (n - 1) // 3."""
        n = len(self.members)
        return (n + (n - 1) // 3) // 2 + 1

    @property
    def root(self) -> bytes:
        """What headers hold of it: members in ascending order, each with its key."""
        entries = [who + self.keys[who] for who in sorted(self.members)]
        return digest(TAG_COMMITTEE, len(entries).to_bytes(4, "big"), *entries)

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
