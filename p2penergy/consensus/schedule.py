"""Slots, views and leaders of one height.

Lives here: Equation (1) of the paper and the arithmetic around it. Never here: a clock (time is an
argument), votes. Owns the invariant that all members compute the same leader from the same chain, and
that the start slots of the views of one height partition the slots from first(h) on. Implements
CONSENSUS section 2.
"""

from bisect import bisect_right
from collections.abc import Sequence

from p2penergy.consensus.rules import ORDINARY_VIEWS_PER_MEMBER, Rules
from p2penergy.genesis import ConsensusRules

_STRETCHES = 8
"""View lengths double at most 6 times (view_slots_max is at most 64); then they stay."""


def slot_at(timing: ConsensusRules, now_ms: int) -> int:
    """slot(t): negative before t0."""
    return (now_ms - timing.t0_ms) // timing.alpha_ms


class Schedule:
    """The views of one height, numbered from first(h) on, without a gap."""

    def __init__(self, first: int, order: Sequence[bytes], timing: ConsensusRules, rules: Rules) -> None:
        self.first = first
        self._order = order
        self._timing = timing
        self._rules = rules
        n = max(len(order), 1)
        attempt, slot = 0, first
        self._attempts: list[int] = []
        self._slots: list[int] = []
        self._lengths: list[int] = []
        for stretch in range(_STRETCHES):
            length = rules.view_slots(attempt, n, timing.view_slots_max)
            self._attempts.append(attempt)
            self._slots.append(slot)
            self._lengths.append(length)
            views = n if stretch else ORDINARY_VIEWS_PER_MEMBER * n
            attempt, slot = attempt + views, slot + views * length

    def view_at(self, slot: int) -> int:
        """The view that `slot` belongs to; first - 1 for every slot before the first."""
        if slot < self.first:
            return self.first - 1
        at = bisect_right(self._slots, slot) - 1
        return self.first + self._attempts[at] + (slot - self._slots[at]) // self._lengths[at]

    def start_slot(self, view: int) -> int:
        """The first slot of a view >= first."""
        at = bisect_right(self._attempts, view - self.first) - 1
        return self._slots[at] + (view - self.first - self._attempts[at]) * self._lengths[at]

    def start_ms(self, view: int) -> int:
        """When a view begins, unix milliseconds."""
        return self._timing.t0_ms + self.start_slot(view) * self._timing.alpha_ms

    def end_ms(self, view: int) -> int:
        """When a view ends and the next begins."""
        return self.start_ms(view + 1)

    def leader(self, view: int) -> bytes:
        """leader(h, v)."""
        index = self._rules.leader_index(view, self.start_slot(view), len(self._order))
        return self._order[index]

    def proposer_of(self, slot: int) -> bytes | None:
        """Whose fresh block may have this slot; None where no view starts there."""
        view = self.view_at(slot)
        if view < self.first or self.start_slot(view) != slot:
            return None
        return self.leader(view)

    def propose_until_ms(self, view: int) -> int:
        """The last moment at which a proposal leaves time to decide within the view."""
        return self.end_ms(view) - self._timing.eps_ms - 3 * self._timing.delta_ms
