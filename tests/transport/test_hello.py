"""HELLO: what is accepted, and each refusal."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport import HelloRefused, Limits
from transport.hello import (
    Expectation,
    Hello,
    check_hello,
    check_own_hello,
    decode_hello,
    encode_hello,
)

LIMITS = Limits()
OWN = Hello("p/1", b"net", b"own")


def code_of(call) -> str:
    with pytest.raises(HelloRefused) as refused:
        call()
    return refused.value.code


def test_a_hello_is_a_msgpack_array():
    assert encode_hello(OWN) == msgpack.packb(["p/1", b"net", b"own"], use_bin_type=True)
    assert decode_hello(encode_hello(OWN), LIMITS) == OWN


@pytest.mark.parametrize(
    "value",
    [
        {"protocol": "p/1", "network": b"net", "name": b"own"},
        ["p/1", b"net"],
        ["p/1", b"net", b"own", 1],
        [b"p/1", b"net", b"own"],
        ["p/1", "bmV0", b"own"],
        ["p/1", b"net", b""],
        ["p/1", b"net", b"x" * 65],
        ["p/1", b"n" * 65, b"own"],
        ["p" * 65, b"net", b"own"],
        7,
        None,
    ],
)
def test_malformed(value):
    payload = msgpack.packb(value, use_bin_type=True)
    assert code_of(lambda: decode_hello(payload, LIMITS)) == "hello_malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x93",
        b"\xc1",
        encode_hello(OWN) + b"\x00",
        b"\xdc\x00\x03" + encode_hello(OWN)[1:],
        b"\x93\xd9\x03p/1\xc4\x03net\xc4\x03own",
        b"\x93\xa3\xff\xff\xff\xc4\x03net\xc4\x03own",
    ],
    ids=["empty", "cut", "garbage", "tail", "long array", "long string", "not utf-8"],
)
def test_not_the_one_encoding(payload):
    assert code_of(lambda: decode_hello(payload, LIMITS)) == "hello_malformed"


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_or_encode_back(payload):
    try:
        hello = decode_hello(payload, LIMITS)
    except HelloRefused:
        return
    assert encode_hello(hello) == payload


def test_oversize_is_refused_before_parsing():
    assert code_of(lambda: decode_hello(b"\xc1" * 513, LIMITS)) == "hello_oversize"


def test_what_must_fit():
    def check(hello, certified=None, dialled=None):
        check_hello(hello, Expectation(OWN, certified, dialled))

    peer = Hello("p/1", b"net", b"peer")
    check(peer)
    check(peer, certified=b"peer", dialled=b"peer")
    assert code_of(lambda: check(Hello("p/2", b"net", b"peer"))) == "wrong_protocol"
    assert code_of(lambda: check(Hello("p/1", b"ten", b"peer"))) == "wrong_network"
    assert code_of(lambda: check(OWN)) == "self_dial"
    assert code_of(lambda: check(peer, certified=b"other")) == "wrong_name"
    assert code_of(lambda: check(peer, certified=b"peer", dialled=b"other")) == "wrong_name"


def test_our_own_hello_must_be_acceptable():
    with pytest.raises(ValueError, match="a name of 0 bytes"):
        check_own_hello(Hello("p/1", b"net", b""), LIMITS)
