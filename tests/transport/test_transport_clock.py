"""The virtual clock and the loop's."""

from __future__ import annotations

import asyncio

import pytest

from transport import LoopClock, RunawayClock, VirtualClock


def test_events_run_in_order_of_time_then_of_scheduling():
    clock, seen = VirtualClock(), []
    for at_ms, mark in ((5, "c"), (2, "a"), (5, "d"), (2.5, "b")):
        clock.call_at(at_ms, lambda mark=mark: seen.append((clock.now_ms, mark)))
    assert clock.run_until(4) == 2
    assert clock.now_ms == 4
    assert clock.run_until(10) == 2
    assert seen == [(2, "a"), (3, "b"), (5, "c"), (5, "d")]
    assert clock.next_ms() is None


def test_an_event_may_schedule_another_at_the_same_time():
    clock, seen = VirtualClock(7), []
    clock.call_at(3, lambda: clock.call_at(0, lambda: seen.append(clock.now_ms)))
    clock.run_until(7)
    assert seen == [7]


def test_a_cancelled_event_does_not_run():
    clock, seen = VirtualClock(), []
    timer = clock.call_at(1, lambda: seen.append(1))
    clock.call_at(2, lambda: seen.append(2))
    timer.cancel()
    assert clock.run_until(9) == 1
    assert seen == [2]


def test_time_does_not_run_back():
    with pytest.raises(ValueError, match="back"):
        VirtualClock(5).run_until(4)


def test_a_runaway_is_stopped():
    clock = VirtualClock()

    def again() -> None:
        clock.call_at(0, again)

    again()
    with pytest.raises(RunawayClock, match="100 events"):
        clock.run_until(1, events_max=100)


async def test_the_loops_clock_calls_back(eventually):
    clock, seen = LoopClock(), []
    before_ms = clock.now_ms
    clock.call_at(before_ms + 5, lambda: seen.append(clock.now_ms))
    clock.call_at(before_ms + 5, lambda: seen.append(None)).cancel()
    await eventually(lambda: seen)
    assert len(seen) == 1
    assert asyncio.get_running_loop().time() * 1000 >= before_ms
