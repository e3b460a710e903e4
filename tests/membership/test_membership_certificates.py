"""Certificates of the other side: what passes, and every forgery that must not."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.membership import issuing, profile
from p2penergy.membership.certificates import (
    VerifiedDevice,
    VerifiedIdentity,
    der_of,
    lfdi_text,
    load_authority,
    parse_lfdi,
    participant_id,
    pem_of,
    verify_device,
    verify_identity,
)
from p2penergy.membership.errors import CertificateRefused, RefusalCode
from p2penergy.membership.issuing import Validity
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Connection, Person

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
AUTHORITY_KEY = DeviceKey.generate()
AUTHORITY = issuing.build_authority(AUTHORITY_KEY, "Sunny Lane", Validity(NOW, 5 * 365))
DEVICE_KEY = DeviceKey.generate()
OTHER_KEY = DeviceKey.generate()
PERSON = Person("Jörg Ünal", "Sonnenweg 3, 12345 Dorf", "+49 30 1234")
PSEUDONYM = issuing.meter_pseudonym(b"s" * 32, "1ESY 116-0123")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass
class Craft:
    """A certificate just like the authority's, but for what a test changes."""

    public_key: Any = field(default_factory=DEVICE_KEY.public_key)
    signing_key: Any = AUTHORITY_KEY.private_key
    algorithm: Any = field(default_factory=hashes.SHA256)
    issuer: x509.Name = AUTHORITY.subject
    subject: x509.Name = profile.DEVICE_SUBJECT
    not_before: datetime = NOW - timedelta(hours=1)
    not_after: datetime = NOW + YEAR
    serial: int = 77
    purposes: tuple[x509.ObjectIdentifier, ...] | None = profile.DEVICE_PURPOSES
    usage: x509.KeyUsage | None = field(default_factory=lambda: profile.key_usage(digital_signature=True))
    constraints: x509.BasicConstraints | None = field(
        default_factory=lambda: x509.BasicConstraints(ca=False, path_length=None)
    )
    alternative_name: str | None = "urn:uuid:5492d62c-1fb7-4a8f-adf2-beff3b0c482f"
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    def certificate(self) -> x509.Certificate:
        identifier = AUTHORITY.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.public_key)
            .serial_number(self.serial)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
        )
        optional: list[tuple[x509.ExtensionType | None, bool]] = [
            (self.constraints, True),
            (self.usage, True),
            (x509.ExtendedKeyUsage(self.purposes) if self.purposes else None, False),
            (
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.alternative_name)])
                if self.alternative_name
                else None,
                False,
            ),
            *self.more,
        ]
        for extension, critical in optional:
            if extension is not None:
                builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.signing_key, self.algorithm)

    def der(self) -> bytes:
        certificate = self.certificate()
        if isinstance(self.signing_key, ec.EllipticCurvePrivateKey) and self.algorithm.name == "sha256":
            return profile.canonical_der(certificate)
        return der_of(certificate)


METER = (profile.octet_string_extension(profile.OID_METER_PSEUDONYM, PSEUDONYM), False)
CONNECTION = (profile.octet_string_extension(profile.OID_CONNECTION, Connection(9_000, 3).to_bytes()), False)


def craft_identity(**changes: Any) -> Craft:
    fields: dict[str, Any] = {
        "subject": profile.identity_subject(PERSON, "1ESY 116-0123"),
        "purposes": profile.IDENTITY_PURPOSES,
        "more": (METER, CONNECTION),
    }
    return Craft(**(fields | changes))


def judge(der: bytes, at: datetime = NOW, revoked: tuple[int, ...] = ()) -> VerifiedDevice:
    return verify_device(der, AUTHORITY, at, revoked)


def judge_identity(der: bytes, **changes: Any) -> VerifiedIdentity:
    expected = {"device_public_key": DEVICE_KEY.public_key_compressed(), "meter_pseudonym": PSEUDONYM}
    return verify_identity(der, AUTHORITY, NOW, (), **(expected | changes))


def refused(der: bytes, code: RefusalCode, **how: Any) -> None:
    with pytest.raises(CertificateRefused) as caught:
        judge(der, **how)
    assert caught.value.code == code
    assert caught.value.sentence == str(caught.value)
    assert str(caught.value).endswith((".", "?"))


def refused_identity(der: bytes, code: RefusalCode, **changes: Any) -> None:
    with pytest.raises(CertificateRefused) as caught:
        judge_identity(der, **changes)
    assert caught.value.code == code


class TestParticipantId:
    def test_is_the_first_160_bits_of_sha256_of_the_certificate(self) -> None:
        der = Craft().der()
        assert participant_id(der) == hashlib.sha256(der).digest()[:20]

    def test_is_shown_as_ten_groups_of_four_hex_digits(self) -> None:
        text = lfdi_text(bytes(range(20)))
        assert text == "0001-0203-0405-0607-0809-0A0B-0C0D-0E0F-1011-1213"

    @given(st.binary(min_size=20, max_size=20), st.sampled_from(["", " ", "-", "\n"]))
    def test_reads_back_what_it_shows(self, participant: bytes, gap: str) -> None:
        text = lfdi_text(participant)
        assert parse_lfdi(text) == parse_lfdi(text.replace("-", gap).lower()) == participant

    @pytest.mark.parametrize("text", ["", "00" * 19, "00" * 21, "zz" * 20, "٠" * 40])
    def test_refuses_what_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="40 hex digits"):
            parse_lfdi(text)

    def test_shows_only_20_bytes(self) -> None:
        with pytest.raises(ValueError, match="20 bytes"):
            lfdi_text(b"\0" * 32)


class TestDevice:
    def test_a_genuine_one_passes(self) -> None:
        der = issuing.build_device(
            AUTHORITY, AUTHORITY_KEY, DEVICE_KEY.public_key(), Validity(NOW, 365), serial=5
        )
        device = judge(der)
        assert device == VerifiedDevice(
            participant_id(der), DEVICE_KEY.public_key_compressed(), 5, NOW + timedelta(days=365)
        )

    def test_the_crafted_one_passes_unchanged(self) -> None:
        assert judge(Craft().der()).serial == 77

    def test_a_renewal_keeps_the_participant_id(self) -> None:
        kept = bytes(range(20))
        der = issuing.build_device(
            AUTHORITY,
            AUTHORITY_KEY,
            OTHER_KEY.public_key(),
            Validity(NOW, 365),
            serial=6,
            kept_participant_id=kept,
        )
        assert judge(der).participant_id == kept != participant_id(der)

    def test_it_holds_no_personal_data(self) -> None:
        der = issuing.build_device(
            AUTHORITY, AUTHORITY_KEY, DEVICE_KEY.public_key(), Validity(NOW, 365), serial=5
        )
        subject = x509.load_der_x509_certificate(der).subject
        assert [(item.oid, item.value) for item in subject] == [(NameOID.COMMON_NAME, "meter")]

    @pytest.mark.parametrize("size", [profile.CERTIFICATE_BYTES_MAX + 1, 1_000_000])
    def test_oversize(self, size: int) -> None:
        refused(b"\x30" * size, RefusalCode.OVERSIZE)

    def test_a_genuine_certificate_grown_beyond_the_limit_is_oversize(self) -> None:
        padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x" * 4096)
        refused(Craft(more=((padding, False),)).der(), RefusalCode.OVERSIZE)

    @given(st.binary(max_size=300))
    def test_garbage(self, der: bytes) -> None:
        with pytest.raises(CertificateRefused):
            judge(der)

    @given(st.integers(0, 600), st.integers(1, 255))
    def test_any_flipped_byte_is_refused(self, place: int, mask: int) -> None:
        der = bytearray(GENUINE)
        der[place % len(der)] ^= mask
        with pytest.raises(CertificateRefused):
            judge(bytes(der))

    @given(st.integers(0, 600))
    def test_any_cut_is_garbage(self, length: int) -> None:
        refused(GENUINE[: length % len(GENUINE)], RefusalCode.GARBAGE)

    @pytest.mark.parametrize(
        ("genuine", "altered"),
        [("a003020102", "a003020103"), ("02014d", "0201cd"), ("02014d", "020100")],
        ids=["version 4", "negative serial", "serial 0"],
    )
    def test_fields_that_the_parser_itself_stumbles_over(self, genuine: str, altered: str) -> None:
        der = GENUINE.replace(bytes.fromhex(genuine), bytes.fromhex(altered), 1)
        assert der != GENUINE
        refused(der, RefusalCode.GARBAGE)
        with pytest.raises(CertificateRefused):
            load_authority(_pem_around(der))

    def test_something_behind_it_is_garbage(self) -> None:
        refused(GENUINE + b"\0", RefusalCode.GARBAGE)

    @pytest.mark.parametrize(
        "public_key",
        [
            ec.generate_private_key(ec.SECP384R1()).public_key(),
            ec.generate_private_key(ec.SECP256K1()).public_key(),
            ed25519.Ed25519PrivateKey.generate().public_key(),
            rsa.generate_private_key(65537, 2048).public_key(),
        ],
        ids=["P-384", "secp256k1", "Ed25519", "RSA"],
    )
    def test_wrong_curve(self, public_key: Any) -> None:
        refused(Craft(public_key=public_key).der(), RefusalCode.WRONG_CURVE)

    @pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA512()], ids=["SHA-224", "SHA-512"])
    def test_weak_or_other_hash(self, algorithm: hashes.HashAlgorithm) -> None:
        refused(Craft(algorithm=algorithm).der(), RefusalCode.WEAK_HASH)

    def test_sha1(self) -> None:
        # No library signs with SHA-1 any more, so the two algorithm fields are rewritten; the
        # refusal comes before the signature is looked at.
        sha256, sha1 = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")
        certificate = Craft().certificate()
        body = profile._der(0x30, _content(certificate.tbs_certificate_bytes).replace(sha256, sha1))
        signature = profile._der(0x03, b"\0" + certificate.signature)
        refused(profile._der(0x30, body + sha1 + signature), RefusalCode.WEAK_HASH)

    @pytest.mark.parametrize("name", ["Sunny Lane", "Another Lane"])
    def test_another_authority_even_of_the_same_name(self, name: str) -> None:
        key = DeviceKey.generate()
        impostor = issuing.build_authority(key, name, Validity(NOW, 3650))
        der = issuing.build_device(impostor, key, DEVICE_KEY.public_key(), Validity(NOW, 365), serial=5)
        refused(der, RefusalCode.WRONG_ISSUER)

    def test_signed_by_a_member_instead_of_the_authority(self) -> None:
        refused(Craft(signing_key=OTHER_KEY.private_key).der(), RefusalCode.WRONG_ISSUER)

    def test_the_authority_itself_is_no_device(self) -> None:
        refused(der_of(AUTHORITY), RefusalCode.IS_CA)

    def test_ca_bit(self) -> None:
        craft = Craft(constraints=x509.BasicConstraints(ca=True, path_length=None))
        refused(craft.der(), RefusalCode.IS_CA)

    @pytest.mark.parametrize("missing", ["constraints", "usage", "purposes"])
    def test_a_missing_restriction(self, missing: str) -> None:
        changes: dict[str, Any] = {missing: None}
        refused(Craft(**changes).der(), RefusalCode.WRONG_KEY_USAGE)

    @pytest.mark.parametrize(
        "usage",
        [profile.key_usage(), profile.key_usage(digital_signature=True, authority=True)],
        ids=["signs nothing", "signs certificates"],
    )
    def test_wrong_key_usage(self, usage: x509.KeyUsage) -> None:
        refused(Craft(usage=usage).der(), RefusalCode.WRONG_KEY_USAGE)

    @pytest.mark.parametrize(
        "purposes",
        [
            (ExtendedKeyUsageOID.CLIENT_AUTH,),
            (ExtendedKeyUsageOID.SERVER_AUTH,),
            (ExtendedKeyUsageOID.CODE_SIGNING,),
            (*profile.DEVICE_PURPOSES, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
            (*profile.DEVICE_PURPOSES, *profile.IDENTITY_PURPOSES),
        ],
    )
    def test_wrong_purpose(self, purposes: tuple[x509.ObjectIdentifier, ...]) -> None:
        refused(Craft(purposes=purposes).der(), RefusalCode.WRONG_KEY_USAGE)

    def test_an_identity_certificate_is_no_device(self) -> None:
        refused(craft_identity().der(), RefusalCode.WRONG_KEY_USAGE)

    def test_not_yet_valid_and_expired_to_the_second(self) -> None:
        der, second = Craft().der(), timedelta(seconds=1)
        start, end = NOW - timedelta(hours=1), NOW + YEAR
        refused(der, RefusalCode.NOT_YET_VALID, at=start - second)
        judge(der, at=start)
        judge(der, at=end)
        refused(der, RefusalCode.EXPIRED, at=end + second)

    def test_the_moment_may_be_in_any_time_zone_but_needs_one(self) -> None:
        east = NOW.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00+05:00").tzinfo)
        assert judge(GENUINE, at=east) == judge(GENUINE)
        with pytest.raises(ValueError, match="time zone"):
            judge(GENUINE, at=NOW.replace(tzinfo=None))

    def test_an_expired_authority_vouches_for_nobody(self) -> None:
        der = Craft(not_after=NOW + 9 * YEAR).der()
        refused(der, RefusalCode.PATH, at=NOW + 6 * YEAR)

    def test_the_path_verifier_is_asked_too(self) -> None:
        refused(Craft(alternative_name=None).der(), RefusalCode.PATH)

    def test_an_unknown_critical_extension(self) -> None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
        judge(Craft(more=((unknown, False),)).der())
        refused(Craft(more=((unknown, True),)).der(), RefusalCode.PATH)

    def test_revoked(self) -> None:
        refused(GENUINE, RefusalCode.REVOKED, revoked=(1, 77))

    def test_a_kept_participant_id_of_another_length(self) -> None:
        kept = profile.octet_string_extension(profile.OID_KEPT_PARTICIPANT_ID, b"x" * 19)
        refused(Craft(more=((kept, False),)).der(), RefusalCode.WRONG_CONTENT)

    def test_the_twin_signature_makes_no_second_participant(self) -> None:
        certificate = x509.load_der_x509_certificate(GENUINE)
        r, s = decode_dss_signature(certificate.signature)
        twin_signature = encode_dss_signature(r, P256_ORDER - s)
        head = certificate.tbs_certificate_bytes + bytes.fromhex("300a06082a8648ce3d040302")
        twin = profile._der(0x30, head + profile._der(0x03, b"\0" + twin_signature))
        x509.load_der_x509_certificate(twin).verify_directly_issued_by(AUTHORITY)
        assert participant_id(twin) != participant_id(GENUINE)
        refused(twin, RefusalCode.NOT_CANONICAL)


class TestIdentity:
    def test_a_genuine_one_passes(self) -> None:
        der = issuing.build_identity(
            AUTHORITY,
            AUTHORITY_KEY,
            DEVICE_KEY.public_key(),
            Validity(NOW, 365),
            serial=9,
            person=PERSON,
            meter_serial="1ESY 116-0123",
            meter_pseudonym=PSEUDONYM,
            connection=Connection(9_000, 3),
        )
        identity = judge_identity(der, connection=Connection(9_000, 3))
        assert identity.person == PERSON
        assert identity.meter_serial == "1ESY 116-0123"
        assert identity.serial == 9
        assert len(der) < profile.CERTIFICATE_BYTES_MAX

    def test_the_crafted_one_passes_unchanged(self) -> None:
        assert judge_identity(craft_identity().der()).meter_pseudonym == PSEUDONYM

    def test_for_another_device_key(self) -> None:
        der = craft_identity(public_key=OTHER_KEY.public_key()).der()
        refused_identity(der, RefusalCode.MISMATCH)

    def test_forged_pseudonym_in_the_request(self) -> None:
        refused_identity(craft_identity().der(), RefusalCode.MISMATCH, meter_pseudonym=b"x" * 32)

    def test_no_or_malformed_pseudonym(self) -> None:
        short = profile.octet_string_extension(profile.OID_METER_PSEUDONYM, PSEUDONYM[:31])
        no_der = x509.UnrecognizedExtension(profile.OID_METER_PSEUDONYM, b"\x05\x20" + PSEUDONYM)
        for more in ((), ((short, False),), ((no_der, False),)):
            refused_identity(craft_identity(more=(*more, CONNECTION)).der(), RefusalCode.WRONG_CONTENT)

    def test_no_or_malformed_connection(self) -> None:
        for content in (b"", bytes(7), bytes(8)):
            wrong = profile.octet_string_extension(profile.OID_CONNECTION, content)
            refused_identity(craft_identity(more=(METER, (wrong, False))).der(), RefusalCode.WRONG_CONTENT)
        refused_identity(craft_identity(more=(METER,)).der(), RefusalCode.WRONG_CONTENT)

    @pytest.mark.parametrize("claimed", [Connection(9_001, 3), Connection(9_000, 4)])
    def test_another_connection_in_the_request(self, claimed: Connection) -> None:
        assert judge_identity(craft_identity().der()).connection == Connection(9_000, 3)
        refused_identity(craft_identity().der(), RefusalCode.MISMATCH, connection=claimed)

    def test_a_device_certificate_is_no_identity(self) -> None:
        refused_identity(GENUINE, RefusalCode.WRONG_KEY_USAGE)

    @pytest.mark.parametrize("subject", [profile.DEVICE_SUBJECT, x509.Name([])])
    def test_another_subject(self, subject: x509.Name) -> None:
        # An empty subject wants a critical alternative name; ours is read before that matters.
        refused_identity(craft_identity(subject=subject).der(), RefusalCode.WRONG_CONTENT)

    def test_attributes_in_another_order(self) -> None:
        attributes = list(profile.identity_subject(PERSON, "1"))
        der = craft_identity(subject=x509.Name(attributes[::-1])).der()
        refused_identity(der, RefusalCode.WRONG_CONTENT)

    def test_expired_revoked_or_of_another_authority(self) -> None:
        refused_identity(craft_identity(not_after=NOW - timedelta(minutes=1)).der(), RefusalCode.EXPIRED)
        refused_identity(craft_identity(signing_key=OTHER_KEY.private_key).der(), RefusalCode.WRONG_ISSUER)
        with pytest.raises(CertificateRefused) as caught:
            verify_identity(
                craft_identity().der(),
                AUTHORITY,
                NOW,
                {77},
                device_public_key=DEVICE_KEY.public_key_compressed(),
                meter_pseudonym=PSEUDONYM,
            )
        assert caught.value.code is RefusalCode.REVOKED

    def test_a_repr_shows_nobody(self) -> None:
        identity = judge_identity(craft_identity().der())
        assert "Jörg" not in repr(identity)
        assert "Sonnenweg" not in repr(identity)


class TestAuthorityCertificate:
    def test_loads_from_pem(self) -> None:
        pem = AUTHORITY.public_bytes(serialization.Encoding.PEM)
        assert load_authority(pem) == AUTHORITY
        assert pem_of(der_of(AUTHORITY)) == pem

    @pytest.mark.parametrize(
        ("pem", "code"),
        [
            (b"", RefusalCode.GARBAGE),
            (b"x" * 10_000, RefusalCode.OVERSIZE),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", RefusalCode.GARBAGE),
        ],
    )
    def test_garbage(self, pem: bytes, code: RefusalCode) -> None:
        with pytest.raises(CertificateRefused) as caught:
            load_authority(pem)
        assert caught.value.code is code

    def test_a_device_or_another_curve_is_none(self) -> None:
        other = ec.generate_private_key(ec.SECP384R1())
        on_p384 = Craft(public_key=other.public_key(), constraints=x509.BasicConstraints(True, 0))
        for der, code in (
            (GENUINE, RefusalCode.WRONG_KEY_USAGE),
            (on_p384.der(), RefusalCode.WRONG_CURVE),
            (Craft(constraints=None).der(), RefusalCode.GARBAGE),
        ):
            with pytest.raises(CertificateRefused) as caught:
                load_authority(pem_of(der))
            assert caught.value.code is code


def _content(der: bytes) -> bytes:
    """What is inside a DER value with a length of one to three bytes."""
    return der[2:] if der[1] < 0x80 else der[2 + (der[1] & 0x7F) :]


def _pem_around(der: bytes) -> bytes:
    """PEM without parsing, for what a loader would refuse."""
    return ssl.DER_cert_to_PEM_cert(der).encode()


GENUINE = Craft().der()
