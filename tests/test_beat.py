"""Work that comes in drops is done at once after quiet, and together under load."""

from __future__ import annotations

import asyncio

from p2penergy.beat import Beat

EVERY_S = 0.02


async def test_after_quiet_it_is_called_in_the_same_turn_of_the_loop() -> None:
    calls: list[float] = []
    loop = asyncio.get_running_loop()
    beat = Beat(EVERY_S, lambda: calls.append(loop.time()))
    beat.ask()
    beat.ask()
    assert calls == []
    await asyncio.sleep(0)
    assert len(calls) == 1


async def test_what_follows_waits_for_a_beat_and_is_done_together() -> None:
    calls: list[float] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def call() -> None:
        calls.append(loop.time())
        done.set()

    beat = Beat(3600.0, call)
    beat.ask()
    await done.wait()
    # An hour's beat: what is asked for now is not called in this test.
    beat.ask()
    assert beat._due is not None
    waits_s = beat._due.when() - loop.time()  # type: ignore[attr-defined]
    assert 0 <= waits_s <= 3600
    beat.ask()
    assert len(calls) == 1
    beat.stop()


async def test_beats_fall_on_multiples_of_their_length() -> None:
    called = asyncio.Event()
    beat = Beat(EVERY_S, called.set)
    beat.ask()
    await called.wait()
    called.clear()
    beat.ask()
    assert beat._due is not None
    beats = beat._due.when() / EVERY_S  # type: ignore[attr-defined]
    # Of all loops: loops of one machine share a clock. A loop may round its timers to milliseconds.
    assert abs(beats - round(beats)) * EVERY_S <= 0.001
    await called.wait()


async def test_what_is_stopped_is_not_called() -> None:
    calls: list[None] = []
    beat = Beat(EVERY_S, lambda: calls.append(None))
    beat.ask()
    beat.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert calls == []
