"""Frames over a byte stream: one frame is one msgpack `bin` value (pure).

Lives here: the encoding of a frame, and the decoder that turns chunks of a stream into payloads.
Never here: sockets, clocks, the meaning of a payload.
Invariant: the decoder yields a payload only if `encode_frame(payload)` is exactly the bytes that
were received. Everything else (another msgpack type, nested values, a header longer than needed,
an oversize length, garbage) is refused with a code, as soon as the header shows it and before
the body is waited for. Memory held is at most one frame and one slice of input.

A frame is `c4 len8`, `c5 len16` or `c6 len32`, then the payload. An empty frame (`c4 00`) is an
ordinary frame here; `transport.link` uses it as its keep-alive.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from transport.errors import FrameRefused, FrameTooLong
from transport.limits import FRAME_HEADER_BYTES_MAX, KIB

PING_FRAME: Final = b"\xc4\x00"
"""The empty frame."""

_SLICE_BYTES: Final = 256 * KIB
_BUFFER_BYTES: Final = 16 * KIB
"""What an unpacker takes at first; its own default is a megabyte."""
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_SHORTEST_PAYLOAD: Final = {0xC4: 0, 0xC5: 1 << 8, 0xC6: 1 << 16}
_UNUSED_KIND: Final = 0xC1


def encode_frame(payload: bytes) -> bytes:
    """Return `payload` as one frame, with the shortest header that holds its length."""
    length = len(payload)
    if length < 1 << 8:
        return b"\xc4" + length.to_bytes(1, "big") + payload
    if length < 1 << 16:
        return b"\xc5" + length.to_bytes(2, "big") + payload
    return b"\xc6" + length.to_bytes(4, "big") + payload


def check_payload(payload: bytes, frame_bytes_max: int) -> None:
    """Raise FrameTooLong or, for an empty payload, ValueError: it may not be sent."""
    if not payload:
        raise ValueError("an empty payload cannot be sent: the empty frame is the keep-alive")
    if len(payload) > frame_bytes_max:
        raise FrameTooLong(f"a payload of {len(payload)} bytes, the limit is {frame_bytes_max}")


class FrameDecoder:
    """Turn chunks of one stream into payloads. One decoder per connection.

    After a refusal the stream has no meaning any more: each further call raises the same again.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._unpacker = self._new_unpacker()
        self._is_swollen = False
        self._fed_bytes = 0
        self._frame_start = 0
        self._head = b""
        self._refused: FrameRefused | None = None

    def _new_unpacker(self) -> Any:
        # Everything but `bin` is limited to nothing, so no container is ever built.
        return msgpack.Unpacker(
            raw=False,
            read_size=_BUFFER_BYTES,
            max_buffer_size=self._frame_bytes_max + FRAME_HEADER_BYTES_MAX + _SLICE_BYTES,
            max_bin_len=self._frame_bytes_max,
            max_str_len=0,
            max_array_len=0,
            max_map_len=0,
            max_ext_len=0,
        )

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a frame that is not complete."""
        return self._fed_bytes - self._frame_start

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the payloads that they complete.

        Raises FrameRefused (oversize, not_bin, non_minimal, garbage); payloads that the same
        call completed before the refused frame are lost with it.
        """
        if self._refused is not None:
            raise self._refused
        payloads: list[bytes] = []
        try:
            for offset in range(0, len(data), _SLICE_BYTES):
                self._feed_slice(data[offset : offset + _SLICE_BYTES], payloads)
        except FrameRefused as refused:
            self._refused = refused
            raise
        return payloads

    def end(self) -> None:
        """Say that the stream is over. Raises FrameRefused (truncated) inside a frame."""
        if self._refused is None and self.pending_bytes:
            self._refused = FrameRefused(
                "truncated", f"the stream ended {self.pending_bytes} bytes into a frame"
            )
        if self._refused is not None:
            raise self._refused

    def _feed_slice(self, piece: bytes, payloads: list[bytes]) -> None:
        unpacker = self._unpacker
        unpacker.feed(piece)
        self._fed_bytes += len(piece)
        start = self._frame_start
        try:
            for payload in unpacker:
                if type(payload) is not bytes:
                    raise self._refusal(piece, start)
                length = len(payload)
                header_bytes = 2 if length < 1 << 8 else 3 if length < 1 << 16 else 5
                end = unpacker.tell()
                if end - start != header_bytes + length:
                    raise self._refusal(piece, start)
                payloads.append(payload)
                start = end
        except ValueError:
            raise self._refusal(piece, start) from None
        # The unpacker looks at its limits only once a body is complete: an announced length
        # is judged here, before anything is waited for.
        head = self._head_of(piece, start)
        fault = _fault_of(head, self._frame_bytes_max)
        if fault is not None:
            raise FrameRefused(*fault)
        self._head = head
        self._frame_start = start
        if self.pending_bytes > _SLICE_BYTES:
            self._is_swollen = True
        elif self._is_swollen and not self.pending_bytes:
            # An unpacker keeps the largest buffer it ever had; a rare long frame must not cost
            # its length on every link for ever.
            self._unpacker = self._new_unpacker()
            self._fed_bytes = self._frame_start = 0
            self._is_swollen = False

    def _head_of(self, piece: bytes, start: int) -> bytes:
        """Return what is known of the header of the frame that begins at `start`."""
        offset = start - (self._fed_bytes - len(piece))
        if offset >= 0:
            return piece[offset : offset + FRAME_HEADER_BYTES_MAX]
        return (self._head + piece[:FRAME_HEADER_BYTES_MAX])[:FRAME_HEADER_BYTES_MAX]

    def _refusal(self, piece: bytes, start: int) -> FrameRefused:
        fault = _fault_of(self._head_of(piece, start), self._frame_bytes_max)
        return FrameRefused(*(fault or ("garbage", "the bytes are not msgpack")))


def _fault_of(head: bytes, frame_bytes_max: int) -> tuple[str, str] | None:
    """Return the code and text of what is wrong with a frame header, None if nothing is yet."""
    if not head:
        return None
    kind = head[0]
    if kind == _UNUSED_KIND:
        return "garbage", "byte c1 begins no msgpack value"
    if kind not in _LENGTH_BYTES:
        return "not_bin", f"byte {kind:02x} begins another msgpack type than bin"
    length_bytes = head[1 : 1 + _LENGTH_BYTES[kind]]
    if len(length_bytes) < _LENGTH_BYTES[kind]:
        return None
    length = int.from_bytes(length_bytes, "big")
    if length > frame_bytes_max:
        return "oversize", f"a frame of {length} bytes, the limit is {frame_bytes_max}"
    if length < _SHORTEST_PAYLOAD[kind]:
        return "non_minimal", f"length {length} in a header of {1 + len(length_bytes)} bytes"
    return None
