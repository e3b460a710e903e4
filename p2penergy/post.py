"""A validator's post office: sealed letters between members wait here until they are collected.

Lives here: what clients say to it, and who may leave how much. Never here: what letters say (they are sealed
to their readers), disks: a letter is posted to all validators, and one that restarts has forgotten it. Owns
the invariants that letters take bounded memory, that nobody's letters crowd out those of others, and that a
letter is handed to its addressee only. Implements decision 0501.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.messages import Digest, MalformedMessageError, ParticipantId, canonical

POST = "post"
"""Topic: leave a letter; the argument is a `Posted`."""
LETTERS = "letters"
"""Topic: collect; the argument is digests of letters that are not needed any more."""

LETTER_BYTES_MAX = 1_024
LETTERS_PER_PAIR_MAX = 16
"""Waiting from one member to another."""
LETTERS_PER_SENDER_MAX = 512
LETTERS_PER_READER_MAX = 128
LETTERS_MAX = 32_768
"""At most 32 MiB of letters."""
LETTER_LIFE_MS = 24 * 3_600_000
FORGET_MAX = LETTERS_PER_READER_MAX


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class Posted(_Shape, frozen=True, gc=False):
    """A letter as it is left."""

    reader: ParticipantId
    sealed: Annotated[bytes, Meta(min_length=1, max_length=LETTER_BYTES_MAX)]


class Waiting(_Shape, frozen=True, gc=False):
    """A letter as it is collected; the sender is the post office's word."""

    sender: ParticipantId
    sealed: Annotated[bytes, Meta(min_length=1, max_length=LETTER_BYTES_MAX)]

    @property
    def digest(self) -> bytes:
        """What a letter is called; the same at every validator."""
        return sha256(self.sender + self.sealed).digest()


_encoder = msgspec.msgpack.Encoder()
_posted = msgspec.msgpack.Decoder(Posted)
_forget: msgspec.msgpack.Decoder[tuple[bytes, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Digest, ...], Meta(max_length=FORGET_MAX)]
)
_letters: msgspec.msgpack.Decoder[tuple[Waiting, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Waiting, ...], Meta(max_length=LETTERS_PER_READER_MAX)]
)


def encode_forget(digests: tuple[bytes, ...]) -> bytes:
    """The argument of `LETTERS`."""
    return _encoder.encode(digests)


def decode_letters(data: bytes) -> tuple[Waiting, ...]:
    """The answer to `LETTERS`; raises `MalformedMessageError`."""
    found: tuple[Waiting, ...] = canonical(_letters, data, "list of letters")
    return found


class PostError(Exception):
    """The letter is not taken; the text goes to the client."""


@dataclass(frozen=True, slots=True)
class _Held:
    letter: Waiting
    until_ms: int


class PostOffice:
    """Letters that wait at one validator; `is_member` tells whom a letter can go to."""

    def __init__(self, is_member: Callable[[bytes], bool], now_ms: Callable[[], int]) -> None:
        self._is_member = is_member
        self._now_ms = now_ms
        # Both in the order of arrival, which is that of expiry.
        self._boxes: dict[bytes, dict[bytes, _Held]] = {}
        self._sent: dict[bytes, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def post(self, sender: bytes, argument: bytes) -> bytes:
        """Keep a letter until it is collected or has expired; the answer is empty.

        Raises:
            PostError: malformed, for nobody, or the sender has too many waiting.
        """
        try:
            posted: Posted = canonical(_posted, argument, "letter")
        except MalformedMessageError as error:
            raise PostError(str(error)) from None
        reader, letter = posted.reader, Waiting(sender, posted.sealed)
        if reader == sender or not self._is_member(reader):
            raise PostError(f"{reader.hex()} is no other member of this community")
        self._expire(reader)
        box = self._boxes.get(reader, {})
        if letter.digest in box:
            return b""
        if self._sent.get(sender, 0) >= LETTERS_PER_SENDER_MAX:
            raise PostError(f"{LETTERS_PER_SENDER_MAX} letters of yours wait already")
        if sum(held.letter.sender == sender for held in box.values()) >= LETTERS_PER_PAIR_MAX:
            raise PostError(f"{LETTERS_PER_PAIR_MAX} letters of yours wait for {reader.hex()} already")
        if self._count >= LETTERS_MAX:
            self._expire_all()
        if self._count >= LETTERS_MAX:
            raise PostError("the post office is full: try again later")
        if len(box) >= LETTERS_PER_READER_MAX:
            self._make_room(reader, box)
        self._boxes.setdefault(reader, {})[letter.digest] = _Held(letter, self._now_ms() + LETTER_LIFE_MS)
        self._sent[sender] = self._sent.get(sender, 0) + 1
        self._count += 1
        return b""

    def collect(self, reader: bytes, argument: bytes) -> bytes:
        """All letters for `reader`, once those named in the argument are thrown away.

        Raises:
            PostError: the argument is no list of digests.
        """
        try:
            digests: tuple[bytes, ...] = canonical(_forget, argument, "list of digests")
        except MalformedMessageError as error:
            raise PostError(str(error)) from None
        self._expire(reader)
        for digest in digests:
            self._drop(reader, digest)
        return _encoder.encode(tuple(held.letter for held in self._boxes.get(reader, {}).values()))

    def _make_room(self, reader: bytes, box: dict[bytes, _Held]) -> None:
        # Of whoever has the most in this box: a flood displaces itself.
        counts: dict[bytes, int] = {}
        for held in box.values():
            counts[held.letter.sender] = counts.get(held.letter.sender, 0) + 1
        most = max(counts, key=lambda sender: counts[sender])
        self._drop(reader, next(d for d, held in box.items() if held.letter.sender == most))

    def _expire(self, reader: bytes) -> None:
        now_ms = self._now_ms()
        for digest in [d for d, held in self._boxes.get(reader, {}).items() if held.until_ms <= now_ms]:
            self._drop(reader, digest)

    def _expire_all(self) -> None:
        for reader in list(self._boxes):
            self._expire(reader)

    def _drop(self, reader: bytes, digest: bytes) -> None:
        box = self._boxes.get(reader, {})
        held = box.pop(digest, None)
        if held is None:
            return
        if not box:
            del self._boxes[reader]
        sender = held.letter.sender
        self._count -= 1
        self._sent[sender] -= 1
        if not self._sent[sender]:
            del self._sent[sender]
