"""What of the past the state must still tell, because committees depend on it.

Lives here: which heights are asked for, and dropping what answers for none of them. Never here: what changed
(`registry`, `places`), the draw (`p2penergy.committees`). Owns the invariant that a node restored from the
state alone draws every committee that any other node draws. Implements CONSENSUS section 9.

Each member's changes are a short list in its own entry, oldest first; a list is made shorter only when it
gets longer, so that no block costs more for there being many members.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

from p2penergy.genesis import ConsensusRules


class Change(Protocol):
    """Something that holds from a height on."""

    @property
    def height(self) -> int:
        """After which block."""


C = TypeVar("C", bound=Change)


def value_at(changes: Sequence[C], height: int) -> C | None:
    """What held in the state after block `height`; None: nothing yet."""
    return next((change for change in reversed(changes) if change.height <= height), None)


@dataclass(frozen=True, slots=True)
class Needed:
    """Every height from `since` on, and some before."""

    since: int
    before: tuple[int, ...]

    @classmethod
    def after(cls, timing: ConsensusRules, height: int, verifications: tuple[int, ...]) -> "Needed":
        """What is asked for once the tip is at `height`, with these last verification blocks."""
        settle = max(timing.settle_blocks, 1)
        pools = tuple(max(last - settle, 0) for last in verifications)
        return cls(max(height - timing.lag_blocks - settle - 2, 0), pools)

    def kept(self, changes: tuple[C, ...]) -> tuple[C, ...]:
        """The changes that answer for a height that is needed, the last always among them."""
        if not changes:
            return ()
        answering = tuple(
            change
            for change, later in pairwise(changes)
            if later.height > self.since or any(change.height <= at < later.height for at in self.before)
        )
        return (*answering, changes[-1])
