"""TLS 1.3 with certificates on both sides, and nothing older.

Lives here: our TLS identity (two contexts made of the device certificate, its key and the
community's authorities) and the translation of TLS failures into counted codes.
Never here: what a certificate means. The mesh hands the peer's certificate to an `identify`
callable given by the layer above, which also looks at revocation.
Invariants: a peer without a certificate that leads to one of our authorities never gets past the
handshake; each connection shows its certificate afresh, since sessions are not resumed; host
names are not looked at, because a peer is its certificate wherever it is dialled.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from transport.errors import TlsIdentityError, TlsRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

PemSource = bytes | str | Path
"""PEM text as bytes, or the path of a file that holds it."""


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """Who we are to our peers, and whom we believe. Made by `load`."""

    certificate_der: bytes
    server_context: ssl.SSLContext
    client_context: ssl.SSLContext

    @classmethod
    def load(cls, certificate: PemSource, key: PemSource, authorities: Sequence[PemSource]) -> TlsIdentity:
        """Build the identity.

        `certificate` may be followed by intermediate ones. Raises TlsIdentityError when a part
        is missing or malformed, the key is not on P-256, or key and certificate do not fit.
        """
        certificate_pem = _read(certificate, "device certificate")
        key_pem = _read(key, "device key")
        leaf = _parse_certificates(certificate_pem, "device certificate")[0]
        _check_key(key_pem, leaf)
        if not authorities:
            raise TlsIdentityError("no community authority was given: no peer could be believed")
        authority_pem = b"\n".join(_read(source, "community authority") for source in authorities)
        _parse_certificates(authority_pem, "community authority")
        return cls(
            certificate_der=leaf.public_bytes(Encoding.DER),
            server_context=_context(ssl.PROTOCOL_TLS_SERVER, certificate_pem, key_pem, authority_pem),
            client_context=_context(ssl.PROTOCOL_TLS_CLIENT, certificate_pem, key_pem, authority_pem),
        )


def tls_refusal(error: ssl.SSLError) -> TlsRefused:
    """Translate a failed handshake into its code."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsRefused("tls_certificate", error.verify_message)
    # Only errors that OpenSSL made carry a reason.
    reason: str | None = getattr(error, "reason", None)
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return TlsRefused("tls_no_certificate", "the peer showed no certificate")
    return TlsRefused("tls_handshake", reason or str(error))


def _context(purpose: int, certificate_pem: bytes, key_pem: bytes, authority_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if purpose == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    # The ssl module reads a chain from files only: a private directory, gone at once.
    with tempfile.TemporaryDirectory(prefix="tls-") as directory:
        certificate_file, key_file = Path(directory, "certificate"), Path(directory, "key")
        certificate_file.write_bytes(certificate_pem)
        key_file.touch(mode=0o600)
        key_file.write_bytes(key_pem)
        try:
            context.load_cert_chain(certificate_file, key_file)
        except ssl.SSLError as error:
            raise TlsIdentityError(f"OpenSSL refuses the device certificate: {error}") from None
    return context


def _read(source: PemSource, what: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TlsIdentityError(f"the {what} {source} cannot be read: {error.strerror}") from None


def _parse_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsIdentityError(f"the {what} is not a PEM certificate: {error}") from None


def _check_key(key_pem: bytes, leaf: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise TlsIdentityError(f"the device key is not a plain PEM key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != ec.SECP256R1.name:
        raise TlsIdentityError("the device key is not on the curve P-256")
    if key.public_key() != leaf.public_key():
        raise TlsIdentityError("the device key does not belong to the device certificate")
