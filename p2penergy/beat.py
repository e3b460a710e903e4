"""A beat for work that comes in drops: at once after quiet, together with what follows when there is more.

Lives here: when. Never here: what. To wake a process, or to hand a socket a few bytes, costs more than what
is then done with one transaction; under load everything that came within one beat is done in one go.
"""

import asyncio
from collections.abc import Callable


class Beat:
    """Calls a function once for any number of `ask`s; beats of all processes of a machine coincide."""

    def __init__(self, every_s: float, call: Callable[[], None]) -> None:
        self._every_s = every_s
        self._call = call
        self._last_s = float("-inf")
        self._due: asyncio.Handle | None = None

    def ask(self) -> None:
        """Have it called: in this turn of the loop when the last call is two beats ago, else at a beat."""
        if self._due is not None:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if now_s - self._last_s > 2 * self._every_s:
            self._due = loop.call_soon(self._run)
        else:
            self._due = loop.call_at((now_s // self._every_s + 1) * self._every_s, self._run)

    def stop(self) -> None:
        """What was asked for is not called any more."""
        if self._due is not None:
            self._due.cancel()

    def _run(self) -> None:
        self._due = None
        self._last_s = asyncio.get_running_loop().time()
        self._call()
