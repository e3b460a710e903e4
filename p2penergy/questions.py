"""What clients ask of a node's stored state, and the shape of its answers.

Lives here: the shapes behind the topics `history` and `entries`, shared by node and client, and their
limits. Never here: answering (`answers`), believing (`household.reach`). Implements the questions of
LEDGER section 3.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.messages import MalformedMessageError, canonical

PROOF = "proof"
"""A decided transaction's receipt with the certificate that proves it; the argument is its id."""
JOIN = "join"
"""How far a request to join has come, as JSON; the argument is its transaction id."""
TIP = "tip"
"""The height of the node's last decided block, as decimal digits."""
GUEST_TOPICS = frozenset({TIP, PROOF, JOIN})
"""What somebody who is no member may ask."""
HISTORY = "history"
ENTRIES = "entries"
TIP_DIGITS_MAX = 15
HISTORY_KEYS_MAX = 64
HISTORY_ANSWER_VERSIONS_MAX = 500
HISTORY_BLOCKS_BACK_MAX = 64
"""How far below its tip a node looks: it walks back through all that was written since."""
ENTRIES_MAX = 2_000
KEY_BYTES_MAX = 128

Key = Annotated[bytes, Meta(min_length=1, max_length=KEY_BYTES_MAX)]


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class HistoryQuestion(_Shape, frozen=True, gc=False):
    """The newest `count` versions of each key in the state after block `height`."""

    height: Annotated[int, Meta(ge=0, le=2**53)]
    count: Annotated[int, Meta(ge=1, le=HISTORY_ANSWER_VERSIONS_MAX)]
    keys: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=HISTORY_KEYS_MAX)]


class Past(_Shape, frozen=True, gc=False):
    """One version of a key; `value` None: it ended there, `cause` None: the block itself wrote it."""

    height: int
    index: int
    stage: int
    value: bytes | None
    cause: bytes | None


_encoder = msgspec.msgpack.Encoder()
_question = msgspec.msgpack.Decoder(HistoryQuestion)
_history = msgspec.msgpack.Decoder(tuple[tuple[Past, ...], ...])
_entries = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])


def decode_tip(data: bytes) -> int:
    """A height from a node's answer; raises `MalformedMessageError`."""
    if not 1 <= len(data) <= TIP_DIGITS_MAX or not data.isdigit():
        raise MalformedMessageError("malformed", "the height that a node tells is no number")
    return int(data)


def decode_question(data: bytes) -> HistoryQuestion:
    """A question from a client's bytes.

    Raises:
        MalformedMessageError: not one, or beyond the limits.
    """
    question: HistoryQuestion = canonical(_question, data, "question about history")
    if question.count * len(question.keys) > HISTORY_ANSWER_VERSIONS_MAX:
        raise MalformedMessageError("malformed", f"more than {HISTORY_ANSWER_VERSIONS_MAX} versions")
    return question


def encode_history(versions: tuple[tuple[Past, ...], ...]) -> bytes:
    """Per key of the question its versions, oldest first."""
    return _encoder.encode(versions)


def decode_history(data: bytes) -> tuple[tuple[Past, ...], ...]:
    """The same back; raises `MalformedMessageError`."""
    found: tuple[tuple[Past, ...], ...] = canonical(_history, data, "history")
    return found


def encode_entries(entries: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Keys with their current values, keys ascending."""
    return _encoder.encode(entries)


def decode_entries(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The same back; raises `MalformedMessageError`."""
    found: tuple[tuple[bytes, bytes], ...] = canonical(_entries, data, "list of entries")
    return found
