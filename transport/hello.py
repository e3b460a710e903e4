"""The first frame of each direction: who speaks, which protocol, which network (pure).

Lives here: the HELLO payload, a msgpack array [protocol, network, name], and what is checked of
it. Never here: sockets, certificates. Invariant: a HELLO that is accepted re-encodes to the bytes
that were received, and names the peer that the certificate or the dialled address promised.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from transport.errors import HelloRefused
from transport.limits import Limits

PeerName = bytes
"""An opaque name of a peer, for instance a 20-byte participant identifier."""

LABEL_BYTES_MAX = 8
"""How much a peer may append to its certified name."""


class Hello(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What each side says first."""

    protocol: str
    network: bytes
    name: PeerName


class Expectation(NamedTuple):
    """What we know of the other side before it speaks."""

    own: Hello
    certified: PeerName | None
    """The name that the peer's certificate gives, None on a link without TLS."""
    dialled: PeerName | None
    """The name that we dialled, None on an accepted link."""


_DECODER = msgspec.msgpack.Decoder(Hello)
_ENCODER = msgspec.msgpack.Encoder()


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of a HELLO frame."""
    return _ENCODER.encode(hello)


def check_own_hello(hello: Hello, limits: Limits) -> None:
    """Raise ValueError when our own HELLO would be refused by a peer with the same limits."""
    try:
        decode_hello(encode_hello(hello), limits)
    except HelloRefused as refused:
        raise ValueError(f"this name, network or protocol cannot be used: {refused}") from None


def decode_hello(payload: bytes, limits: Limits) -> Hello:
    """Parse a HELLO payload. Raises HelloRefused (hello_oversize, hello_malformed)."""
    if len(payload) > limits.hello_bytes_max:
        raise HelloRefused("hello_oversize", f"{len(payload)} bytes, the limit is {limits.hello_bytes_max}")
    try:
        hello = _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # msgspec lets the second one out for a str that is not UTF-8.
        raise HelloRefused("hello_malformed", str(error)) from None
    # Decoders take longer encodings than needed; one value must have one encoding.
    if encode_hello(hello) != payload:
        raise HelloRefused("hello_malformed", "not in the shortest encoding")
    if not 1 <= len(hello.name) <= limits.name_bytes_max:
        raise HelloRefused("hello_malformed", f"a name of {len(hello.name)} bytes")
    if len(hello.network) > limits.name_bytes_max:
        raise HelloRefused("hello_malformed", f"a network of {len(hello.network)} bytes")
    if len(hello.protocol) > limits.protocol_chars_max:
        raise HelloRefused("hello_malformed", f"a protocol of {len(hello.protocol)} characters")
    return hello


def check_hello(hello: Hello, expected: Expectation) -> None:
    """Raise HelloRefused (wrong_protocol, wrong_network, wrong_name, self_dial) on a mismatch."""
    own = expected.own
    if hello.protocol != own.protocol:
        raise HelloRefused("wrong_protocol", f"the peer speaks {hello.protocol!r}, we speak {own.protocol!r}")
    if hello.network != own.network:
        raise HelloRefused(
            "wrong_network", f"the peer is of {hello.network.hex()}, we of {own.network.hex()}"
        )
    if hello.name == own.name:
        raise HelloRefused("self_dial", "the peer has our own name")
    certified, dialled = expected.certified, expected.dialled
    if certified is not None and not _is_of(hello.name, certified):
        raise _wrong_name(hello.name, "its certificate says", certified)
    if dialled is not None and hello.name != dialled:
        raise _wrong_name(hello.name, "we dialled", dialled)


def _is_of(name: PeerName, certified: PeerName) -> bool:
    # One device may hold several links, such as its node's and its household agent's: a label of
    # its own choosing may follow the certified name. Callers give certified names of one length.
    return name.startswith(certified) and len(name) - len(certified) <= LABEL_BYTES_MAX


def _wrong_name(name: PeerName, source: str, promised: PeerName) -> HelloRefused:
    return HelloRefused("wrong_name", f"the peer calls itself {name.hex()}, {source} {promised.hex()}")
