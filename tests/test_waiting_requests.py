"""Requests that wait: in turn, bounded, and once."""

from __future__ import annotations

from p2penergy.waiting_requests import ENTRY_BYTES, WaitingRequest, WaitingRequests

ANNA, BERT = b"a" * 20, b"b" * 20
OTHERS = 3
"""Members beside this one."""


def one(peer: bytes, transaction: bytes, relayed: bool = False) -> WaitingRequest:
    return WaitingRequest(peer, transaction, relayed, 7)


def taken(waiting: WaitingRequests) -> list[bytes]:
    found = []
    while (request := waiting.take(OTHERS)) is not None:
        found.append(request.transaction)
    return found


def test_participants_take_turns_and_each_keeps_its_order() -> None:
    waiting = WaitingRequests()
    for number in range(4):
        assert waiting.put(one(ANNA, b"a%d" % number))
    assert waiting.put(one(BERT, b"b0"))
    assert waiting.put(one(BERT + b"agent", b"b1"))
    assert taken(waiting) == [b"a0", b"b0", b"a1", b"b1", b"a2", b"a3"]
    assert waiting.size_bytes == 0
    assert waiting.take(OTHERS) is None


def test_what_members_relay_comes_first_but_for_one_turn_of_the_clients() -> None:
    waiting = WaitingRequests()
    for number in range(8):
        waiting.put(one(ANNA, b"a%d" % number))
    for number in range(7):
        waiting.put(one(BERT, b"b%d" % number, relayed=True))
    found = taken(waiting)
    assert found == [b"b0", b"b1", b"b2", b"a0", b"b3", b"b4", b"b5", b"a1", b"b6"] + [
        b"a%d" % number for number in range(2, 8)
    ]


def test_what_is_decided_meanwhile_is_not_looked_at() -> None:
    waiting = WaitingRequests()
    for peer, transaction, relayed in (
        (ANNA, b"one", False),
        (BERT, b"one", True),
        (ANNA, b"two", False),
        (BERT, b"three", True),
    ):
        waiting.put(one(peer, transaction, relayed))
    waiting.decided([b"one", b"three", b"never seen"])
    assert taken(waiting) == [b"two"]
    assert waiting.size_bytes == 0
    # Whoever asks afterwards is looked at: it wants the answer again.
    waiting.put(one(ANNA, b"one"))
    assert taken(waiting) == [b"one"]


def test_nobody_fills_the_room_of_the_others_and_all_together_have_a_limit() -> None:
    size_bytes = ENTRY_BYTES + 10
    waiting = WaitingRequests(bytes_max=3 * size_bytes, bytes_of_one_max=2 * size_bytes)
    assert [waiting.put(one(ANNA + bytes([n]), b"t" * 10)) for n in range(3)] == [True, True, False]
    assert [waiting.put(one(BERT, b"t" * 10)) for _ in range(2)] == [True, False]
    first = waiting.take(OTHERS)
    assert first is not None and first.peer[:20] == ANNA
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
    found = [waiting.take(OTHERS) for _ in range(3)]
    assert {each.transaction: each.heard for each in found if each is not None} == {
        b"one": True,
        b"two": False,
        b"three": False,
    }
    assert not waiting.heard(b"one")


def test_what_is_forgotten_leaves_nothing() -> None:
    waiting = WaitingRequests()
    waiting.put(one(ANNA, b"one"))
    waiting.clear()
    assert not waiting
    assert (waiting.size_bytes, waiting.heard(b"one")) == (0, False)
