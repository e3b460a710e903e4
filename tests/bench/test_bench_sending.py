"""A generator's clients: what they send at which moment, and what becomes of each request."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from bench import sending as module
from bench.sending import NEVER, TICK_S_MIN, Sending
from bench.workloads import Signed, Workload
from p2penergy.client import ClientError, Result, Waiter


class FakeClient:
    """Keeps what was submitted; a test answers."""

    def __init__(self) -> None:
        self.waiters: dict[bytes, Waiter] = {}
        self.frames: list[int] = []
        self.submitted = asyncio.Event()
        self.between: Callable[[], None] | None = None

    def submit_for(self, waiter: Waiter, transactions: Sequence[Signed]) -> None:
        self.waiters.update({key: waiter for key, _ in transactions})
        self.frames.append(len(transactions))
        self.submitted.set()

    async def has(self, key: bytes) -> Waiter:
        while key not in self.waiters:
            self.submitted.clear()
            await self.submitted.wait()
        return self.waiters[key]

    async def answer(self, key: bytes, answer: Result | ClientError) -> None:
        (await self.has(key)).answered(key, answer)


class FakeWorkload:
    def accepted(self, receipt: bytes) -> bool:
        return receipt == b"good"


def request(number: int) -> tuple[int, Signed]:
    key = b"%d" % number
    return 0, (key, key)


def sending(client: FakeClient) -> Sending:
    workload: Workload = FakeWorkload()  # type: ignore[assignment]
    return Sending([client], workload, time.monotonic())  # type: ignore[list-item]


def result(receipt: bytes = b"good", height: int = 7) -> Result:
    return Result(height, b"d", 0, receipt)


async def test_the_last_answer_is_waited_for_when_all_before_it_came_early() -> None:
    client = FakeClient()
    run = sending(client)
    working = asyncio.ensure_future(run.run([0.0, 0.02], [request(0), request(1)], drain_s=60))
    await client.answer(b"0", result())
    await client.has(b"1")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not working.done()
    await client.answer(b"1", result(height=8))
    await working
    assert [(sample.outcome, sample.height) for sample in run.samples()] == [("accepted", 7), ("accepted", 8)]


async def test_nothing_is_sent_before_its_moment_and_answers_are_timed() -> None:
    client = FakeClient()
    run = sending(client)
    working = asyncio.ensure_future(run.run([0.0, 0.005, 0.03], [request(i) for i in range(3)], 60))
    for number in range(3):
        await client.answer(b"%d" % number, result())
    await working
    for sample in run.samples():
        assert sample.intended_us <= sample.sent_us <= sample.done_us


async def test_what_becomes_of_a_request_is_told_apart() -> None:
    client = FakeClient()
    run = sending(client)
    working = asyncio.ensure_future(run.run([0.0] * 4, [request(i) for i in range(4)], drain_s=0.05))
    await client.answer(b"0", result())
    await client.answer(b"1", result(b"bad"))
    await client.answer(b"2", ClientError("refused: the pool is full"))
    await working
    samples = run.samples()
    assert [sample.outcome for sample in samples] == ["accepted", "declined", "refused", "lost"]
    assert [sample.done_us == NEVER for sample in samples] == [False, False, True, True]


async def test_what_is_due_goes_out_between_two_frames_of_a_burst() -> None:
    """The loop is not free before the whole burst is handled; the sender's own wake-up comes after it."""
    client = FakeClient()
    run = sending(client)
    working = asyncio.ensure_future(run.run([0.0, 0.005], [request(0), request(1)], drain_s=60))
    await client.answer(b"0", result())
    assert client.between is not None
    while b"1" not in client.waiters:
        client.between()
    await client.answer(b"1", result())
    await working
    assert client.between is None
    assert [sample.outcome for sample in run.samples()] == ["accepted", "accepted"]


class Clock:
    """As much of `time` as a run looks at; a test moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


async def test_what_is_due_within_a_tick_shares_a_frame_and_nothing_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, client = Clock(), FakeClient()
    monkeypatch.setattr(module, "time", clock)
    run = Sending([client], FakeWorkload(), 0.0)  # type: ignore[arg-type,list-item]
    later = 1 + TICK_S_MIN / 2
    moments = [1.0, 1 + TICK_S_MIN / 4, 1 + TICK_S_MIN / 3, 100.0]
    working = asyncio.ensure_future(run.run(moments, [request(i) for i in range(4)], drain_s=60))
    await asyncio.sleep(0)
    assert client.between is not None

    def look(now_s: float) -> list[int]:
        clock.now_s = now_s
        assert client.between is not None
        client.between()
        return client.frames

    # A look at which nothing was due begins no tick.
    assert look(1 - TICK_S_MIN / 2) == []
    assert look(1.0) == [1]
    assert look(later) == [1]
    assert look(1 + TICK_S_MIN) == [1, 2]
    working.cancel()
