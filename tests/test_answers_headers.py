"""Certified headers when asked: however large the committee, in a frame that can be sent."""

from __future__ import annotations

from typing import Any

import msgspec
from samples import full

from p2penergy.answers import HEADERS_PER_ANSWER_MAX, Answers
from p2penergy.messages import (
    COMMITTEE_SIZE_MAX,
    HEADERS_MAX,
    INTEGER_MAX,
    Certificate,
    Header,
    HeadersRequest,
    HeadersResponse,
    decode_message,
)
from transport import Limits

PEER = b"p" * 20


class World:
    """A store of headers that are as long as can be, and a mesh that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        votes = tuple((number.to_bytes(20, "big"), b"s" * 64) for number in range(COMMITTEE_SIZE_MAX))
        self.certificate = Certificate(INTEGER_MAX, INTEGER_MAX, b"d" * 32, votes)
        numbers = dict.fromkeys(("version", "height", "slot", "period"), INTEGER_MAX)
        self.header = msgspec.structs.replace(full(Header), **numbers)

    def headers(self, first: int, count: int) -> list[tuple[Header, Certificate]]:
        return [(self.header, self.certificate)] * count

    def send(self, peer: bytes, payload: bytes) -> bool:
        self.sent.append(payload)
        return True


def test_headers_of_the_largest_committee_fit_into_a_frame() -> None:
    # An answer that can't be sent would halt the node: a stranger may ask for it.
    world = World()
    parts: tuple[Any, ...] = (world, None, world, dict, lambda: 0, {}.get, {}.get)
    Answers(*parts).on_headers(PEER, HeadersRequest(1, HEADERS_MAX))
    [payload] = world.sent
    assert len(payload) <= Limits().frame_bytes_max
    message = decode_message(payload)
    assert isinstance(message, HeadersResponse)
    assert len(message.headers) == HEADERS_PER_ANSWER_MAX
