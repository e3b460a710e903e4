"""What waits for one device, over all its links: together they may hold what one may.

Lives here: the count of those bytes, and the watch over a device that does not take them. Never here:
the queues themselves, which are the links' (`transport.link`), and whose link is whose (`transport.mesh`).

Invariants:
- `queued_bytes` is the sum over the links, and never above `outbound_bytes_max`;
- once a frame found no room, the device has `stall_ms_max` to take half of it all, or its link with the
  longest queue is cut off; and again, until half of it is free. A reader of a byte now and then is as
  useless as one that never reads.
"""

import asyncio
from typing import Protocol

from transport.limits import Limits


class Queue(Protocol):
    """A link, as far as what waits for it goes."""

    @property
    def queued_bytes(self) -> int:
        """What no transport has taken yet."""

    def drop_stalled(self, waiting_bytes: int) -> None:
        """Cut it off: its device does not take what waits for it."""


class Backlog:
    """The bytes of one device's links that no transport has taken yet."""

    def __init__(self, limits: Limits) -> None:
        self.queued_bytes = 0
        """Added to by whoever queues a frame, who looks first whether there is room."""
        self._limits = limits
        self._links: set[Queue] = set()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_watched(self) -> bool:
        """Whether a frame found no room, and too much waits since."""
        return self._watch is not None

    def join(self, link: Queue) -> None:
        """Count a link whose queue is empty."""
        self._links.add(link)

    def leave(self, link: Queue) -> None:
        """Count it no more; what it had queued is gone."""
        if link in self._links:
            self._links.remove(link)
            self.took(link.queued_bytes)

    def took(self, taken_bytes: int) -> None:
        """So much waits no longer."""
        self.queued_bytes -= taken_bytes
        if self._watch is not None and 2 * self.queued_bytes <= self._limits.outbound_bytes_max:
            self._watch.cancel()
            self._watch = None

    def overflowed(self) -> None:
        """A frame found no room."""
        if self._watch is None:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(self._limits.stall_ms_max / 1000, self._stalled)

    def _stalled(self) -> None:
        self._watch = None
        waiting_bytes = self.queued_bytes
        # It leaves meanwhile: if too much waits even then, the next one has its time from now on.
        max(self._links, key=lambda link: link.queued_bytes).drop_stalled(waiting_bytes)
        if 2 * self.queued_bytes > self._limits.outbound_bytes_max:
            self.overflowed()
