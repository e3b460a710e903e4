"""Whose turn it is to relay a transaction: one copy, and for sure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2penergy.request_relay import SECOND_LOOK_MS, TURN_MS, TURNS_MAX, RelayBook, preference, turn_of

COMMITTEE = [bytes([n]) * 20 for n in range(7)]
CLIENT = b"c" * 20
ONE, TWO = b"one", b"two"


def test_members_have_different_turns_in_the_clients_own_order() -> None:
    order = sorted(COMMITTEE, key=lambda member: preference(CLIENT, member))
    turns = [turn_of(me, CLIENT, tuple(other for other in COMMITTEE if other != me)) for me in order]
    assert turns == [0, 1, 2, 3, 4, TURNS_MAX, TURNS_MAX]
    firsts = {min(COMMITTEE, key=lambda member: preference(bytes([n]) * 20, member)) for n in range(100)}
    assert firsts == set(COMMITTEE)


def test_the_first_relays_at_once_and_the_others_when_nobody_was_heard() -> None:
    book = RelayBook()
    assert book.given(ONE, 0, 0)
    assert not book.given(ONE, 1, 0)
    assert not book.given(TWO, 2, 0)
    assert book.due(TURN_MS - 1) == []
    assert book.due(TURN_MS) == [ONE]
    assert book.due(2 * TURN_MS) == [TWO]
    assert book.waiting == 0


def test_what_was_heard_of_is_left_to_a_second_look() -> None:
    book = RelayBook()
    assert not book.given(ONE, 1, 0)
    book.heard(ONE)
    book.heard(b"never given")
    assert book.due(TURN_MS) == []
    assert book.due(TURN_MS + SECOND_LOOK_MS - 1) == []
    assert book.due(TURN_MS + SECOND_LOOK_MS) == [ONE]
    assert book.waiting == 0


def test_the_first_in_turn_leaves_what_it_heard_of_to_a_second_look_too() -> None:
    book = RelayBook()
    assert not book.given(ONE, 0, 0, heard=True)
    assert book.due(0) == []
    assert book.due(SECOND_LOOK_MS) == [ONE]


def test_the_same_given_twice_waits_once() -> None:
    book = RelayBook()
    assert not book.given(ONE, 1, 0)
    assert not book.given(ONE, 3, 10)
    assert book.due(10 * TURN_MS) == [ONE]


def test_what_finds_no_room_goes_on_at_once() -> None:
    book = RelayBook(waiting_max=2)
    assert not book.given(ONE, 1, 0)
    assert not book.given(TWO, 1, 0)
    assert book.given(b"three", 1, 0)
    assert book.waiting == 2


LOOK_MS = 50
GIVEN = st.tuples(st.just("given"), st.integers(0, 5), st.integers(0, TURNS_MAX), st.booleans())
HEARD = st.tuples(st.just("heard"), st.integers(0, 5), st.just(0), st.just(False))
WAIT = st.tuples(st.just("wait"), st.integers(1, 60), st.just(0), st.just(False))


@given(st.lists(st.one_of(GIVEN, HEARD, WAIT)))
def test_whatever_is_heard_all_that_is_given_goes_on_in_time(acts: list[tuple[str, int, int, bool]]) -> None:
    book, now_ms = RelayBook(), 0
    owed: dict[bytes, int] = {}
    """Since when each transaction waits."""
    patience = [("wait", (TURNS_MAX * TURN_MS + SECOND_LOOK_MS) // LOOK_MS + 1, 0, False)]
    for what, number, turn, heard in acts + patience:
        if what == "given" and not book.given(b"%d" % number, turn, now_ms, heard=heard):
            owed.setdefault(b"%d" % number, now_ms)
        elif what == "heard":
            book.heard(b"%d" % number)
        for _ in range(number if what == "wait" else 0):
            now_ms += LOOK_MS
            for transaction in book.due(now_ms):
                owed.pop(transaction, None)
            latest_ms = now_ms - TURNS_MAX * TURN_MS - SECOND_LOOK_MS - LOOK_MS
            assert all(since_ms > latest_ms for since_ms in owed.values())
    assert not owed
    assert book.waiting == 0
