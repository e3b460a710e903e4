"""A verifier's judgement of a newcomer: its own seal in, a verified identity out, or a reason.

What lives here: opening, then the chain, validity and revocation of both certificates, then that identity,
device key, participant id and meter pseudonym agree. What never does: clocks, files, signatures on verdicts,
whether the meter is a member already (the ledger knows). Implements the joining of LEDGER section 2.

Invariant: everything that is judged was either signed by the newcomer (the request) or by the community's
authority (the certificates), so that two honest verifiers at the same moment come to the same reason.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.membership.certificates import VerifiedIdentity, verify_device, verify_identity
from p2penergy.membership.errors import CertificateRefused, RefusalCode
from p2penergy.membership.profile import Connection
from p2penergy.membership.sealed_identity import Binding, Certificates, open_identity


def judge(
    certificates: Certificates,
    binding: Binding,
    authority: x509.Certificate,
    at: datetime,
    revoked: Container[int],
    connection: Connection | None = None,
) -> VerifiedIdentity:
    """Judge opened certificates against the request that they came with.

    ``connection`` is what a request to join says of itself; a renewal says nothing.

    Raises :class:`CertificateRefused`, with code ``mismatch`` where each is good and they do not belong
    together or to this request.
    """
    device = verify_device(certificates.device, authority, at, revoked)
    if device.participant_id != binding.participant_id:
        raise CertificateRefused(RefusalCode.MISMATCH, "The device certificate gives another participant id.")
    if device.public_key != binding.public_key:
        raise CertificateRefused(RefusalCode.MISMATCH, "The device certificate names another key.")
    return verify_identity(
        certificates.identity,
        authority,
        at,
        revoked,
        device_public_key=device.public_key,
        meter_pseudonym=binding.meter_pseudonym,
        connection=connection,
    )


def open_and_judge(
    key: ec.EllipticCurvePrivateKey,
    verifier: bytes,
    sealed: bytes,
    binding: Binding,
    authority: x509.Certificate,
    at: datetime,
    revoked: Container[int],
    connection: Connection | None = None,
) -> VerifiedIdentity:
    """Open one's own seal and judge what is in it; raises SealRefused or CertificateRefused."""
    opened = open_identity(key, verifier, sealed, binding)
    return judge(opened, binding, authority, at, revoked, connection)
