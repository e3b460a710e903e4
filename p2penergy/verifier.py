"""Signature checks on a pool of threads, in batches.

Lives here: getting a list of signatures checked without holding up the event loop. Never here: what a
signature means. `cryptography` releases the interpreter lock while it checks, so threads use all cores;
handing over one signature costs as much as checking it, so whatever waits goes over in one batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from p2penergy.signing import EcdsaChecker, SignatureItem, fingerprint, verify_signature

BATCH_SIGNATURES_MAX = 64
WAITING_SIGNATURES_MAX = 200_000
"""Urgent ones, and as many others."""
INLINE_SIGNATURES_MAX = 12
"""So few are checked at once on the event loop when no others wait: a proposal of one request with what
justifies it. A hop to a thread and back costs more on busy cores, for each vote that comes meanwhile, too."""

Done = Callable[[bool], None]


class _Job:
    """Some signatures that belong together; `done` is called once with whether all hold."""

    __slots__ = ("done", "good", "left")

    def __init__(self, signatures: int, done: Done) -> None:
        self.done = done
        self.left = signatures
        self.good = True


class _Check(NamedTuple):
    """One signature of a job."""

    job: _Job
    item: SignatureItem
    name: bytes
    """Its fingerprint."""


class Verifier:
    """Checks jobs of signatures in order of arrival; runs on one event loop."""

    def __init__(self, checker: EcdsaChecker, threads: int) -> None:
        self.checker = checker
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="verify")
        self._urgent: deque[_Check] = deque()
        self._waiting: deque[_Check] = deque()
        self._running = 0
        self._closed = False

    def submit(self, items: Sequence[SignatureItem], done: Done, *, urgent: bool = False) -> bool:
        """Have `items` checked, then call `done(all_hold)` on the event loop.

        Urgent ones before all others: no flood of requests must hold up the committee's own votes.
        Called at once when nothing is left to check. False when too many wait already, or after `close`: the
        caller refuses the message as overload.
        """
        if self._closed:
            return False
        if not self._running and len(items) <= INLINE_SIGNATURES_MAX:
            done(all(self.checker.check(*item) for item in items))
            return True
        named = [(item, fingerprint(item)) for item in items]
        unknown = [each for each in named if not self.checker.knows(each[1])]
        if not unknown:
            done(True)
            return True
        queue = self._urgent if urgent else self._waiting
        if len(queue) + len(unknown) > WAITING_SIGNATURES_MAX:
            return False
        job = _Job(len(unknown), done)
        queue.extend(_Check(job, item, name) for item, name in unknown)
        self._pump()
        return True

    async def verify(self, items: Sequence[SignatureItem]) -> bool:
        """Whether all `items` hold; False too when the verifier is overloaded."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(good: bool) -> None:
            if not future.done():
                future.set_result(good)

        return await future if self.submit(items, done) else False

    def close(self) -> None:
        """Stop the threads; what waits is never answered."""
        self._closed = True
        self._urgent.clear()
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while self._running < self._threads and (queue := self._urgent or self._waiting):
            share = -(-len(queue) // (self._threads - self._running))
            size = min(BATCH_SIGNATURES_MAX, share)
            batch = [queue.popleft() for _ in range(size)]
            self._running += 1
            self._pool.submit(self._check, loop, batch)

    def _check(self, loop: asyncio.AbstractEventLoop, batch: list[_Check]) -> None:
        results = [verify_signature(check.item) for check in batch]
        if not self._closed:
            try:
                loop.call_soon_threadsafe(self._finish, batch, results)
            except RuntimeError:
                # The loop closed between the two lines: nobody waits for the answer any more.
                return

    def _finish(self, batch: list[_Check], results: list[bool]) -> None:
        self._running -= 1
        if self._closed:
            return
        self._pump()
        for (job, _, name), good in zip(batch, results, strict=True):
            if good:
                self.checker.remember(name)
            job.good &= good
            job.left -= 1
            if not job.left:
                job.done(job.good)
