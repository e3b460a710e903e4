"""Requests that wait: in turn, bounded, and once."""

from __future__ import annotations

from p2penergy.waiting_requests import ENTRY_BYTES, WaitingRequest, WaitingRequests

ANNA, BERT = b"a" * 20, b"b" * 20


def one(peer: bytes, transaction: bytes, relayed: bool = False) -> WaitingRequest:
    return WaitingRequest(peer, transaction, relayed, 7)


def taken(waiting: WaitingRequests) -> list[bytes]:
    found = []
    while (request := waiting.take()) is not None:
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
    assert waiting.take() is None


def test_what_members_relay_comes_first_but_for_one_turn_of_the_clients() -> None:
    waiting = WaitingRequests()
    members = [bytes([n]) * 20 for n in range(3)]
    for number in range(4):
        waiting.put(one(ANNA, b"a%d" % number))
    for n, member in enumerate(members):
        for number in range(3):
            waiting.put(one(member, b"m%d %d" % (n, number), relayed=True))
    found = taken(waiting)
    assert found[:4] == [b"m0 0", b"m1 0", b"m2 0", b"a0"]
    assert found[4:8] == [b"m0 1", b"m1 1", b"m2 1", b"a1"]
    # Whoever has no more to relay has no turn.
    assert found[8:] == [b"m0 2", b"m1 2", b"a2", b"m2 2", b"a3"]


def test_a_member_that_floods_takes_no_more_than_every_second_turn() -> None:
    waiting = WaitingRequests()
    for number in range(3):
        waiting.put(one(ANNA, b"a%d" % number))
    for number in range(50):
        waiting.put(one(BERT, b"b%d" % number, relayed=True))
    assert taken(waiting)[:6] == [b"b0", b"a0", b"b1", b"a1", b"b2", b"a2"]


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
    first = waiting.take()
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
    found = [waiting.take() for _ in range(3)]
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
