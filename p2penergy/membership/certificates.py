"""Certificates of the other side: bytes in, a verified device or identity out, or a refusal.

What lives here: the participant id, and the checks that a device certificate (TLS, signatures)
or an identity certificate (read by verifiers only) has to pass. What never does: files, clocks
(the moment of judgement is an argument), issuing. Implements LEDGER section 2 and paper 2.2.1
and 5.2 on the curve of CONSENSUS section 1.

Invariant: a ``Verified...`` value is made by :func:`verify_device` and :func:`verify_identity`
alone, so that holding one means that every check has passed. The library's path verifier knows
no revocation, so the caller gives the revoked serial numbers. An identity certificate never
passes as a device: it would be a second participant for one household, and would show a name to
every peer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.oid import SignatureAlgorithmOID

from p2penergy.membership import profile
from p2penergy.membership.errors import CertificateRefused, RefusalCode
from p2penergy.membership.profile import Connection, Person
from p2penergy.signing import public_key_bytes

E = TypeVar("E", bound=x509.ExtensionType)

# What the parser raises for bytes that a peer made up. An unknown version is no ValueError there,
# and a serial number below one is only a warning, which counts where warnings are errors; where
# they are not, the signature does not verify.
_UNREADABLE = (ValueError, x509.InvalidVersion, CryptographyDeprecationWarning)


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """A device certificate as issued: no personal data, gives the participant id."""

    der: bytes
    serial: int
    participant_id: bytes

    @property
    def pem(self) -> bytes:
        """The same certificate as PEM, as TLS libraries load it."""
        return pem_of(self.der)


@dataclass(frozen=True, slots=True)
class IdentityCertificate:
    """An identity certificate as issued: person, meter serial and the device key it names."""

    der: bytes
    serial: int
    meter_pseudonym: bytes

    @property
    def pem(self) -> bytes:
        """The same certificate as PEM."""
        return pem_of(self.der)


@dataclass(frozen=True, slots=True)
class VerifiedDevice:
    """A device whose certificate passed every check.

    ``public_key`` is 33 bytes, compressed; ``participant_id`` is 20 bytes and stays the same
    through renewals; ``serial`` is that of the certificate shown.
    """

    participant_id: bytes
    public_key: bytes
    serial: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """A person and a meter, bound by the authority to one device key; for verifiers only."""

    person: Person
    meter_serial: str
    meter_pseudonym: bytes
    connection: Connection
    device_public_key: bytes
    serial: int
    not_after: datetime


def participant_id(certificate_der: bytes) -> bytes:
    """The LFDI of IEEE 2030.5: the first 160 bits of SHA-256 of the first device certificate."""
    return hashlib.sha256(certificate_der).digest()[: profile.PARTICIPANT_ID_BYTES]


def lfdi_text(participant: bytes) -> str:
    """40 hex digits in ten groups of four, for people."""
    if len(participant) != profile.PARTICIPANT_ID_BYTES:
        raise ValueError(f"a participant id has 20 bytes, not {len(participant)}")
    return participant.hex("-", 2).upper()


def parse_lfdi(text: str) -> bytes:
    """The 20 bytes of a participant id as people write it: spaces, dashes and case are free."""
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9A-Fa-f]{40}", digits):
        raise ValueError(
            f"{text[:60]!r} is not a participant id: it has 40 hex digits, "
            "with spaces or dashes between them if you like"
        )
    return bytes.fromhex(digits)


def pem_of(der: bytes) -> bytes:
    """A DER certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def der_of(certificate: x509.Certificate) -> bytes:
    """A loaded certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def load_authority(pem: bytes) -> x509.Certificate:
    """The community's authority from its PEM; raises CertificateRefused when it can't be one."""
    if len(pem) > 2 * profile.CERTIFICATE_BYTES_MAX:
        raise CertificateRefused(RefusalCode.OVERSIZE, "The authority's certificate is too large.")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        extensions = certificate.extensions
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (*_UNREADABLE, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise CertificateRefused(
            RefusalCode.GARBAGE, "This is not the PEM certificate of an authority."
        ) from None
    _p256_key(certificate)
    if not is_ca:
        raise CertificateRefused(
            RefusalCode.WRONG_KEY_USAGE, "This certificate may not issue others: give ca.pem."
        )
    return certificate


def verify_device(
    der: bytes, authority: x509.Certificate, at: datetime, revoked: Container[int]
) -> VerifiedDevice:
    """Judge a device certificate at the moment ``at`` (aware).

    ``revoked`` holds the serial numbers that the authority took back. Raises
    :class:`CertificateRefused`.
    """
    certificate, key, extensions = _open(der, authority)
    _check_usage(extensions, profile.DEVICE_PURPOSES)
    kept = _private(extensions, profile.OID_KEPT_PARTICIPANT_ID, profile.PARTICIPANT_ID_BYTES)
    _check_validity(certificate, authority, at, _DEVICE_POLICY)
    _check_revoked(certificate, revoked)
    return VerifiedDevice(
        participant_id=participant_id(der) if kept is None else kept,
        public_key=public_key_bytes(key),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )


def verify_identity(
    der: bytes,
    authority: x509.Certificate,
    at: datetime,
    revoked: Container[int],
    *,
    device_public_key: bytes,
    meter_pseudonym: bytes,
    connection: Connection | None = None,
) -> VerifiedIdentity:
    """Judge an identity certificate against the device key and the request that it came with.

    ``device_public_key`` (33 bytes) comes from the newcomer's verified device certificate,
    ``meter_pseudonym`` (32 bytes) and ``connection`` from its request; a renewal names no
    connection. Raises :class:`CertificateRefused`, with code ``mismatch`` when they do not belong
    together.
    """
    certificate, key, extensions = _open(der, authority)
    _check_usage(extensions, profile.IDENTITY_PURPOSES)
    written = _private(extensions, profile.OID_METER_PSEUDONYM, profile.METER_PSEUDONYM_BYTES)
    try:
        person, meter_serial = profile.parse_identity_subject(certificate.subject)
    except ValueError as error:
        raise CertificateRefused(RefusalCode.WRONG_CONTENT, f"{error}.") from None
    if written is None:
        raise CertificateRefused(
            RefusalCode.WRONG_CONTENT, "The identity certificate has no meter pseudonym."
        )
    certified = _connection(extensions)
    _check_validity(certificate, authority, at, _IDENTITY_POLICY)
    _check_revoked(certificate, revoked)
    if not hmac.compare_digest(public_key_bytes(key), device_public_key):
        raise CertificateRefused(RefusalCode.MISMATCH, "The identity certificate names another device's key.")
    if not hmac.compare_digest(written, meter_pseudonym):
        raise CertificateRefused(
            RefusalCode.MISMATCH, "The request's meter pseudonym is not the authority's."
        )
    if connection not in (None, certified):
        raise CertificateRefused(
            RefusalCode.MISMATCH, "The request's rated power or street is not what the authority certified."
        )
    return VerifiedIdentity(
        person=person,
        meter_serial=meter_serial,
        meter_pseudonym=written,
        connection=certified,
        device_public_key=device_public_key,
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )


def _open(
    der: bytes, authority: x509.Certificate
) -> tuple[x509.Certificate, ec.EllipticCurvePublicKey, x509.Extensions]:
    """Parse, and check all that needs neither time nor purpose; the signature comes early.

    Nothing past the signature is read before it is verified, so whatever is interpreted
    afterwards was written by the authority.
    """
    if len(der) > profile.CERTIFICATE_BYTES_MAX:
        raise CertificateRefused(
            RefusalCode.OVERSIZE,
            f"The certificate has {len(der)} bytes; {profile.CERTIFICATE_BYTES_MAX} is the limit.",
        )
    try:
        certificate = x509.load_der_x509_certificate(der)
    except _UNREADABLE:
        raise CertificateRefused(RefusalCode.GARBAGE, "These bytes are not a certificate in DER.") from None
    key = _p256_key(certificate)
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise CertificateRefused(
            RefusalCode.WEAK_HASH, "The certificate is not signed with ECDSA and SHA-256."
        )
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise CertificateRefused(
            RefusalCode.WRONG_ISSUER, "The certificate was not issued by this community's authority."
        ) from None
    if profile.canonical_der(certificate) != der:
        raise CertificateRefused(
            RefusalCode.NOT_CANONICAL,
            "The certificate is not in its one canonical encoding (strict DER, low s).",
        )
    try:
        return certificate, key, certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise CertificateRefused(RefusalCode.GARBAGE, "The certificate's extensions can't be read.") from None


def _p256_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefused(RefusalCode.WRONG_CURVE, "The certificate's key is not a P-256 key.")
    return key


def _check_usage(extensions: x509.Extensions, purposes: tuple[x509.ObjectIdentifier, ...]) -> None:
    """Exactly the profile: not an authority, signs only, and for these purposes only."""
    if _present(extensions, x509.BasicConstraints).ca:
        raise CertificateRefused(RefusalCode.IS_CA, "The certificate is an authority's, not a meter's.")
    usage = _present(extensions, x509.KeyUsage)
    extended = _present(extensions, x509.ExtendedKeyUsage)
    if usage != profile.key_usage(digital_signature=True):
        raise CertificateRefused(RefusalCode.WRONG_KEY_USAGE, "The certificate's key may do other than sign.")
    if set(extended) != set(purposes):
        raise CertificateRefused(
            RefusalCode.WRONG_KEY_USAGE, "The certificate was issued for another purpose."
        )


def _present(extensions: x509.Extensions, kind: type[E]) -> E:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        raise CertificateRefused(
            RefusalCode.WRONG_KEY_USAGE, f"The certificate has no {kind.__name__} extension."
        ) from None


def _private(extensions: x509.Extensions, oid: x509.ObjectIdentifier, length_bytes: int) -> bytes | None:
    try:
        return profile.read_octet_string(extensions, oid, length_bytes)
    except ValueError as error:
        raise CertificateRefused(RefusalCode.WRONG_CONTENT, f"{error}.") from None


def _connection(extensions: x509.Extensions) -> Connection:
    content = _private(extensions, profile.OID_CONNECTION, profile.CONNECTION_BYTES)
    if content is None:
        raise CertificateRefused(RefusalCode.WRONG_CONTENT, "The identity certificate names no connection.")
    try:
        return Connection.from_bytes(content)
    except ValueError as error:
        raise CertificateRefused(RefusalCode.WRONG_CONTENT, f"{error}.") from None


def _check_validity(
    certificate: x509.Certificate,
    authority: x509.Certificate,
    at: datetime,
    policy: verification.ExtensionPolicy,
) -> None:
    if at.tzinfo is None:
        raise ValueError("the moment of judgement needs a time zone")
    if at < certificate.not_valid_before_utc:
        raise CertificateRefused(
            RefusalCode.NOT_YET_VALID,
            f"The certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} "
            "UTC; is this machine's clock right?",
        )
    if at > certificate.not_valid_after_utc:
        raise CertificateRefused(
            RefusalCode.EXPIRED,
            f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; "
            "ask the authority for a renewal.",
        )
    try:
        verification.PolicyBuilder().store(verification.Store([authority])).time(
            at.astimezone(UTC)
        ).max_chain_depth(0).extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy
        ).build_client_verifier().verify(certificate, [])
    except verification.VerificationError as error:
        raise CertificateRefused(
            RefusalCode.PATH, f"The way from the certificate to the authority fails: {error}."
        ) from None


def _check_revoked(certificate: x509.Certificate, revoked: Container[int]) -> None:
    if certificate.serial_number in revoked:
        raise CertificateRefused(
            RefusalCode.REVOKED,
            f"The authority revoked certificate {certificate.serial_number:x}.",
        )


def _purpose_was_checked(
    _policy: verification.Policy, _leaf: x509.Certificate, _usage: x509.ExtendedKeyUsage
) -> None:
    """The library's own rule wants clientAuth, which an identity must not have."""


_DEVICE_POLICY = verification.ExtensionPolicy.webpki_defaults_ee()
_IDENTITY_POLICY = _DEVICE_POLICY.require_present(
    x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _purpose_was_checked
)
