"""Committees: who votes at a height, in which order.

Lives here: the ordered committee, its thresholds, its root, and the draw. Never here: who is eligible
(`ledger`), the beacon itself (`p2penergy.beacon`). Owns the invariant that a draw is a function of its
seed and pool alone: integers, SHA-256, rejection sampling, no floating point. Implements CONSENSUS
sections 1 and 9 (all members, in seeded order).
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from p2penergy.consensus.rules import Rules
from p2penergy.digests import TAG_COMMITTEE, digest

_WORD_BYTES = 8
_WORDS = 2 ** (8 * _WORD_BYTES)


class Committee:
    """C_h: ordered members with n, f, Q and f + 1."""

    def __init__(self, members: Sequence[bytes], rules: Rules) -> None:
        self.members = tuple(members)
        self.index = {member: i for i, member in enumerate(self.members)}
        self.n = len(self.members)
        self.f = rules.faulty_max(self.n)
        self.quorum = rules.quorum(self.n)
        self.weak = rules.weak(self.n)
        self.root = digest(TAG_COMMITTEE, self.n.to_bytes(4, "big"), *self.members)

    def __contains__(self, participant_id: object) -> bool:
        return participant_id in self.index


def _words(seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        block = sha256(seed + counter.to_bytes(8, "big")).digest()
        counter += 1
        for i in range(0, len(block), _WORD_BYTES):
            yield int.from_bytes(block[i : i + _WORD_BYTES], "big")


def _below(bound: int, words: Iterator[int]) -> int:
    # Words at or above the largest multiple of `bound` would favour small numbers.
    limit = _WORDS - _WORDS % bound
    return next(word for word in words if word < limit) % bound


def shuffled(seed: bytes, members: Sequence[bytes]) -> tuple[bytes, ...]:
    """Fisher-Yates over a SHA-256 counter stream; every order is equally likely."""
    order, words = list(members), _words(seed)
    for i in range(len(order) - 1, 0, -1):
        j = _below(i + 1, words)
        order[i], order[j] = order[j], order[i]
    return tuple(order)


def draw(seed: bytes, pool: Sequence[bytes], size_max: int, rules: Rules) -> Committee:
    """The committee of one stage at one height: the whole pool up to `size_max`, in seeded order."""
    return Committee(shuffled(seed, pool)[:size_max], rules)
