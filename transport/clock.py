"""Time as the fault layer and the mesh in memory see it: the loop's, or a virtual one.

Lives here: the `Clock` protocol and its two makes. Never here: the wall clock.
Invariant: on a `VirtualClock` events run in the order of their times, those of one time in the
order in which they were scheduled, and time moves only while it runs: two runs are alike.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from transport.errors import RunawayClock

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS_MAX = 50_000_000
"""Events that one run of a virtual clock executes before it is called a runaway."""


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Prevent the callback, if it has not run."""


class Clock(Protocol):
    """Something that tells time and calls back."""

    @property
    def now_ms(self) -> float:
        """Milliseconds since an arbitrary start; never runs backwards."""

    def call_at(self, at_ms: float, callback: Callable[[], object]) -> Timer:
        """Call back at `at_ms`, at once if that is past, never within this call."""


class LoopClock:
    """The clock of the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    @property
    def now_ms(self) -> float:
        """The loop's monotonic time."""
        return self._loop.time() * 1000

    def call_at(self, at_ms: float, callback: Callable[[], object]) -> Timer:
        """Call back from the loop."""
        return self._loop.call_at(at_ms / 1000, callback)


@dataclass(order=True, slots=True)
class _Event:
    at_ms: int
    order: int
    callback: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """A clock that stands still until it is run, in whole milliseconds."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._events: list[_Event] = []
        self._scheduled = 0

    @property
    def now_ms(self) -> int:
        """Virtual milliseconds."""
        return self._now_ms

    def call_at(self, at_ms: float, callback: Callable[[], object]) -> Timer:
        """Call back when the clock runs to `at_ms`, rounded up."""
        self._scheduled += 1
        event = _Event(max(math.ceil(at_ms), self._now_ms), self._scheduled, callback)
        heapq.heappush(self._events, event)
        return event

    def next_ms(self) -> int | None:
        """Return the time of the next event, None if there is none."""
        while self._events and self._events[0].callback is None:
            heapq.heappop(self._events)
        return self._events[0].at_ms if self._events else None

    def run_until(self, until_ms: int, *, events_max: int = EVENTS_MAX) -> int:
        """Run every event up to and at `until_ms`, then stand there. Return how many ran.

        Raises RunawayClock after `events_max` events, ValueError if `until_ms` is past.
        """
        if until_ms < self._now_ms:
            raise ValueError(f"time does not run back from {self._now_ms} ms to {until_ms} ms")
        events_run = 0
        while (at_ms := self.next_ms()) is not None and at_ms <= until_ms:
            if events_run == events_max:
                raise RunawayClock(
                    f"{events_run} events ran and time is only {self._now_ms} ms of {until_ms} ms"
                )
            self._now_ms = at_ms
            callback = heapq.heappop(self._events).callback
            events_run += 1
            assert callback is not None
            callback()
        self._now_ms = until_ms
        return events_run
