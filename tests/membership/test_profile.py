"""The shape of certificates: limits, private extensions, the one encoding."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.membership import profile
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person

LINE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)


def fits(text: str, bytes_max: int) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text.encode()) <= bytes_max


@given(LINE, LINE, LINE, LINE)
def test_a_person_comes_back_from_the_subject(name: str, address: str, contact: str, serial: str) -> None:
    if not (fits(name, 64) and fits(address, 128) and fits(contact, 128) and fits(serial, 64)):
        return
    person = Person(name, address, contact)
    subject = profile.identity_subject(person, serial)
    assert profile.parse_identity_subject(subject) == (person, serial)


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "\x1b[31m", "x" * 65, "ü" * 33])
def test_a_name_is_one_short_printable_line(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Person(text, "address", "contact")


def test_a_meter_serial_has_limits_too() -> None:
    for serial in ("", "x" * 65):
        with pytest.raises(ValueError, match="meter serial"):
            profile.identity_subject(Person("n", "a", "c"), serial)


def test_a_foreign_subject_is_refused() -> None:
    attributes = list(profile.identity_subject(Person("n", "a", "c"), "1"))
    foreign = x509.NameAttribute(NameOID.TITLE, "Dr")
    for changed in (attributes[:3], [*attributes, foreign], [foreign, *attributes[1:]]):
        with pytest.raises(ValueError, match="identity"):
            profile.parse_identity_subject(x509.Name(changed))


@given(st.binary(max_size=300))
def test_an_extension_comes_back_at_its_length_only(value: bytes) -> None:
    extension = profile.octet_string_extension(profile.OID_METER_PSEUDONYM, value)
    extensions = x509.Extensions([x509.Extension(extension.oid, False, extension)])
    if len(value) < 0x80:
        assert profile.read_octet_string(extensions, extension.oid, len(value)) == value
    with pytest.raises(ValueError, match="is not"):
        profile.read_octet_string(extensions, extension.oid, len(value) + 1)


def test_an_absent_extension_is_none() -> None:
    assert profile.read_octet_string(x509.Extensions([]), profile.OID_METER_PSEUDONYM, 32) is None


def test_every_issued_certificate_has_the_lower_s() -> None:
    authority = Authority.in_memory("Sunny Lane")
    half = 0x7FFFFFFF800000007FFFFFFFFFFFFFFFDE737D56D38BCF4279DCE5617E3192A8
    for _ in range(40):
        der = authority.issue_device(DeviceKey.generate().public_key()).der
        certificate = x509.load_der_x509_certificate(der)
        assert decode_dss_signature(certificate.signature)[1] <= half
        assert profile.canonical_der(certificate) == der
