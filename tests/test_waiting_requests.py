"""Requests that wait: in turn, bounded, and once."""

from __future__ import annotations

import pytest

from p2penergy.waiting_requests import ENTRY_BYTES, WaitingRequest, WaitingRequests

ANNA, BERT = b"a" * 20, b"b" * 20


def one(peer: bytes, transaction: bytes, relayed: bool = False) -> WaitingRequest:
    return WaitingRequest(peer, transaction, relayed, 7)


def taken(waiting: WaitingRequests) -> list[bytes]:
    found = []
    while waiting:
        found.append(waiting.take().transaction)
    return found


def test_participants_take_turns_and_each_keeps_its_order() -> None:
    waiting = WaitingRequests()
    for number in range(4):
        assert waiting.put(one(ANNA, b"a%d" % number))
    assert waiting.put(one(BERT, b"b0"))
    assert waiting.put(one(BERT + b"agent", b"b1"))
    assert taken(waiting) == [b"a0", b"b0", b"a1", b"b1", b"a2", b"a3"]
    assert waiting.size_bytes == 0
    with pytest.raises(KeyError):
        waiting.take()


def test_nobody_fills_the_room_of_the_others_and_all_together_have_a_limit() -> None:
    size_bytes = ENTRY_BYTES + 10
    waiting = WaitingRequests(bytes_max=3 * size_bytes, bytes_of_one_max=2 * size_bytes)
    assert [waiting.put(one(ANNA + bytes([n]), b"t" * 10)) for n in range(3)] == [True, True, False]
    assert [waiting.put(one(BERT, b"t" * 10)) for _ in range(2)] == [True, False]
    assert waiting.take().peer[:20] == ANNA
    assert waiting.put(one(BERT, b"t" * 10))
    taken(waiting)
    assert waiting.put(one(ANNA, b"t" * 10))


def test_a_relayed_copy_of_what_waits_is_not_needed() -> None:
    waiting = WaitingRequests()
    assert not waiting.heard(b"one")
    waiting.put(one(ANNA, b"one"))
    waiting.put(one(ANNA, b"two"))
    waiting.put(one(BERT, b"three", relayed=True))
    assert waiting.heard(b"one")
    assert not waiting.heard(b"three")
    assert [waiting.take().heard for _ in range(3)] == [True, False, False]
    assert not waiting.heard(b"one")


def test_what_is_forgotten_leaves_nothing() -> None:
    waiting = WaitingRequests()
    waiting.put(one(ANNA, b"one"))
    waiting.clear()
    assert not waiting
    assert (waiting.size_bytes, waiting.heard(b"one")) == (0, False)
