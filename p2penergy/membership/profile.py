"""What the community's certificates look like: names, object identifiers, limits, canonical form.

Shared by the side that issues (``issuing``) and the side that verifies (``certificates``), so
that the two can't drift apart. Pure: no files, no clock, no keys. Implements the formats of
LEDGER section 2 (two certificates per household) on the curve of CONSENSUS section 1.

Private object identifiers lie under one UUID in the arc 2.25, which needs no registration::

    2.25.<uuid>.1   purpose "identity certificate" (extended key usage)
    2.25.<uuid>.2   extension: meter pseudonym, OCTET STRING of 32 bytes
    2.25.<uuid>.3   extension: participant id that a renewed device certificate keeps,
                    OCTET STRING of 20 bytes
    2.25.<uuid>.4   subject attribute: how to reach the person (telephone, mail, ...)
    2.25.<uuid>.5   extension: the meter's connection to the grid, OCTET STRING of 8 bytes: rated power in W
                    and number of the street or feeder, unsigned, big-endian

Invariant: a certificate that is accepted has exactly one encoding. The participant id is a hash
over the whole certificate, signature included, and an ECDSA signature (r, s) has a twin (r, n-s)
that verifies as well: without :func:`canonical_der` every household could turn one certificate
into two participants.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE_BYTES_MAX: Final = 4096
PARTICIPANT_ID_BYTES: Final = 20
METER_PSEUDONYM_BYTES: Final = 32
NAME_BYTES_MAX: Final = 64  # the upper bound of X.520 for a common name
ADDRESS_BYTES_MAX: Final = 128
CONTACT_BYTES_MAX: Final = 128
METER_SERIAL_BYTES_MAX: Final = 64
CONNECTION_BYTES: Final = 8
RATED_W: Final = 30_000  # a household's connection, where the authority says nothing else

_ARC: Final = f"2.25.{uuid.UUID('6f1f2a0e-5d3c-4b43-9a55-2c0c5a1d7e10').int}"
OID_IDENTITY_PURPOSE: Final = x509.ObjectIdentifier(f"{_ARC}.1")
OID_METER_PSEUDONYM: Final = x509.ObjectIdentifier(f"{_ARC}.2")
OID_KEPT_PARTICIPANT_ID: Final = x509.ObjectIdentifier(f"{_ARC}.3")
OID_CONTACT: Final = x509.ObjectIdentifier(f"{_ARC}.4")
OID_CONNECTION: Final = x509.ObjectIdentifier(f"{_ARC}.5")

DEVICE_PURPOSES: Final = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
IDENTITY_PURPOSES: Final = (OID_IDENTITY_PURPOSE,)
DEVICE_SUBJECT: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meter")])

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA_WITH_SHA256_DER: Final = bytes.fromhex("300a06082a8648ce3d040302")


@dataclass(frozen=True, slots=True)
class Person:
    """Who lives behind a meter; never on the ledger, and never in a repr that a log may take."""

    name: str = field(repr=False)
    address: str = field(repr=False)
    contact: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a field that is empty, too long or not printable."""
        check_text("name", self.name, NAME_BYTES_MAX)
        check_text("address", self.address, ADDRESS_BYTES_MAX)
        check_text("contact", self.contact, CONTACT_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Connection:
    """A meter's connection to the grid, which bounds what it may report: the authority vouches for it.

    ``rated_w`` is its rated power in W, ``cluster`` the number of its street or feeder.
    """

    rated_w: int = RATED_W
    cluster: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for figures that a certificate can't carry."""
        if not 1 <= self.rated_w < 1 << 32:
            raise ValueError(f"a connection is rated at 1 to {(1 << 32) - 1} W, not {self.rated_w}")
        if not 0 <= self.cluster < 1 << 32:
            raise ValueError(f"a street or feeder has a number from 0 to {(1 << 32) - 1}")

    def to_bytes(self) -> bytes:
        """What the extension holds."""
        return self.rated_w.to_bytes(4, "big") + self.cluster.to_bytes(4, "big")

    @classmethod
    def from_bytes(cls, content: bytes) -> Connection:
        """Inverse of :meth:`to_bytes`; raises ValueError for a rated power of 0."""
        return cls(int.from_bytes(content[:4], "big"), int.from_bytes(content[4:], "big"))


def check_text(what: str, text: str, bytes_max: int) -> None:
    """Raise ValueError unless ``text`` is 1 to ``bytes_max`` bytes of printable UTF-8."""
    if not text.strip() or not text.isprintable():
        raise ValueError(f"the {what} must be printable text of one line, and not empty")
    if len(text.encode()) > bytes_max:
        raise ValueError(f"the {what} has {len(text.encode())} bytes; {bytes_max} is the limit")


def key_usage(*, digital_signature: bool = False, authority: bool = False) -> x509.KeyUsage:
    """The two key usages that exist here: signing as a device, or issuing as the authority."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def identity_subject(person: Person, meter_serial: str) -> x509.Name:
    """The subject of an identity certificate: person and meter, in this order of attributes."""
    check_text("meter serial", meter_serial, METER_SERIAL_BYTES_MAX)
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, person.name),
            x509.NameAttribute(NameOID.STREET_ADDRESS, person.address),
            x509.NameAttribute(OID_CONTACT, person.contact),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, meter_serial),
        ]
    )


def parse_identity_subject(subject: x509.Name) -> tuple[Person, str]:
    """Inverse of :func:`identity_subject`; raises ValueError for any other subject."""
    values = [attribute.value for attribute in subject]
    if len(values) != 4 or not all(isinstance(value, str) for value in values):
        raise ValueError("an identity has a name, an address, a contact and a meter serial")
    name, address, contact, meter_serial = (str(value) for value in values)
    person = Person(name, address, contact)
    if identity_subject(person, meter_serial) != subject:
        raise ValueError("the attributes of an identity are not those of this community")
    return person, meter_serial


def octet_string_extension(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    """A private extension: ``value`` as a DER OCTET STRING."""
    return x509.UnrecognizedExtension(oid, _der(0x04, value))


def read_octet_string(
    extensions: x509.Extensions, oid: x509.ObjectIdentifier, length_bytes: int
) -> bytes | None:
    """The content of a private extension, or None when it is absent.

    Raises ValueError unless it is an OCTET STRING of exactly ``length_bytes``.
    """
    for extension in extensions:
        if extension.oid == oid and isinstance(extension.value, x509.UnrecognizedExtension):
            content = extension.value.value[2:]
            if len(content) != length_bytes or extension.value.value != _der(0x04, content):
                raise ValueError(f"extension {oid.dotted_string} is not {length_bytes} bytes")
            return content
    return None


def canonical_der(certificate: x509.Certificate) -> bytes:
    """The one accepted encoding: strict DER, ECDSA with SHA-256, the lower of the two s.

    The result verifies whenever ``certificate`` does. Raises ValueError when the signature is
    not an ECDSA signature at all.
    """
    r, s = decode_dss_signature(certificate.signature)
    signature = encode_dss_signature(r, min(s, _P256_ORDER - s))
    bit_string = _der(0x03, b"\0" + signature)
    return _der(0x30, certificate.tbs_certificate_bytes + _ECDSA_WITH_SHA256_DER + bit_string)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
