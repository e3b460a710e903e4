"""The inside of a load generator: clients that send at given moments and note every answer's moment.

Lives here: one run over real clients. Never here: processes, the plan, judging (`schedule`, `load`). Owns
the invariant that a request is sent once, at its moment or as soon after as the machine allows, whether
or not earlier ones were answered.
"""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.results import Sample
from bench.workloads import Signed, Workload
from p2penergy.client import Client, ClientError, Result

TICK_S_MIN = 0.005
"""Requests that are due within a tick share a wake-up and a frame; a wait for its end counts as latency."""
NEVER = -1


class LoadClient(Client):
    """A client that lets its generator send what is due after every frame, not after a burst of them."""

    between: Callable[[], None] | None = None

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """See `Client`."""
        super().on_frame(peer, payload)
        if self.between is not None:
            self.between()


@dataclass(slots=True)
class Sending:
    """A run of several clients; made anew for each run."""

    clients: Sequence[LoadClient]
    workload: Workload
    start_s: float
    """On `time.monotonic`, which all processes of one machine share."""
    _moments: Sequence[float] = ()
    _requests: Sequence[tuple[int, Signed]] = ()
    _sent_s: list[float] = field(default_factory=list)
    _done_s: list[float] = field(default_factory=list)
    _answers: list[Result | ClientError | None] = field(default_factory=list)
    """Like the moments of sending and of the answer, in the order of the requests."""
    _due: int = 0
    """How many were sent."""
    _next_s: float = 0.0
    """When the next tick begins."""
    _open: dict[bytes, int] = field(default_factory=dict)
    """Which request a transaction that waits for its answer is."""
    _drained: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, moments: Sequence[float], requests: Sequence[tuple[int, Signed]], drain_s: float
    ) -> None:
        """Send `requests[i]` (submitter, signed) at `moments[i]`; then wait `drain_s` at most for answers."""
        self._moments, self._requests, self._due, self._next_s = moments, requests, 0, 0.0
        self._sent_s, self._done_s = [NEVER] * len(moments), [NEVER] * len(moments)
        self._answers = [None] * len(moments)
        for client in self.clients:
            client.between = self._send_due
        try:
            while self._due < len(moments):
                self._send_due()
                if self._due < len(moments):
                    due_s = max(moments[self._due], self._next_s)
                    await asyncio.sleep(max(due_s - (time.monotonic() - self.start_s), 0))
        finally:
            for client in self.clients:
                client.between = None
        if self._open:
            # It may have been set in between, when all that was sent until then was answered.
            self._drained.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), drain_s)

    def samples(self) -> list[Sample]:
        """What became of every request, in order of intended time."""
        return [self._sample(index) for index in range(len(self._moments))]

    def _send_due(self) -> None:
        """Send all whose moment has come."""
        first, now_s = self._due, time.monotonic() - self.start_s
        if now_s < self._next_s:
            return
        self._due = bisect_right(self._moments, now_s, first)
        if self._due == first:
            return
        self._next_s = now_s + TICK_S_MIN
        by_client: dict[int, list[Signed]] = {}
        for index in range(first, self._due):
            submitter, signed = self._requests[index]
            by_client.setdefault(submitter, []).append(signed)
            self._open[signed[0]] = index
            self._sent_s[index] = now_s
        for submitter, requests in by_client.items():
            self.clients[submitter].submit_for(self, requests)

    def answered(self, transaction_id: bytes, answer: Result | ClientError) -> None:
        """See `p2penergy.client.Waiter`."""
        index = self._open.pop(transaction_id)
        self._done_s[index] = time.monotonic() - self.start_s
        self._answers[index] = answer
        if not self._open:
            self._drained.set()

    def _sample(self, index: int) -> Sample:
        intended, sent, done = (
            round(moment * 1e6) if moment != NEVER else NEVER
            for moment in (self._moments[index], self._sent_s[index], self._done_s[index])
        )
        answer = self._answers[index]
        if isinstance(answer, Result):
            outcome = "accepted" if self.workload.accepted(answer.receipt) else "declined"
            return Sample(intended, sent, done, outcome, answer.height)
        return Sample(intended, sent, NEVER, "lost" if answer is None else "refused", NEVER)
