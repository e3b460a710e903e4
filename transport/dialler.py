"""Dialling one peer for as long as it is wanted.

Lives here: the back-off between dials, and the loop that dials whenever there is no link.
Never here: how a connection is made, which of two links to one peer is kept.
Invariant: between two dials of one peer passes at least half of `dial_backoff_ms_min`, at most
`dial_backoff_ms_max`; the jitter is drawn from a seed, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transport.limits import Limits
    from transport.link import Link


class Backoff:
    """Waits that double up to a limit, each shortened by up to a half at random.

    The jitter keeps peers that lost the same neighbour from returning in one wave.
    """

    def __init__(self, limits: Limits, seed: str) -> None:
        self._limits = limits
        self._random = random.Random(seed)
        self._wait_ms = limits.dial_backoff_ms_min

    def next_ms(self) -> float:
        """Return the next wait."""
        wait_ms = self._wait_ms * (1 - self._random.random() / 2)
        self._wait_ms = min(2 * self._wait_ms, self._limits.dial_backoff_ms_max)
        return wait_ms

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._wait_ms = self._limits.dial_backoff_ms_min


async def keep_dialling(
    dial: Callable[[], Awaitable[None]], link_now: Callable[[], Link | None], backoff: Backoff
) -> None:
    """Dial whenever `link_now` is None, until cancelled. A link the peer dialled is as good."""
    while True:
        if link_now() is None:
            await dial()
        while (link := link_now()) is not None:
            backoff.reset()
            await link.closed.wait()
        await asyncio.sleep(backoff.next_ms() / 1000)
