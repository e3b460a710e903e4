"""Seals for many verifiers: each opens its own, and nothing can be moved, exchanged or added."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change

from p2penergy.membership import sealed_identity
from p2penergy.membership.errors import SealRefused
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.sealed_identity import Binding, Certificates, belongs, open_identity, seal_to_all
from p2penergy.membership.sealing import seal
from p2penergy.messages import SEAL_BYTES_MAX

KEYS = {bytes([number]) * 20: DeviceKey.generate() for number in range(1, 6)}
PUBLIC = {verifier: key.public_key() for verifier, key in KEYS.items()}
BINDING = Binding(b"c" * 32, b"r" * 32, b"p" * 20, b"\2" + b"k" * 32, b"m" * 32)
SEALED = seal_to_all(b"device", b"identity", BINDING, PUBLIC)


def test_every_verifier_opens_its_own() -> None:
    assert tuple(each.verifier for each in SEALED.seals) == tuple(sorted(KEYS))
    for each in SEALED.seals:
        assert belongs(each, len(SEALED.seals), SEALED.digest)
        opened = open_identity(KEYS[each.verifier].private_key, each.verifier, each.sealed, BINDING)
        assert (opened.device, opened.identity) == (b"device", b"identity")
        assert b"identity" not in each.sealed
        assert "identity'" not in repr(opened)


def test_another_verifier_can_not_open_it_nor_call_it_its_own() -> None:
    mine, theirs = SEALED.seals[:2]
    with pytest.raises(SealRefused):
        open_identity(KEYS[theirs.verifier].private_key, theirs.verifier, mine.sealed, BINDING)
    with pytest.raises(SealRefused):
        open_identity(KEYS[mine.verifier].private_key, theirs.verifier, mine.sealed, BINDING)


@pytest.mark.parametrize(
    "other",
    [
        {"chain_id": b"x" * 32},
        {"committee_root": b"x" * 32},
        {"participant_id": b"x" * 20},
        {"public_key": b"\3" + b"k" * 32},
        {"meter_pseudonym": b"x" * 32},
    ],
)
def test_a_seal_can_not_be_moved_into_another_request(other: dict[str, Any]) -> None:
    first = SEALED.seals[0]
    with pytest.raises(SealRefused):
        open_identity(
            KEYS[first.verifier].private_key, first.verifier, first.sealed, replace(BINDING, **other)
        )


@given(st.integers(0, 4), st.integers(0, 200), st.integers(1, 255))
def test_an_altered_or_exchanged_seal_does_not_belong(number: int, place: int, mask: int) -> None:
    genuine, count = SEALED.seals[number], len(SEALED.seals)
    altered = bytearray(genuine.sealed)
    altered[place % len(altered)] ^= mask
    assert not belongs(change(genuine, sealed=bytes(altered)), count, SEALED.digest)
    other = SEALED.seals[(number + 1) % count]
    assert not belongs(change(genuine, verifier=other.verifier), count, SEALED.digest)
    assert not belongs(change(genuine, index=other.index), count, SEALED.digest)
    assert not belongs(genuine, count + 1, SEALED.digest)
    assert not belongs(genuine, count, bytes(32))


@given(st.binary(max_size=80))
def test_what_is_not_two_certificates_is_refused(plaintext: bytes) -> None:
    verifier = next(iter(KEYS))
    sealed = seal(PUBLIC[verifier], plaintext, sealed_identity._PURPOSE, BINDING.context(verifier))
    with pytest.raises(SealRefused):
        open_identity(KEYS[verifier].private_key, verifier, sealed, BINDING)


def test_limits() -> None:
    with pytest.raises(ValueError, match="no verifier"):
        seal_to_all(b"d", b"i", BINDING, {})
    with pytest.raises(ValueError, match="4096"):
        seal_to_all(b"d", b"i" * 4097, BINDING, PUBLIC)
    largest = seal_to_all(b"d" * 4096, b"i" * 4096, BINDING, PUBLIC)
    assert max(len(each.sealed) for each in largest.seals) <= SEAL_BYTES_MAX
    assert all(belongs(each, len(largest.seals), largest.digest) for each in largest.seals)
    opened = open_identity(
        KEYS[largest.seals[0].verifier].private_key,
        largest.seals[0].verifier,
        largest.seals[0].sealed,
        BINDING,
    )
    assert opened == Certificates(b"d" * 4096, b"i" * 4096)
