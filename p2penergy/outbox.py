"""Does what a step of the core asks for, in the only safe order: durable, then sent, then published.

Lives here: the queue of effects whose records are still being written. Never here: deciding anything.
Owns the invariant of CONSENSUS section 6: nothing leaves the node before everything that the same step,
or an earlier one, wanted durable is durable.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from p2penergy.consensus.effects import Decision, Effects, Record, Send
from p2penergy.messages import Message, encode

WAITING_EFFECTS_MAX = 10_000


class Durable(Protocol):
    """The store, as far as the outbox needs it."""

    def submit(self, records: list[Record], done: Callable[[Exception | None], None]) -> None:
        """Write in order; `done` is called from any thread once they are durable, or failed."""


class Sender(Protocol):
    """The mesh, as far as the outbox needs it."""

    def send(self, peer: bytes, payload: bytes) -> bool:
        """One frame to one peer; False when it is not connected or its queue is full."""

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        """One frame to many."""


class _Entry:
    __slots__ = ("durable", "effects")

    def __init__(self, effects: Effects, durable: bool) -> None:
        self.effects = effects
        self.durable = durable


class Outbox:
    """Performs effects in their order; several steps may wait for one disk write together."""

    def __init__(
        self,
        store: Durable,
        mesh: Sender,
        everybody: Callable[[Message], Iterable[bytes]],
        publish: Callable[[Decision], None],
        halt: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._mesh = mesh
        self._everybody = everybody
        self._publish = publish
        self._halt = halt
        self._waiting: deque[_Entry] = deque()
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self.lost = 0
        """Steps whose messages were not sent because too many waited for the disk."""

    @property
    def waiting(self) -> int:
        """How many steps wait for the disk."""
        return len(self._waiting)

    def perform(self, effects: Effects) -> None:
        """Queue the effects of one step; done at once when there is nothing to wait for."""
        if self._stopped:
            # Not even to the disk: what follows a failed write must not be durable without it.
            return
        if not effects.persist and (not self._waiting or not (effects.send or effects.decided)):
            # Most steps ask for nothing, and whoever sends much makes many: they must not fill the queue.
            self._release(effects)
            return
        if len(self._waiting) >= WAITING_EFFECTS_MAX:
            if not effects.persist and not effects.decided:
                # Answers to somebody who asks too much: what is lost here, a network may lose as well.
                self.lost += 1
                return
            self._fail(RuntimeError("the disk does not keep up: too many steps wait to be durable"))
            return
        entry = _Entry(effects, durable=not effects.persist)
        self._waiting.append(entry)
        if effects.persist:

            def done(error: Exception | None) -> None:
                # Called from the writer's thread; a loop that closed meanwhile has nobody to tell.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._written, entry, error)

            self._store.submit(effects.persist, done)

    def stop(self) -> None:
        """Release nothing more."""
        self._stopped = True
        self._waiting.clear()

    def _written(self, entry: _Entry, error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
            return
        entry.durable = True
        while self._waiting and self._waiting[0].durable:
            self._release(self._waiting.popleft().effects)

    def _release(self, effects: Effects) -> None:
        for send in effects.send:
            self._send(send)
        for decision in effects.decided:
            self._publish(decision)

    def _send(self, send: Send) -> None:
        payload = encode(send.message)
        if not send.to:
            self._mesh.broadcast(self._everybody(send.message), payload)
            return
        for peer in send.to:
            self._mesh.send(peer, payload)

    def _fail(self, error: Exception) -> None:
        if not self._stopped:
            self.stop()
            self._halt(error)
