"""Questions in turn: at once while nobody waits, one asker after the other, half of the time at most."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from p2penergy import turns as module
from p2penergy.messages import HeadersRequest, Message, Query
from p2penergy.store import StoreError
from p2penergy.turns import FAILURES_TOLD_MAX, Turns

A, B, C = b"a" * 20, b"b" * 20, b"c" * 20


def question(number: int, argument: bytes = b"") -> Query:
    return Query(number, "status", argument)


class Clock:
    """Time that passes only while an answer is worked out."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


class Desk:
    """Turns over a handler that takes a second for each answer, and waits that end when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.answered: list[tuple[bytes, Message]] = []
        self.waits: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(module, "time", self.clock)
        self.turns = Turns()
        self.turns._loop = self  # type: ignore[assignment]
        self.ask = self.turns.of(self._answer)

    def _answer(self, peer: bytes, message: Message) -> None:
        self.clock.now_s += 1
        self.answered.append((peer, message))

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Any:
        self.waits.append((delay_s, call))
        return asyncio.get_running_loop().call_later(3600, call)

    def rest(self) -> None:
        _, call = self.waits.pop()
        call()

    @property
    def order(self) -> list[bytes]:
        return [peer for peer, _ in self.answered]


async def test_the_first_is_answered_at_once_and_as_much_time_is_left_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch)
    desk.ask(A, question(1))
    assert desk.answered == [(A, question(1))]
    assert [delay for delay, _ in desk.waits] == [1.0]
    desk.ask(A, question(2))
    assert len(desk.answered) == 1
    desk.rest()
    assert desk.answered[1:] == [(A, question(2))]
    desk.rest()
    assert desk.waits == []
    desk.ask(B, HeadersRequest(1, 1))
    assert desk.answered[2:] == [(B, HeadersRequest(1, 1))]
    desk.turns.stop()


async def test_participants_take_turns_however_many_links_and_questions_one_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch)
    desk.ask(A, question(0))
    for number in range(1, 5):
        desk.ask(A + bytes([number]), question(number))
    desk.ask(B, question(5))
    desk.ask(C, question(6))
    desk.ask(B, question(7))
    while desk.waits:
        desk.rest()
    assert [peer[:20] for peer in desk.order] == [A, A, B, C, A, B, A, A]
    assert [peer for peer in desk.order if peer[:20] == A] == [A, *(A + bytes([n]) for n in range(1, 5))]
    assert len(desk.turns) == 0


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_PER_PARTICIPANT_MAX", 3)
    monkeypatch.setattr(module, "WAITING_MAX", 5)
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 100)
    desk = Desk(monkeypatch)
    desk.ask(A, question(0))
    for number in range(5):
        desk.ask(A, question(number))
    assert (len(desk.turns), desk.turns.refused["busy"]) == (3, 2)
    desk.ask(B, question(1, bytes(101)))
    assert (len(desk.turns), desk.turns.refused["busy"]) == (3, 3)
    desk.ask(B, question(1, bytes(100)))
    desk.ask(C, question(2, bytes(1)))
    desk.ask(C, question(2))
    desk.ask(C, question(3))
    assert (len(desk.turns), desk.turns.refused["busy"]) == (5, 5)
    while desk.waits:
        desk.rest()
    # Room comes back, in number and in bytes.
    desk.ask(A, question(0))
    desk.ask(B, question(1, bytes(100)))
    assert (len(desk.turns), desk.turns.refused["busy"]) == (1, 5)
    desk.turns.stop()


async def test_stopped_it_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.ask(A, question(0))
    desk.ask(A, question(1))
    desk.turns.stop()
    desk.rest()
    desk.ask(A, question(2))
    assert desk.answered == [(A, question(0))]


async def test_on_a_real_loop_all_are_answered() -> None:
    answered: list[int] = []
    over = asyncio.Event()

    def answer(peer: bytes, message: Message) -> None:
        assert isinstance(message, Query)
        answered.append(message.number)
        if len(answered) == 100:
            over.set()

    turns = Turns()
    ask = turns.of(answer)
    for number in range(100):
        ask(A, question(number))
    await over.wait()
    assert answered == list(range(100))
    turns.stop()


async def test_a_question_that_fails_stops_nobody_and_cannot_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(monkeypatch)

    def fail(_peer: bytes, _message: Message) -> None:
        raise IndexError("index out of range")

    ask = desk.turns.of(fail)
    for number in range(FAILURES_TOLD_MAX + 5):
        ask(A, question(number))
        desk.rest()
    assert desk.turns.refused["failed"] == FAILURES_TOLD_MAX + 5
    assert len(caplog.records) == FAILURES_TOLD_MAX and "IndexError" in caplog.text
    desk.ask(B, question(1))
    assert desk.order == [B]


@pytest.mark.parametrize(
    "error", [StoreError("a page is torn"), sqlite3.DatabaseError("malformed"), OSError(5)]
)
async def test_a_store_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    desk = Desk(monkeypatch)

    def fail(_peer: bytes, _message: Message) -> None:
        raise error

    with pytest.raises(type(error)):
        desk.turns.of(fail)(A, question(1))
