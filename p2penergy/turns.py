"""Questions of peers, answered in turn and in no more than a share of the node's time.

Lives here: in which order and how fast questions are answered whose answers cost much more than the asking.
Never here: the answers. Owns the invariants that questions take at most half of the event loop's time, that
participants take turns however many of them one asks, that what waits is bounded, and that no question stops
the node, unless its store is what failed. Implements the bounds of CONSENSUS section 5 for what a stranger
may ask, too.
"""

import asyncio
import logging
import sqlite3
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from p2penergy.messages import Message, Query
from p2penergy.peers import participant_of
from p2penergy.store import StoreError

WAITING_PER_PARTICIPANT_MAX = 1_000
WAITING_MAX = 8_000
WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Arguments of the queries that wait."""
REST = 1
"""After each answer so many times its duration belongs to everything else."""

FAILURES_TOLD_MAX = 10
"""Questions that failed and are logged whole; the rest is counted, or one asker could fill the disk."""
_FATAL = (sqlite3.Error, StoreError, OSError)
"""A store that can't be read is no matter of the question: the node halts and says so."""

log = logging.getLogger(__name__)

Handler = Callable[[bytes, Message], None]


class _Question(NamedTuple):
    handler: Handler
    peer: bytes
    message: Message

    @property
    def size_bytes(self) -> int:
        return len(self.message.argument) if isinstance(self.message, Query) else 0


class Turns:
    """Stands before the handlers of questions; runs on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[bytes, deque[_Question]] = OrderedDict()
        self._waiting_count = 0
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.refused: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._waiting_count

    def of(self, handler: Handler) -> Handler:
        """The same handler, called when it is the asker's turn: at once while nobody waits."""

        def take(peer: bytes, message: Message) -> None:
            self._take(_Question(handler, peer, message))

        return take

    def stop(self) -> None:
        """Nothing more is answered."""
        self._stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _take(self, question: _Question) -> None:
        if self._stopped:
            return
        if self._timer is None:
            self._answer(question)
            return
        queue = self._waiting.setdefault(participant_of(question.peer), deque())
        size_bytes = self._waiting_bytes + question.size_bytes
        if (
            len(queue) >= WAITING_PER_PARTICIPANT_MAX
            or self._waiting_count >= WAITING_MAX
            or size_bytes > WAITING_BYTES_MAX
        ):
            self.refused["busy"] += 1
            if not queue:
                del self._waiting[participant_of(question.peer)]
            return
        queue.append(question)
        self._waiting_count += 1
        self._waiting_bytes = size_bytes

    def _answer(self, question: _Question) -> None:
        began_s = time.perf_counter()
        try:
            question.handler(question.peer, question.message)
        except _FATAL:
            raise
        except Exception:
            # Answering changes nothing, so a fault in it is no reason to leave the committee.
            self.refused["failed"] += 1
            if self.refused["failed"] <= FAILURES_TOLD_MAX:
                log.exception("a question could not be answered")
        # The loop's own clock may stand still during a callback.
        self._timer = self._loop.call_later(REST * (time.perf_counter() - began_s), self._next)

    def _next(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        participant, queue = self._waiting.popitem(last=False)
        question = queue.popleft()
        self._waiting_count -= 1
        self._waiting_bytes -= question.size_bytes
        if queue:
            self._waiting[participant] = queue
        self._answer(question)
