"""Sealing to one reader: opens for that reader and that purpose, and for nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy.membership.errors import SealRefused
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.sealing import (
    CONTEXT_BYTES_MAX,
    OVERHEAD_BYTES,
    PLAINTEXT_BYTES_MAX,
    SEALED_BYTES_MAX,
    open_seal,
    seal,
)

KEY = DeviceKey.generate()
SEALED = seal(KEY.public_key(), b"an identity", b"join", b"request 1")


@given(st.binary(max_size=2000), st.binary(max_size=100), st.binary(max_size=100))
@settings(max_examples=40)
def test_opens_what_it_sealed(plaintext: bytes, info: bytes, aad: bytes) -> None:
    sealed = seal(KEY.public_key(), plaintext, info, aad)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert open_seal(KEY.private_key, sealed, info, aad) == plaintext


def test_two_seals_of_the_same_differ() -> None:
    assert seal(KEY.public_key(), b"an identity", b"join", b"request 1") != SEALED


def test_another_reader_can_not_open_it() -> None:
    with pytest.raises(SealRefused, match="another key"):
        open_seal(DeviceKey.generate().private_key, SEALED, b"join", b"request 1")


@pytest.mark.parametrize(
    ("info", "aad"),
    [
        (b"leave", b"request 1"),
        (b"join", b"request 2"),
        (b"join", b""),
        (b"request 1", b"join"),
        (b"joinr", b"equest 1"),  # the border between the two counts
        (b"", b"joinrequest 1"),
    ],
)
def test_another_purpose_or_request_does_not_open_it(info: bytes, aad: bytes) -> None:
    with pytest.raises(SealRefused):
        open_seal(KEY.private_key, SEALED, info, aad)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
@settings(max_examples=60)
def test_altered_bytes_do_not_open(place: int, mask: int) -> None:
    altered = bytearray(SEALED)
    altered[place] ^= mask
    with pytest.raises(SealRefused):
        open_seal(KEY.private_key, bytes(altered), b"join", b"request 1")


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_garbage_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealRefused):
        open_seal(KEY.private_key, sealed, b"join", b"request 1")


def test_limits() -> None:
    largest = bytes(PLAINTEXT_BYTES_MAX)
    assert open_seal(KEY.private_key, seal(KEY.public_key(), largest, b"", b""), b"", b"") == largest
    with pytest.raises(ValueError, match="at most"):
        seal(KEY.public_key(), largest + b"x", b"", b"")
    with pytest.raises(ValueError, match="at most"):
        seal(KEY.public_key(), b"", b"x" * (CONTEXT_BYTES_MAX + 1), b"")
    with pytest.raises(SealRefused, match="bytes"):
        open_seal(KEY.private_key, bytes(SEALED_BYTES_MAX + 1), b"", b"")


def test_only_p256_keys() -> None:
    with pytest.raises(TypeError):
        seal(ec.generate_private_key(ec.SECP384R1()).public_key(), b"", b"", b"")
