"""What a node answers about its stored state, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest

from p2penergy.answers import Answers
from p2penergy.ledger import keys
from p2penergy.messages import Answer, Query, decode_message, encode
from p2penergy.post import POST, Posted
from p2penergy.questions import (
    ENTRIES,
    ENTRIES_MAX,
    HISTORY,
    HISTORY_BLOCKS_BACK_MAX,
    HistoryQuestion,
    Past,
    decode_entries,
    decode_history,
)
from p2penergy.store import HistoryEntry

TIP = 1_000
SENDER, READER = bytes(20), b"\1" * 20
WALLET = keys.wallet(bytes(20))


class FakeStore:
    def tip(self) -> int:
        return TIP

    def history(self, key: bytes, height_max: int, count_max: int) -> list[HistoryEntry]:
        return [HistoryEntry(height_max, count_max, 2, key, None)]

    def entries(self, prefix: bytes, count_max: int) -> list[tuple[bytes, bytes]]:
        return [(prefix, count_max.to_bytes(4, "big"))]


class FakeLedger:
    height = 0

    def member_key(self, who: bytes, height: int) -> bytes | None:
        return b"key" if who == READER else None


class FakeMesh:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, peer: bytes, payload: bytes) -> bool:
        self.sent.append(payload)
        return True


def asked(topic: str, argument: bytes) -> Answer:
    mesh = FakeMesh()
    store: Any = FakeStore()
    ledger: Any = FakeLedger()
    answers = Answers(store, ledger, mesh, dict, lambda: 0, {}.get, {}.get)  # type: ignore[arg-type]
    answers.on_query(SENDER + b"label", Query(7, topic, argument))
    (payload,) = mesh.sent
    answer = decode_message(payload)
    assert isinstance(answer, Answer)
    assert answer.number == 7
    return answer


@pytest.mark.parametrize("height", [TIP - HISTORY_BLOCKS_BACK_MAX, TIP])
def test_history_up_to_a_height(height: int) -> None:
    answer = asked(HISTORY, encode(HistoryQuestion(height, 3, (WALLET, keys.TIP))))
    assert answer.ok
    assert decode_history(answer.body) == tuple(
        (Past(height, 3, 2, key, None),) for key in (WALLET, keys.TIP)
    )


@pytest.mark.parametrize("height", [TIP - HISTORY_BLOCKS_BACK_MAX - 1, TIP + 1])
def test_history_at_a_height_too_far_away(height: int) -> None:
    answer = asked(HISTORY, encode(HistoryQuestion(height, 1, (WALLET,))))
    assert not answer.ok
    assert b"is not among the last" in answer.body


def test_history_of_a_malformed_question() -> None:
    answer = asked(HISTORY, b"\xc1")
    assert (answer.ok, answer.body[:14]) == (False, b"not a question")


@pytest.mark.parametrize("prefix", [keys.ORDER, keys.ORDER + bytes(20), keys.ESCROW + bytes(32)])
def test_orders_as_many_as_are_allowed(prefix: bytes) -> None:
    answer = asked(ENTRIES, prefix)
    assert decode_entries(answer.body) == ((prefix, ENTRIES_MAX.to_bytes(4, "big")),)


@pytest.mark.parametrize("prefix", [b"", b"o", keys.MEMBER, keys.ORDER + bytes(21), keys.ESCROW + bytes(33)])
def test_no_entries_of_anything_else(prefix: bytes) -> None:
    answer = asked(ENTRIES, prefix)
    assert (answer.ok, answer.body[:11]) == (False, b"entries are")


def test_a_letter_is_taken_in_the_name_of_the_links_participant() -> None:
    assert asked(POST, encode(Posted(READER, b"sealed"))).ok
    refused = asked(POST, encode(Posted(SENDER, b"sealed")))
    assert not refused.ok
    assert b"no other member" in refused.body
