"""Fetching single undecided blocks by digest.

Lives here: which blocks are wanted, from whom, and when to ask the next holder. Never here: judging
what comes. Owns the invariant that only wanted blocks are taken, and that holders are asked in turn.
Implements the "fetch it by digest" of CONSENSUS section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WANTED_MAX = 64


@dataclass(slots=True)
class _Wanted:
    holders: tuple[bytes, ...]
    turn: int
    due_ms: int
    since_ms: int


class Fetch:
    """The wanted blocks of the working height."""

    def __init__(self, patience_ms: int) -> None:
        self._patience_ms = patience_ms
        self._wanted: dict[bytes, _Wanted] = {}

    def __contains__(self, digest: object) -> bool:
        return digest in self._wanted

    def __len__(self) -> int:
        return len(self._wanted)

    def want(self, digest: bytes, holders: Sequence[bytes], now_ms: int) -> None:
        """Ask for a block, beginning with the first holder, from now on until it is known."""
        if digest not in self._wanted and holders and len(self._wanted) < WANTED_MAX:
            self._wanted[digest] = _Wanted(tuple(holders), 0, now_ms, now_ms)

    def forget(self, digest: bytes) -> None:
        """The block is known, or not wanted any more."""
        self._wanted.pop(digest, None)

    def clear(self) -> None:
        """The height is over."""
        self._wanted.clear()

    def due(self, now_ms: int) -> list[tuple[bytes, bytes]]:
        """(holder, digest) to ask now."""
        asks = []
        for digest, wanted in self._wanted.items():
            if now_ms >= wanted.due_ms or now_ms < wanted.since_ms:
                asks.append((wanted.holders[wanted.turn % len(wanted.holders)], digest))
                wanted.turn += 1
                wanted.since_ms, wanted.due_ms = now_ms, now_ms + self._patience_ms
        return asks

    def wake_ms(self) -> int | None:
        """When somebody else should be asked."""
        return min((wanted.due_ms for wanted in self._wanted.values()), default=None)
