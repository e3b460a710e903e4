"""How the authority's certificates are built: three templates and the revocation list.

What lives here: turning keys, names and dates into signed bytes. What never does: files, clocks,
or the decision whether to issue (``authority``). Implements the issuing side of LEDGER section 2;
the formats are those of ``profile``, and what is built here passes ``certificates``.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from p2penergy.membership import profile
from p2penergy.membership.errors import CertificateRefused, RefusalCode
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Connection, Person

# A meter whose clock runs behind must not refuse a certificate issued a moment ago.
BACKDATED = timedelta(hours=1)
REVOCATION_LIST_BYTES_MAX = 8 * 1024 * 1024  # 50,000 entries of some 50 bytes, as PEM, and room
_PSEUDONYM_TAG = b"p2penergy/meter-pseudonym/1\0"


@dataclass(frozen=True, slots=True)
class Validity:
    """From when (aware) and for how many days a certificate holds."""

    issued_at: datetime
    days: int

    def __post_init__(self) -> None:
        """Raise ValueError for a naive moment or a span that is not positive."""
        if self.issued_at.tzinfo is None:
            raise ValueError("the moment of issuing needs a time zone")
        if not 1 <= self.days <= 36_525:
            raise ValueError(f"a certificate is valid for 1 to 36525 days, not {self.days}")

    @property
    def not_before(self) -> datetime:
        """A little before the moment of issuing."""
        return self.issued_at - BACKDATED

    @property
    def not_after(self) -> datetime:
        """The last moment."""
        return self.issued_at + timedelta(days=self.days)


def build_authority(key: DeviceKey, community_name: str, validity: Validity) -> x509.Certificate:
    """The self-signed certificate of a community's authority; it can't make further ones."""
    profile.check_text("community's name", community_name, profile.NAME_BYTES_MAX)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, community_name)])
    builder = (
        _builder(key.public_key(), name, validity, x509.random_serial_number())
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(profile.key_usage(authority=True), critical=True)
    )
    return x509.load_der_x509_certificate(_sign(builder, key))


def build_device(
    authority: x509.Certificate,
    authority_key: DeviceKey,
    public_key: ec.EllipticCurvePublicKey,
    validity: Validity,
    *,
    serial: int,
    kept_participant_id: bytes | None = None,
) -> bytes:
    """The DER of a device certificate; a renewal names the participant id that it keeps."""
    builder = _leaf(authority, public_key, profile.DEVICE_SUBJECT, validity, serial).add_extension(
        x509.ExtendedKeyUsage(profile.DEVICE_PURPOSES), critical=False
    )
    if kept_participant_id is not None:
        builder = builder.add_extension(
            profile.octet_string_extension(profile.OID_KEPT_PARTICIPANT_ID, kept_participant_id),
            critical=False,
        )
    return _sign(builder, authority_key)


def build_identity(
    authority: x509.Certificate,
    authority_key: DeviceKey,
    device_public_key: ec.EllipticCurvePublicKey,
    validity: Validity,
    *,
    serial: int,
    person: Person,
    meter_serial: str,
    meter_pseudonym: bytes,
    connection: Connection,
) -> bytes:
    """The DER of an identity certificate; its subject key is the device key that it names."""
    subject = profile.identity_subject(person, meter_serial)
    builder = (
        _leaf(authority, device_public_key, subject, validity, serial)
        .add_extension(x509.ExtendedKeyUsage(profile.IDENTITY_PURPOSES), critical=False)
        .add_extension(
            profile.octet_string_extension(profile.OID_METER_PSEUDONYM, meter_pseudonym),
            critical=False,
        )
        .add_extension(
            profile.octet_string_extension(profile.OID_CONNECTION, connection.to_bytes()), critical=False
        )
    )
    return _sign(builder, authority_key)


def build_revocation_list(
    authority: x509.Certificate,
    authority_key: DeviceKey,
    revoked: Iterable[tuple[int, datetime, x509.ReasonFlags]],
    *,
    number: int,
    issued_at: datetime,
    next_update: datetime,
) -> bytes:
    """The PEM of a revocation list; ``number`` grows with every list."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(issued_at)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key_identifier(authority), critical=False)
    )
    for serial, when, reason in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(when)
            .add_extension(x509.CRLReason(reason), critical=False)
            .build()
        )
    signed = builder.sign(authority_key.private_key, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.PEM)


class RevocationEntries(NamedTuple):
    """What a revocation list says: its own number, and the serial numbers taken back."""

    number: int
    serials: frozenset[int]


def read_revocation_list(pem: bytes, authority: x509.Certificate) -> RevocationEntries:
    """A revocation list that the authority signed.

    Raises :class:`CertificateRefused` for garbage or another signer. A list that is past its
    next update is still used: forgetting revocations would be worse than missing the newest.
    """
    if len(pem) > REVOCATION_LIST_BYTES_MAX:
        raise CertificateRefused(RefusalCode.OVERSIZE, "The revocation list is too large.")
    key = authority.public_key()
    try:
        revocations = x509.load_pem_x509_crl(pem)
        signed = isinstance(key, ec.EllipticCurvePublicKey) and revocations.is_signature_valid(key)
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm):
        raise CertificateRefused(RefusalCode.GARBAGE, "This is not a revocation list in PEM.") from None
    # Names and entries are looked at only once the authority's signature is known to be on them.
    if not signed or revocations.issuer != authority.subject:
        raise CertificateRefused(
            RefusalCode.WRONG_ISSUER, "The revocation list is not signed by this authority."
        )
    try:
        number = revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound):
        raise CertificateRefused(RefusalCode.WRONG_CONTENT, "The revocation list has no number.") from None
    return RevocationEntries(number, frozenset(entry.serial_number for entry in revocations))


def meter_pseudonym(community_secret: bytes, meter_serial: str) -> bytes:
    """HMAC-SHA-256 of the serial: 32 bytes that only the authority can link to a meter.

    Letters and digits alone count, in one case, so that a serial typed with other spaces or
    dashes does not become a second meter. Raises ValueError when there are none.
    """
    profile.check_text("meter serial", meter_serial, profile.METER_SERIAL_BYTES_MAX)
    folded = unicodedata.normalize("NFKC", meter_serial).casefold()
    plain = "".join(character for character in folded if character.isalnum())
    if not plain:
        raise ValueError("a meter serial has letters or digits")
    return hmac.new(community_secret, _PSEUDONYM_TAG + plain.encode(), hashlib.sha256).digest()


def _builder(
    public_key: ec.EllipticCurvePublicKey, subject: x509.Name, validity: Validity, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _leaf(
    authority: x509.Certificate,
    public_key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    validity: Validity,
    serial: int,
) -> x509.CertificateBuilder:
    # The path verifier wants an alternative name; this one repeats the serial number, so that it
    # tells nothing new.
    urn = uuid.UUID(bytes=hashlib.sha256(serial.to_bytes(20, "big")).digest()[:16], version=4).urn
    return (
        _builder(public_key, subject, validity, serial)
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(profile.key_usage(digital_signature=True), critical=True)
        .add_extension(_authority_key_identifier(authority), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn)]), critical=False)
    )


def _authority_key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _sign(builder: x509.CertificateBuilder, key: DeviceKey) -> bytes:
    return profile.canonical_der(builder.sign(key.private_key, hashes.SHA256(), ecdsa_deterministic=True))
