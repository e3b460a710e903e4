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
from functools import partial

from bench.results import Sample
from bench.workloads import Signed, Workload
from p2penergy.client import Client, ClientError, Result

TICK_S_MIN = 0.001
"""Requests that are due within a tick share a wake-up, and a frame."""
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
class _Ask:
    """One request of a run."""

    intended_s: float
    sent_s: float = NEVER
    done_s: float = NEVER
    result: Result | None = None
    refused: bool = False


@dataclass(slots=True)
class Sending:
    """A run of several clients; made anew for each run."""

    clients: Sequence[LoadClient]
    workload: Workload
    start_s: float
    """On `time.monotonic`, which all processes of one machine share."""
    asks: list[_Ask] = field(default_factory=list)
    _moments: Sequence[float] = ()
    _requests: Sequence[tuple[int, Signed]] = ()
    _due: int = 0
    """How many were sent."""
    _open: int = 0
    _drained: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, moments: Sequence[float], requests: Sequence[tuple[int, Signed]], drain_s: float
    ) -> None:
        """Send `requests[i]` (submitter, signed) at `moments[i]`; then wait `drain_s` at most for answers."""
        self.asks = [_Ask(moment) for moment in moments]
        self._moments, self._requests, self._due = moments, requests, 0
        for client in self.clients:
            client.between = self._send_due
        try:
            while self._due < len(moments):
                self._send_due()
                if self._due < len(moments):
                    wait_s = moments[self._due] - (time.monotonic() - self.start_s)
                    await asyncio.sleep(max(wait_s, TICK_S_MIN))
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
        return [self._sample(ask) for ask in self.asks]

    def _send_due(self) -> None:
        """Send all whose moment has come."""
        first, now_s = self._due, time.monotonic() - self.start_s
        self._due = bisect_right(self._moments, now_s, first)
        by_client: dict[int, list[int]] = {}
        for index in range(first, self._due):
            by_client.setdefault(self._requests[index][0], []).append(index)
        for submitter, indices in by_client.items():
            sent_s = time.monotonic() - self.start_s
            futures = self.clients[submitter].submit([self._requests[index][1] for index in indices])
            self._open += len(futures)
            for index, future in zip(indices, futures, strict=True):
                self.asks[index].sent_s = sent_s
                future.add_done_callback(partial(self._answered, self.asks[index]))

    def _answered(self, ask: _Ask, future: "asyncio.Future[Result]") -> None:
        ask.done_s = time.monotonic() - self.start_s
        if future.cancelled() or isinstance(future.exception(), ClientError):
            ask.refused = True
        else:
            ask.result = future.result()
        self._open -= 1
        if not self._open:
            self._drained.set()

    def _sample(self, ask: _Ask) -> Sample:
        intended, sent, done = (
            round(moment * 1e6) if moment != NEVER else NEVER
            for moment in (ask.intended_s, ask.sent_s, ask.done_s)
        )
        if ask.result is not None:
            outcome = "accepted" if self.workload.accepted(ask.result.receipt) else "declined"
            return Sample(intended, sent, done, outcome, ask.result.height)
        return Sample(intended, sent, NEVER, "refused" if ask.refused else "lost", NEVER)
