"""Which situations the schedules of a campaign have reached.

Lives here: the set of (view gap, phase, certificate state) combinations. Never here: judgement. Tells
whether more seeds still find new ground.
"""

from dataclasses import dataclass, field
from enum import IntEnum

VIEW_GAP_MAX = 4


class Phase(IntEnum):
    """The furthest that a node's own messages show it in its view."""

    WAITING = 0
    CHANGED = 1
    PROPOSED = 2
    PREPARED = 3
    COMMITTED = 4


class Holding(IntEnum):
    """Its highest prepared certificate, seen from the view that it acts in."""

    NONE = 0
    THIS_VIEW = 1
    LAST_VIEW = 2
    OLDER = 3


Situation = tuple[int, int, int, int]


@dataclass(slots=True)
class Coverage:
    """Situations reached, with how often."""

    seen: dict[Situation, int] = field(default_factory=dict)

    def note(self, gap: int, views_in: int, phase: Phase, holding: Holding) -> None:
        """`gap`: views between the first and the last correct node; `views_in`: views this height took."""
        situation = (min(gap, VIEW_GAP_MAX), min(views_in, VIEW_GAP_MAX), int(phase), int(holding))
        self.seen[situation] = self.seen.get(situation, 0) + 1

    def add(self, other: "Coverage") -> None:
        """Take another run's in."""
        for situation, count in other.seen.items():
            self.seen[situation] = self.seen.get(situation, 0) + count

    @property
    def distinct(self) -> int:
        """How many different ones."""
        return len(self.seen)


def holding(view: int, prepared_view: int | None) -> Holding:
    """How a certificate looks from a view."""
    if prepared_view is None:
        return Holding.NONE
    if prepared_view == view:
        return Holding.THIS_VIEW
    return Holding.LAST_VIEW if prepared_view == view - 1 else Holding.OLDER
