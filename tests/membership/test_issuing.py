"""Templates of the authority: validity, pseudonyms and the revocation list."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.membership import issuing
from p2penergy.membership.errors import CertificateRefused, RefusalCode
from p2penergy.membership.issuing import (
    BACKDATED,
    Validity,
    build_authority,
    build_device,
    build_revocation_list,
    meter_pseudonym,
    read_revocation_list,
)
from p2penergy.membership.keys import DeviceKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = DeviceKey.generate()
AUTHORITY = build_authority(KEY, "Sunny Lane", Validity(NOW, 3650))
SECRET = b"k" * 32


def list_of(*serials: int, key: DeviceKey = KEY, authority: x509.Certificate = AUTHORITY) -> bytes:
    return build_revocation_list(
        authority,
        key,
        [(serial, NOW, x509.ReasonFlags.key_compromise) for serial in serials],
        number=3,
        issued_at=NOW,
        next_update=NOW + timedelta(days=1),
    )


REVOKED = list_of(7, 9)


def test_validity_begins_a_little_early_and_needs_a_time_zone() -> None:
    validity = Validity(NOW, 10)
    assert validity.not_before == NOW - BACKDATED
    assert validity.not_after == NOW + timedelta(days=10)
    with pytest.raises(ValueError, match="time zone"):
        Validity(NOW.replace(tzinfo=None), 10)


@pytest.mark.parametrize("days", [0, -1, 36_526])
def test_validity_has_limits(days: int) -> None:
    with pytest.raises(ValueError, match="days"):
        Validity(NOW, days)


def test_the_same_request_gives_the_same_certificate() -> None:
    device = DeviceKey.generate().public_key()
    first, second = (build_device(AUTHORITY, KEY, device, Validity(NOW, 365), serial=5) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["", "x" * 65, "a\tb"])
def test_a_community_has_a_name_that_fits(name: str) -> None:
    with pytest.raises(ValueError, match="community's name"):
        build_authority(KEY, name, Validity(NOW, 10))


@given(st.frozensets(st.integers(1, 2**159 - 1), max_size=20))
def test_a_revocation_list_comes_back(serials: frozenset[int]) -> None:
    assert read_revocation_list(list_of(*serials), AUTHORITY).serials == serials


def test_a_revocation_list_by_somebody_else_is_refused() -> None:
    other = DeviceKey.generate()
    namesake = build_authority(other, "Sunny Lane", Validity(NOW, 3650))
    neighbour = build_authority(KEY, "Next Lane", Validity(NOW, 3650))
    for pem in (list_of(1, key=other, authority=namesake), list_of(1, authority=neighbour)):
        with pytest.raises(CertificateRefused) as caught:
            read_revocation_list(pem, AUTHORITY)
        assert caught.value.code is RefusalCode.WRONG_ISSUER


def test_an_altered_revocation_list_is_refused() -> None:
    revocations = x509.load_pem_x509_crl(list_of(0x1234))
    der = revocations.public_bytes(serialization.Encoding.DER)
    altered = x509.load_der_x509_crl(der.replace(b"\x12\x34", b"\x12\x35", 1))
    with pytest.raises(CertificateRefused):
        read_revocation_list(altered.public_bytes(serialization.Encoding.PEM), AUTHORITY)


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_garbage_is_no_revocation_list(pem: bytes) -> None:
    with pytest.raises(CertificateRefused) as caught:
        read_revocation_list(pem, AUTHORITY)
    assert caught.value.code is RefusalCode.GARBAGE


@given(st.integers(0, 400), st.integers(1, 255))
def test_an_altered_byte_never_changes_what_is_revoked(place: int, mask: int) -> None:
    der = bytearray(x509.load_pem_x509_crl(REVOKED).public_bytes(serialization.Encoding.DER))
    der[place % len(der)] ^= mask
    body = base64.encodebytes(bytes(der))
    try:
        found = read_revocation_list(
            b"-----BEGIN X509 CRL-----\n" + body + b"-----END X509 CRL-----\n", AUTHORITY
        )
    except CertificateRefused:
        return
    assert found.serials == {7, 9}


def test_an_unknown_version_or_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    der = x509.load_pem_x509_crl(REVOKED).public_bytes(serialization.Encoding.DER)
    assert b"\x02\x01\x01" in der
    body = base64.encodebytes(der.replace(b"\x02\x01\x01", b"\x02\x01\x07", 1))
    pem = b"-----BEGIN X509 CRL-----\n" + body + b"-----END X509 CRL-----\n"
    with pytest.raises(CertificateRefused) as caught:
        read_revocation_list(pem, AUTHORITY)
    assert caught.value.code is RefusalCode.GARBAGE
    monkeypatch.setattr(issuing, "REVOCATION_LIST_BYTES_MAX", 100)
    with pytest.raises(CertificateRefused) as caught:
        read_revocation_list(REVOKED, AUTHORITY)
    assert caught.value.code is RefusalCode.OVERSIZE


def test_a_revocation_list_carries_number_and_reason() -> None:
    revocations = x509.load_pem_x509_crl(list_of(7))
    assert revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    assert isinstance(revocations.signature_hash_algorithm, hashes.SHA256)
    entry = revocations.get_revoked_certificate_by_serial_number(7)
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise


def test_one_meter_has_one_pseudonym_however_it_is_typed() -> None:
    spellings = ["1ESY116-0123", "1esy 116 0123", " 1ESY-1160123 ", "１ESY1160123"]
    assert len({meter_pseudonym(SECRET, spelling) for spelling in spellings}) == 1
    assert len(meter_pseudonym(SECRET, "1")) == 32


def test_another_meter_or_community_has_another_pseudonym() -> None:
    made = {
        meter_pseudonym(SECRET, "1160123"),
        meter_pseudonym(SECRET, "1160124"),
        meter_pseudonym(b"l" * 32, "1160123"),
    }
    assert len(made) == 3


@pytest.mark.parametrize("serial", ["", "---", "x" * 65])
def test_a_serial_that_can_not_be_one(serial: str) -> None:
    with pytest.raises(ValueError, match="meter serial"):
        meter_pseudonym(SECRET, serial)
