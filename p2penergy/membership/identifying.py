"""From the certificate of a TLS link to the participant at its other end.

Lives here: the judgement that a link's certificate gets, as the transport wants it. Never here: whether
the participant is a member, which is the ledger's to say. Implements LEDGER section 2.
"""

from collections.abc import Callable, Container
from datetime import UTC, datetime

from p2penergy.membership.certificates import load_authority, verify_device
from p2penergy.membership.errors import CertificateRefused

Identify = Callable[[bytes], bytes | None]


def identifier(authority_pem: bytes, revoked: Container[int] = frozenset()) -> Identify:
    """Device certificate DER -> participant id (20 bytes), None for a certificate that is refused.

    Raises:
        CertificateRefused: the authority's own certificate can't be used.
    """
    authority = load_authority(authority_pem)

    def identify(der: bytes) -> bytes | None:
        try:
            return verify_device(der, authority, datetime.now(UTC), revoked).participant_id
        except CertificateRefused:
            return None

    return identify
