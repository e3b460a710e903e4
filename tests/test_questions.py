"""What a node takes as a question about its stored state, and what it does not."""

from __future__ import annotations

import pytest

from p2penergy.messages import MalformedMessageError, encode
from p2penergy.questions import (
    HISTORY_ANSWER_VERSIONS_MAX,
    HISTORY_KEYS_MAX,
    KEY_BYTES_MAX,
    HistoryQuestion,
    Past,
    decode_entries,
    decode_history,
    decode_question,
    decode_tip,
    encode_entries,
    encode_history,
)


def test_there_and_back() -> None:
    question = HistoryQuestion(812, 2, (b"wallet/a", b"wallet/b"))
    assert decode_question(encode(question)) == question
    versions = ((Past(1, -1, 2, b"x", None), Past(2, 0, 2, None, bytes(32))), ())
    assert decode_history(encode_history(versions)) == versions
    assert decode_entries(encode_entries(((b"k", b"v"),))) == ((b"k", b"v"),)


@pytest.mark.parametrize(
    "question",
    [
        HistoryQuestion(-1, 1, (b"k",)),
        HistoryQuestion(1, 0, (b"k",)),
        HistoryQuestion(1, 1, ()),
        HistoryQuestion(1, 1, (b"",)),
        HistoryQuestion(1, 1, (b"k" * (KEY_BYTES_MAX + 1),)),
        HistoryQuestion(1, 1, (b"k",) * (HISTORY_KEYS_MAX + 1)),
        HistoryQuestion(1, HISTORY_ANSWER_VERSIONS_MAX + 1, (b"k",)),
        HistoryQuestion(1, HISTORY_ANSWER_VERSIONS_MAX // 2 + 1, (b"k", b"l")),
    ],
)
def test_beyond_the_limits(question: HistoryQuestion) -> None:
    with pytest.raises(MalformedMessageError):
        decode_question(encode(question))


def test_what_is_no_answer() -> None:
    for decode in (decode_question, decode_history, decode_entries):
        with pytest.raises(MalformedMessageError):
            decode(b"\xc1")


@pytest.mark.parametrize("told", [b"", b"-1", b"1.5", b" 7", b"x", b"9" * 16, "\u0663".encode()])
def test_a_height_that_is_none_is_refused(told: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_tip(told)


def test_a_height_is_read_as_it_is_told() -> None:
    assert [decode_tip(told) for told in (b"0", b"812", b"9" * 15)] == [0, 812, 10**15 - 1]
