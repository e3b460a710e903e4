"""A verifier's judgement: the genuine newcomer passes, and each forgery has its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.membership.authority import Authority
from p2penergy.membership.certificates import DeviceCertificate
from p2penergy.membership.errors import CertificateRefused, RefusalCode, SealRefused
from p2penergy.membership.judging import judge, open_and_judge
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Connection, Person
from p2penergy.membership.sealed_identity import Binding, Certificates, seal_to_all

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ISSUED = NOW - timedelta(days=2)
AUTHORITY = Authority.in_memory("Sunny Lane", at=ISSUED)
PERSON = Person("Jörg Ünal", "Sonnenweg 3", "+49 30 1234")
KEY, OTHER_KEY = DeviceKey.generate(), DeviceKey.generate()
DEVICE = AUTHORITY.issue_device(KEY.public_key(), days=30, at=ISSUED)
IDENTITY = AUTHORITY.issue_identity(PERSON, DEVICE.der, "1ESY-1", days=20, at=ISSUED)
OTHER = AUTHORITY.issue_device(OTHER_KEY.public_key(), days=30, at=ISSUED)
OTHERS = AUTHORITY.issue_identity(PERSON, OTHER.der, "1ESY-2", days=20, at=ISSUED)
GENUINE = Certificates(DEVICE.der, IDENTITY.der)
BINDING = Binding(
    b"c" * 32, b"r" * 32, DEVICE.participant_id, KEY.public_key_compressed(), IDENTITY.meter_pseudonym
)


def code_of(
    certificates: Certificates,
    binding: Binding = BINDING,
    at: datetime = NOW,
    revoked: frozenset[int] = frozenset(),
) -> RefusalCode:
    with pytest.raises(CertificateRefused) as caught:
        judge(certificates, binding, AUTHORITY.certificate, at, revoked)
    return caught.value.code


def test_a_genuine_newcomer_passes() -> None:
    found = judge(GENUINE, BINDING, AUTHORITY.certificate, NOW, frozenset())
    assert (found.person, found.meter_serial) == (PERSON, "1ESY-1")
    verifier = b"v" * 20
    sealed = seal_to_all(GENUINE.device, GENUINE.identity, BINDING, {verifier: OTHER_KEY.public_key()})
    seal = sealed.seals[0].sealed
    assert found == open_and_judge(
        OTHER_KEY.private_key, verifier, seal, BINDING, AUTHORITY.certificate, NOW, frozenset()
    )
    with pytest.raises(SealRefused):
        open_and_judge(KEY.private_key, verifier, seal, BINDING, AUTHORITY.certificate, NOW, frozenset())


def test_each_of_the_two_is_revoked() -> None:
    for issued in (DEVICE, IDENTITY):
        assert code_of(GENUINE, revoked=frozenset({issued.serial})) is RefusalCode.REVOKED


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (ISSUED - timedelta(days=1), RefusalCode.NOT_YET_VALID),
        (ISSUED + timedelta(days=21), RefusalCode.EXPIRED),
        (ISSUED + timedelta(days=31), RefusalCode.EXPIRED),
    ],
)
def test_either_is_outside_its_time(at: datetime, code: RefusalCode) -> None:
    assert code_of(GENUINE, at=at) is code


@pytest.mark.parametrize(
    ("certificates", "binding"),
    [
        (Certificates(OTHER.der, IDENTITY.der), BINDING),
        (Certificates(DEVICE.der, OTHERS.der), BINDING),
        (Certificates(OTHER.der, OTHERS.der), BINDING),
        (GENUINE, replace(BINDING, participant_id=OTHER.participant_id)),
        (GENUINE, replace(BINDING, public_key=OTHER_KEY.public_key_compressed())),
        (GENUINE, replace(BINDING, meter_pseudonym=OTHERS.meter_pseudonym)),
    ],
)
def test_identity_device_and_request_must_agree(certificates: Certificates, binding: Binding) -> None:
    assert code_of(certificates, binding) is RefusalCode.MISMATCH


def test_a_request_to_join_names_the_certified_connection() -> None:
    how = (GENUINE, BINDING, AUTHORITY.certificate, NOW, frozenset[int]())
    assert judge(*how, Connection()).connection == Connection()
    with pytest.raises(CertificateRefused) as caught:
        judge(*how, Connection(rated_w=30_001))
    assert caught.value.code is RefusalCode.MISMATCH


def test_both_must_be_the_authoritys_and_of_their_kind() -> None:
    forger = Authority.in_memory("Sunny Lane", at=ISSUED)
    forged_device: DeviceCertificate = forger.issue_device(KEY.public_key(), days=30, at=ISSUED)
    forged = forger.issue_identity(PERSON, forged_device.der, "1ESY-1", days=20, at=ISSUED)
    assert code_of(Certificates(DEVICE.der, forged.der)) is RefusalCode.WRONG_ISSUER
    assert code_of(Certificates(forged_device.der, IDENTITY.der)) is RefusalCode.WRONG_ISSUER
    assert code_of(Certificates(IDENTITY.der, DEVICE.der)) is RefusalCode.WRONG_KEY_USAGE
    assert code_of(Certificates(DEVICE.der, DEVICE.der)) is RefusalCode.WRONG_KEY_USAGE


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_garbage_is_refused(garbage: bytes, is_device: bool) -> None:
    pair = Certificates(garbage, IDENTITY.der) if is_device else Certificates(DEVICE.der, garbage)
    assert code_of(pair) is RefusalCode.GARBAGE


@given(st.integers(0, 2000), st.integers(1, 255), st.booleans())
def test_no_flipped_byte_passes(place: int, mask: int, is_device: bool) -> None:
    der = bytearray(DEVICE.der if is_device else IDENTITY.der)
    der[place % len(der)] ^= mask
    pair = Certificates(bytes(der), IDENTITY.der) if is_device else Certificates(DEVICE.der, bytes(der))
    assert code_of(pair) in RefusalCode
