"""Frames: round trips under any chunking, and every way of being refused."""

from __future__ import annotations

import itertools

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport import FrameDecoder, FrameRefused, FrameTooLong, encode_frame
from transport.framing import PING_FRAME, check_payload

LIMIT_BYTES = 70_000

payloads_of_any_length = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([0, 255, 256, 65_535, 65_536, LIMIT_BYTES]).map(lambda n: b"x" * n),
    ),
    max_size=8,
)


def chunks_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(places)]


@given(payloads_of_any_length, st.lists(st.integers(min_value=0), max_size=12))
def test_payloads_survive_any_chunking(payloads, cuts):
    decoder = FrameDecoder(LIMIT_BYTES)
    stream = b"".join(map(encode_frame, payloads))
    received = [got for chunk in chunks_of(stream, cuts) for got in decoder.feed(chunk)]
    assert received == payloads
    assert decoder.pending_bytes == 0
    decoder.end()


def test_bytes_may_come_one_at_a_time():
    payloads = [b"", b"a", b"b" * 300, b"c" * 66_000]
    decoder = FrameDecoder(LIMIT_BYTES)
    received = []
    for byte in b"".join(map(encode_frame, payloads)):
        received += decoder.feed(bytes([byte]))
    assert received == payloads


@pytest.mark.parametrize("length", [0, 1, 255, 256, 65_535, 65_536])
def test_a_frame_is_what_msgpack_makes_of_bytes(length):
    assert encode_frame(bytes(length)) == msgpack.packb(bytes(length), use_bin_type=True)
    assert encode_frame(b"") == PING_FRAME


def test_thousands_of_frames_in_one_chunk():
    payloads = [n.to_bytes(4, "big") * 5 for n in range(50_000)]
    assert FrameDecoder(LIMIT_BYTES).feed(b"".join(map(encode_frame, payloads))) == payloads


def test_a_long_frame_leaves_no_long_buffer_behind():
    decoder = FrameDecoder(4_000_000)
    first = decoder._unpacker
    assert decoder.feed(encode_frame(b"x" * 3_000_000)) == [b"x" * 3_000_000]
    assert decoder._unpacker is not first
    second = decoder._unpacker
    assert decoder.feed(encode_frame(b"y" * 900)) == [b"y" * 900]
    assert decoder._unpacker is second
    with pytest.raises(FrameRefused, match="non_minimal"):
        decoder.feed(b"\xc5\x00\x05hello")


HOSTILE = {
    "announced oversize": (b"\xc6\xff\xff\xff\xff", "oversize"),
    "one byte too long": (b"\xc5\x03\xe9", "oversize"),
    "short in a long header": (b"\xc5\x00\x05hello", "non_minimal"),
    "shorter in a longer header": (b"\xc6\x00\x00\x03\xe7", "non_minimal"),
    "empty in a long header": (b"\xc5\x00\x00", "non_minimal"),
    "integer": (b"\x07", "not_bin"),
    "nil": (b"\xc0", "not_bin"),
    "float": (b"\xcb" + bytes(8), "not_bin"),
    "empty string": (b"\xa0", "not_bin"),
    "string": (b"\xa5hello", "not_bin"),
    "long string, announced only": (b"\xdb\xff\xff\xff\xff", "not_bin"),
    "empty array": (b"\x90", "not_bin"),
    "array of a frame": (b"\x91\xc4\x01a", "not_bin"),
    "deep nesting": (b"\x91" * 5000, "not_bin"),
    "huge array, announced only": (b"\xdd\xff\xff\xff\xff", "not_bin"),
    "huge map, announced only": (b"\xdf\xff\xff\xff\xff", "not_bin"),
    "empty map": (b"\x80", "not_bin"),
    "extension": (b"\xc7\x01\x05a", "not_bin"),
    "empty extension": (b"\xc7\x00\x05", "not_bin"),
    "huge extension, announced only": (b"\xc9\xff\xff\xff\xff\x05", "not_bin"),
    "timestamp": (b"\xd6\xff" + bytes(4), "not_bin"),
    "never used byte": (b"\xc1", "garbage"),
    "a web browser": (b"GET / HTTP/1.1\r\n\r\n", "not_bin"),
    "a TLS client": (b"\x16\x03\x01\x02\x00", "not_bin"),
}


@pytest.mark.parametrize(("hostile", "code"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("good_before", [b"", encode_frame(b"good"), encode_frame(b"g" * 400)])
@pytest.mark.parametrize("chunk_bytes", [1, 3, 10_000])
def test_refused_with_its_code(hostile, code, good_before, chunk_bytes):
    decoder = FrameDecoder(1000)
    stream = good_before + hostile
    with pytest.raises(FrameRefused) as refused:
        for start in range(0, len(stream), chunk_bytes):
            decoder.feed(stream[start : start + chunk_bytes])
    assert refused.value.code == code
    with pytest.raises(FrameRefused) as again:
        decoder.feed(encode_frame(b"good"))
    assert again.value is refused.value


def test_the_longest_frame_is_taken():
    assert FrameDecoder(1000).feed(encode_frame(b"x" * 1000)) == [b"x" * 1000]


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=4))
def test_what_is_accepted_encodes_to_what_was_received(stream, cuts):
    decoder = FrameDecoder(100)
    received = []
    try:
        for chunk in chunks_of(stream, cuts):
            received += decoder.feed(chunk)
    except FrameRefused:
        pass
    assert stream.startswith(b"".join(map(encode_frame, received)))


@pytest.mark.parametrize("kept", [1, 2, 3, 102])
def test_a_stream_that_ends_inside_a_frame_is_truncated(kept):
    decoder = FrameDecoder(1000)
    decoder.feed(encode_frame(b"whole") + encode_frame(b"x" * 300)[:kept])
    assert decoder.pending_bytes == kept
    with pytest.raises(FrameRefused) as refused:
        decoder.end()
    assert refused.value.code == "truncated"


def test_payloads_that_may_not_be_sent():
    check_payload(b"x" * 10, 10)
    with pytest.raises(FrameTooLong, match="11 bytes, the limit is 10"):
        check_payload(b"x" * 11, 10)
    with pytest.raises(ValueError, match="keep-alive"):
        check_payload(b"", 10)
