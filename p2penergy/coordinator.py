"""The clock of a node: turns time into slots and drives the replica through them.

Lives here: the one timer, and the count of which leader had which slot by Equation (1) of the paper,
`l_i = [(t_i - t_0)/alpha] % eta`. Never here: rules (`consensus`), doing effects (`outbox`). Owns the
invariant that the replica is stepped by one caller at a time, on one event loop, with a tick at every
moment it asked for. Implements the driver's side of CONSENSUS section 2.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from p2penergy.consensus.effects import Effects, Event, Tick
from p2penergy.consensus.replica import Replica
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.schedule import Schedule
from p2penergy.genesis import ConsensusRules
from p2penergy.messages import Header

TICK_MS_MAX = 1000
"""A tick at least this often: a clock that is set back must not put the next one out of reach."""


def wall_clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class LeaderCount:
    """Slots that Equation (1) gave to each leader, and blocks that each had decided."""

    def __init__(self, timing: ConsensusRules, tip_slot: int) -> None:
        self.slots_by_leader: Counter[bytes] = Counter()
        self.blocks_by_leader: Counter[bytes] = Counter()
        self.mismatches = 0
        self._timing = timing
        self._tip_slot = tip_slot

    def note(self, header: Header, order: tuple[bytes, ...]) -> None:
        """A block was decided, by a committee in its order.

        A proposer counts as Equation (1)'s when CONSENSUS section 2 gives it the block's slot: the
        equation itself, and after 2n failed views the same equation over the attempts.
        """
        first, eta = self._tip_slot + 1, len(order)
        for place, member in enumerate(order):
            self.slots_by_leader[member] += (header.slot - place) // eta - (first - 1 - place) // eta
        self.blocks_by_leader[header.proposer] += 1
        rules = Rules()
        schedule = Schedule(first, order, self._timing, rules)
        if schedule.proposer_of(header.slot) != header.proposer:
            self.mismatches += 1
        self._tip_slot = header.slot


class Coordinator:
    """Steps one replica: on events, and on a timer at the moments the replica asks for."""

    def __init__(
        self,
        replica: Replica,
        timing: ConsensusRules,
        perform: Callable[[Effects], None],
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.replica = replica
        self.leaders = LeaderCount(timing, replica.tip_slot)
        self._perform = perform
        self._now_ms = now_ms
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def start(self) -> None:
        """Begin: re-send what was stored, then keep the timer going."""
        self._running = True
        self._take(self.replica.start(self._now_ms()))

    def stop(self) -> None:
        """No further step."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drive(self, event: Event) -> None:
        """One step of the replica; its effects go to the outbox."""
        if self._running:
            self._take(self.replica.step(event, self._now_ms()))

    def _take(self, effects: Effects) -> None:
        for decision in effects.decided:
            self.leaders.note(decision.block.header, decision.order)
        self._perform(effects)
        self._schedule(effects.wake_at_ms)

    def _schedule(self, wake_at_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._running:
            return
        wait_ms = TICK_MS_MAX
        if wake_at_ms is not None:
            wait_ms = min(wait_ms, max(0, wake_at_ms - self._now_ms()))
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.drive(Tick())
