"""A validator's post office: who may leave how much, and who gets it."""

from __future__ import annotations

import pytest

from p2penergy import post as post_module
from p2penergy.messages import encode
from p2penergy.post import (
    LETTER_BYTES_MAX,
    LETTER_LIFE_MS,
    LETTERS_PER_PAIR_MAX,
    LETTERS_PER_READER_MAX,
    LETTERS_PER_SENDER_MAX,
    Posted,
    PostError,
    PostOffice,
    Waiting,
    decode_letters,
    encode_forget,
)

NOTHING = encode_forget(())


def who(number: int) -> bytes:
    return number.to_bytes(20, "big")


class Office(PostOffice):
    """With a clock of its own, and members below 10,000."""

    def __init__(self) -> None:
        self.ms = 0
        super().__init__(lambda one: int.from_bytes(one, "big") < 10_000, lambda: self.ms)

    def leave(self, sender: int, reader: int, text: bytes = b"hello") -> None:
        assert self.post(who(sender), encode(Posted(who(reader), text))) == b""

    def read(self, reader: int, *forget: bytes) -> tuple[Waiting, ...]:
        return decode_letters(self.collect(who(reader), encode_forget(forget)))


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_letter_waits_for_its_reader_until_it_is_thrown_away(office: Office) -> None:
    office.leave(1, 2)
    assert office.read(1) == office.read(3) == ()
    (letter,) = office.read(2)
    assert letter == Waiting(who(1), b"hello")
    assert office.read(3, letter.digest) == ()
    assert office.read(2) == (letter,)
    assert office.read(2, letter.digest) == ()
    assert len(office) == 0


def test_a_letter_left_twice_is_one(office: Office) -> None:
    office.leave(1, 2)
    office.leave(1, 2)
    assert len(office.read(2)) == len(office) == 1


def test_a_letter_expires(office: Office) -> None:
    office.leave(1, 2)
    office.ms = LETTER_LIFE_MS - 1
    assert len(office.read(2)) == 1
    office.ms = LETTER_LIFE_MS
    assert office.read(2) == ()
    assert len(office) == 0


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (b"\xc1", "not a letter"),
        (encode(Posted(who(2), bytes(LETTER_BYTES_MAX + 1))), "not a letter"),
        (encode(Posted(who(2), b"")), "not a letter"),
        (encode(Posted(who(1), b"hello")), "no other member"),
        (encode(Posted(who(10_000), b"hello")), "no other member"),
    ],
)
def test_what_is_not_taken(office: Office, argument: bytes, words: str) -> None:
    with pytest.raises(PostError, match=words):
        office.post(who(1), argument)
    assert len(office) == 0


def test_what_is_no_list_of_digests(office: Office) -> None:
    for argument in (b"\xc1", encode_forget((b"short",)), encode_forget((bytes(32),) * 129)):
        with pytest.raises(PostError, match="not a list of digests"):
            office.collect(who(1), argument)


def test_one_sender_has_a_share_of_a_box_and_of_the_house(office: Office) -> None:
    for number in range(LETTERS_PER_PAIR_MAX):
        office.leave(1, 2, b"%d" % number)
    with pytest.raises(PostError, match="wait for"):
        office.leave(1, 2, b"one more")
    for number in range(LETTERS_PER_PAIR_MAX, LETTERS_PER_SENDER_MAX):
        office.leave(1, 3 + number)
    with pytest.raises(PostError, match="letters of yours wait already"):
        office.leave(1, 3)
    office.leave(4, 2)
    (first, *_) = office.read(2)
    office.read(2, first.digest)
    office.leave(1, 2, b"one more")


def test_a_full_box_makes_room_at_the_cost_of_whoever_has_most_in_it(office: Office) -> None:
    office.leave(999, 2, b"a word of a neighbour")
    senders = LETTERS_PER_READER_MAX // LETTERS_PER_PAIR_MAX + 1
    for number in range(senders * LETTERS_PER_PAIR_MAX):
        office.leave(3 + number % senders, 2, b"%d" % number)
    letters = office.read(2)
    assert len(letters) == LETTERS_PER_READER_MAX
    assert Waiting(who(999), b"a word of a neighbour") in letters


def test_a_full_house_is_full_until_letters_expire(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_module, "LETTERS_MAX", 3)
    for number in range(3):
        office.leave(number, 9)
    with pytest.raises(PostError, match="full"):
        office.leave(5, 8)
    office.ms = LETTER_LIFE_MS
    office.leave(5, 8)
    assert len(office) == 1
