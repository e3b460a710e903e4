"""The outbox: nothing leaves before it is durable, in the order of the steps, and nothing after a failure."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy import outbox as module
from p2penergy.consensus.effects import Effects, Record, Refusal, Send, ViewRecord
from p2penergy.messages import Message, Status, decode_message
from p2penergy.outbox import Outbox

A, B, C = b"a" * 20, b"b" * 20, b"c" * 20


class World:
    """A disk that answers when told, a mesh and the rest, all writing into one log."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.submitted: list[list[Record]] = []
        self.dones: list[Callable[[Exception | None], None]] = []
        self.halts: list[Exception] = []
        self.on_publish: Callable[[Any], None] = lambda decision: None
        self.outbox = Outbox(self, self, self.everybody, self.publish, self.halts.append)

    def submit(self, records: list[Record], done: Callable[[Exception | None], None]) -> None:
        self.submitted.append(records)
        self.dones.append(done)

    def send(self, peer: bytes, payload: bytes) -> bool:
        self.log.append((peer, decode_message(payload)))
        return True

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        return sum(self.send(peer, payload) for peer in peers)

    def everybody(self, message: Message) -> Iterable[bytes]:
        assert isinstance(message, Status)
        return (A, B, C)

    def publish(self, decision: Any) -> None:
        self.log.append(decision)
        self.on_publish(decision)

    async def durable(self, step: int, error: Exception | None = None) -> None:
        self.dones[step](error)
        await asyncio.sleep(0)


def step(number: int, persist: bool = True, decided: tuple[str, ...] = ()) -> Effects:
    """Effects that are told apart by a number."""
    records: list[Record] = [ViewRecord(1, number)] if persist else []
    decisions: Any = list(decided)
    return Effects(persist=records, send=[Send((A,), Status(number, 0))], decided=decisions)


def sent(*numbers: int) -> list[Any]:
    return [(A, Status(number, 0)) for number in numbers]


async def test_what_needs_no_disk_leaves_at_once_in_order() -> None:
    world = World()
    effects = Effects(
        send=[Send((A, C), Status(1, 0)), Send((), Status(2, 0)), Send((B,), Status(3, 0))],
        decided=["first", "second"],  # type: ignore[list-item]
    )
    world.outbox.perform(effects)
    one, two, three = (Status(i, 0) for i in (1, 2, 3))
    expected = [(A, one), (C, one), (A, two), (B, two), (C, two), (B, three), "first", "second"]
    assert world.log == expected
    assert world.submitted == []
    assert world.outbox.waiting == 0


async def test_nothing_leaves_before_it_is_durable() -> None:
    world = World()
    world.outbox.perform(step(1, decided=("block",)))
    await asyncio.sleep(0)
    assert world.submitted == [[ViewRecord(1, 1)]]
    assert world.log == []
    assert world.outbox.waiting == 1
    await world.durable(0)
    assert world.log == [*sent(1), "block"]
    assert world.outbox.waiting == 0


async def test_a_later_step_waits_for_an_earlier_one() -> None:
    world = World()
    world.outbox.perform(step(1))
    world.outbox.perform(step(2, persist=False))
    world.outbox.perform(step(3))
    await world.durable(1)
    assert world.log == []
    await world.durable(0)
    assert world.log == sent(1, 2, 3)


async def test_each_is_released_as_soon_as_it_may_be() -> None:
    world = World()
    for number, persist in enumerate([True, False, True, False]):
        world.outbox.perform(step(number, persist))
    await world.durable(0)
    assert world.log == sent(0, 1)
    assert world.outbox.waiting == 2
    await world.durable(1)
    assert world.log == sent(0, 1, 2, 3)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_is_kept_whatever_the_disk_does(persists: list[bool], random: Any) -> None:
    async def main() -> None:
        world = World()
        durable: set[int] = set()
        for number, persist in enumerate(persists):
            world.outbox.perform(step(number, persist))
            if not persist:
                durable.add(number)
        waiting = [number for number, persist in enumerate(persists) if persist]
        numbered = list(zip(waiting, range(len(waiting)), strict=True))
        random.shuffle(numbered)
        for number, place in numbered:
            await world.durable(place)
            durable.add(number)
            first = next((n for n in range(len(persists)) if n not in durable), len(persists))
            assert world.log == sent(*range(first))
        assert world.log == sent(*range(len(persists)))
        assert world.outbox.waiting == 0

    asyncio.run(main())


async def test_the_disk_answers_from_its_own_thread() -> None:
    world = World()
    loop_thread = threading.get_ident()
    released = asyncio.Event()

    def on_publish(decision: Any) -> None:
        assert threading.get_ident() == loop_thread
        released.set()

    world.on_publish = on_publish
    world.outbox.perform(step(1, decided=("block",)))
    writer = threading.Thread(target=world.dones[0], args=(None,))
    writer.start()
    writer.join()
    assert world.log == []
    await asyncio.wait_for(released.wait(), 60)
    assert world.log == [*sent(1), "block"]


async def test_an_answer_on_the_spot_is_taken_too() -> None:
    world = World()

    def submit(records: list[Record], done: Callable[[Exception | None], None]) -> None:
        done(None)

    world.submit = submit  # type: ignore[method-assign]
    world.outbox.perform(step(1))
    assert world.log == []
    await asyncio.sleep(0)
    assert world.log == sent(1)


async def test_a_step_made_by_a_decision_comes_after_it() -> None:
    world = World()
    world.on_publish = lambda decision: world.outbox.perform(step(9, persist=False))
    world.outbox.perform(step(1, decided=("block",)))
    world.outbox.perform(step(2))
    await world.durable(0)
    assert world.log == [*sent(1), "block"]
    await world.durable(1)
    assert world.log == [*sent(1), "block", *sent(2, 9)]


async def test_a_failing_disk_halts_and_releases_nothing() -> None:
    world = World()
    for number in (1, 2, 3):
        world.outbox.perform(step(number))
    await world.durable(1)
    failure = OSError("disk full")
    await world.durable(0, failure)
    await world.durable(2)
    assert world.halts == [failure]
    assert world.log == []
    assert world.outbox.waiting == 0
    world.outbox.perform(step(4, persist=False, decided=("block",)))
    assert world.log == []


async def test_after_a_failure_nothing_more_goes_to_the_disk() -> None:
    world = World()
    world.outbox.perform(step(1))
    await world.durable(0, OSError("disk full"))
    world.outbox.perform(step(2))
    assert len(world.submitted) == 1
    assert world.outbox.waiting == 0


async def test_it_halts_once() -> None:
    world = World()
    for number in (1, 2):
        world.outbox.perform(step(number))
    await world.durable(0, OSError("first"))
    await world.durable(1, OSError("second"))
    assert [str(error) for error in world.halts] == ["first"]


async def test_a_disk_that_does_not_keep_up_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_EFFECTS_MAX", 3)
    world = World()
    for number in range(3):
        world.outbox.perform(step(number))
    assert world.halts == []
    world.outbox.perform(step(3))
    assert [str(error) for error in world.halts] == [
        "the disk does not keep up: too many steps wait to be durable"
    ]
    for place in range(3):
        await world.durable(place)
    assert world.log == []


async def test_no_flood_of_messages_halts_it_while_the_disk_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    # A peer that makes ten thousand steps during one slow write must not cost more than its own answers.
    monkeypatch.setattr(module, "WAITING_EFFECTS_MAX", 3)
    world = World()
    world.outbox.perform(step(0))
    for _ in range(10):
        world.outbox.perform(Effects(refused=[Refusal("height_window", B)]))
    assert world.outbox.waiting == 1
    for number in range(1, 6):
        world.outbox.perform(step(number, persist=False))
    assert (world.outbox.waiting, world.outbox.lost, world.halts) == (3, 3, [])
    await world.durable(0)
    assert world.log == sent(0, 1, 2)


async def test_stopped_it_releases_nothing_and_halts_nobody() -> None:
    world = World()
    world.outbox.perform(step(1))
    world.outbox.perform(step(2))
    world.outbox.stop()
    await world.durable(0)
    await world.durable(1, OSError("too late"))
    world.outbox.perform(step(3, persist=False))
    world.outbox.perform(step(4))
    assert world.log == []
    assert world.halts == []
    assert len(world.submitted) == 2


async def test_stopped_by_a_decision_it_releases_no_later_step() -> None:
    world = World()
    world.on_publish = lambda decision: world.outbox.stop()
    world.outbox.perform(step(1, decided=("block",)))
    world.outbox.perform(step(2, persist=False))
    await world.durable(0)
    assert world.log == [*sent(1), "block"]


def test_a_loop_that_closed_meanwhile_is_no_error() -> None:
    async def main() -> World:
        world = World()
        world.outbox.perform(step(1))
        return world

    world = asyncio.run(main())
    world.dones[0](None)
    world.dones[0](OSError("disk full"))
    assert world.log == []
    assert world.halts == []
