"""The clock of a node: whose slots they were by Equation (1), and ticks at every moment asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import full, signers, small_genesis

from p2penergy.consensus.effects import Effects, Event, Tick
from p2penergy.coordinator import TICK_MS_MAX, Coordinator, LeaderCount
from p2penergy.messages import Header

TIMING = small_genesis().consensus
ORDER = tuple(signer.participant_id for signer in signers()[:4])


def header(slot: int, proposer: bytes) -> Header:
    made: Header = msgspec.structs.replace(full(Header), slot=slot, proposer=proposer)
    return made


def test_every_block_by_equation_1_is_a_match() -> None:
    count = LeaderCount(TIMING, tip_slot=0)
    for slot in range(1, 9):
        count.note(header(slot, ORDER[slot % 4]), ORDER)
    assert count.mismatches == 0
    assert count.slots_by_leader == dict.fromkeys(ORDER, 2)
    assert count.blocks_by_leader == dict.fromkeys(ORDER, 2)


def test_anybody_else_is_a_mismatch() -> None:
    count = LeaderCount(TIMING, tip_slot=0)
    count.note(header(1, ORDER[2]), ORDER)
    count.note(header(2, ORDER[2]), ORDER)
    assert count.mismatches == 1
    assert count.blocks_by_leader == {ORDER[2]: 2}


def test_slots_without_a_block_count_for_their_leaders() -> None:
    count = LeaderCount(TIMING, tip_slot=3)
    count.note(header(8, ORDER[0]), ORDER)
    assert count.mismatches == 0
    assert [count.slots_by_leader[member] for member in ORDER] == [2, 1, 1, 1]
    assert count.blocks_by_leader == {ORDER[0]: 1}


@given(
    start=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.integers(1, 8), st.permutations(ORDER)), max_size=20),
)
def test_each_slot_belongs_to_one_leader(start: int, steps: list[tuple[int, list[bytes]]]) -> None:
    count, slot, wanted = LeaderCount(TIMING, start), start, dict.fromkeys(ORDER, 0)
    for passed, order in steps:
        for each in range(slot + 1, slot + passed + 1):
            wanted[order[each % 4]] += 1
        slot += passed
        count.note(header(slot, order[slot % 4]), tuple(order))
    assert {member: count.slots_by_leader[member] for member in ORDER} == wanted
    assert sum(wanted.values()) == slot - start
    assert count.mismatches == 0


# ---- ticks ----------------------------------------------------------------------------------------


class FakeReplica:
    """Says when it wants to be woken, and remembers who came when."""

    tip_slot = 0

    def __init__(self, wakes_at_ms: list[int | None]) -> None:
        self.wakes_at_ms = wakes_at_ms
        self.events: list[tuple[Event | None, int]] = []
        self.came = asyncio.Event()

    def start(self, now_ms: int) -> Effects:
        return self._next(None, now_ms)

    def step(self, event: Event, now_ms: int) -> Effects:
        return self._next(event, now_ms)

    def _next(self, event: Event | None, now_ms: int) -> Effects:
        self.events.append((event, now_ms))
        self.came.set()
        return Effects(wake_at_ms=self.wakes_at_ms.pop(0) if self.wakes_at_ms else None)


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


def coordinated(replica: Any, clock: Clock) -> tuple[Coordinator, list[Effects]]:
    performed: list[Effects] = []
    return Coordinator(replica, TIMING, performed.append, clock), performed


@pytest.fixture
async def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long every timer waits, in seconds; they go off at once."""
    asked: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def soon(delay: float, callback: Any, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__self__", None).__class__ is not Coordinator:
            return call_later(delay, callback, *arguments, **options)
        asked.append(delay)
        return call_later(0, callback, *arguments, **options)

    monkeypatch.setattr(loop, "call_later", soon)
    return asked


async def test_it_ticks_when_the_replica_asks_for_it(waits: list[float]) -> None:
    clock = Clock()
    replica = FakeReplica([clock.now_ms + 250, clock.now_ms - 5, clock.now_ms + 60_000, None, None])
    coordinator, performed = coordinated(replica, clock)
    coordinator.start()
    async with asyncio.timeout(60):
        while len(replica.events) < 5:
            replica.came.clear()
            await replica.came.wait()
    coordinator.stop()
    # A moment that has passed is now; one far ahead is not waited for in one go, for clocks are set back.
    assert waits[:4] == [0.25, 0.0, TICK_MS_MAX / 1000, TICK_MS_MAX / 1000]
    assert replica.events[0] == (None, clock.now_ms)
    assert all(isinstance(event, Tick) for event, _ in replica.events[1:])
    assert len(performed) == len(replica.events)


async def test_nothing_steps_it_after_its_end() -> None:
    clock = Clock()
    replica = FakeReplica([])
    coordinator, performed = coordinated(replica, clock)
    coordinator.drive(Tick())
    assert replica.events == []
    coordinator.start()
    coordinator.drive(Tick())
    coordinator.stop()
    coordinator.drive(Tick())
    coordinator.stop()
    assert len(replica.events) == len(performed) == 2
    assert coordinator._timer is None
