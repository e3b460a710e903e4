"""From the certificate of a TLS link to the participant at its other end.

Lives here: the judgement that a link's certificate gets, as the transport wants it. Never here: the ledger;
a node adds its registry's word (``require``), so that who was revoked there, or shows a certificate of a key
that was renewed since, is a stranger. Implements LEDGER section 2.
"""

from collections.abc import Callable, Container
from datetime import UTC, datetime

from cryptography import x509

from p2penergy.membership.certificates import VerifiedDevice, load_authority, verify_device
from p2penergy.membership.errors import CertificateRefused

Identify = Callable[[bytes], bytes | None]


class Identifier:
    """Device certificate DER -> participant id (20 bytes), None for a certificate that is refused.

    ``revoked`` may change while links are made; it is asked for each of them.
    """

    def __init__(self, authority: x509.Certificate, revoked: Container[int]) -> None:
        self._authority = authority
        self._revoked = revoked
        self._required: Callable[[VerifiedDevice], bool] = lambda _device: True

    def require(self, condition: Callable[[VerifiedDevice], bool]) -> None:
        """Refuse from now on a good certificate, too, for which ``condition`` is false."""
        self._required = condition

    def __call__(self, der: bytes) -> bytes | None:
        """Judge one certificate at this moment."""
        try:
            device = verify_device(der, self._authority, datetime.now(UTC), self._revoked)
        except CertificateRefused:
            return None
        return device.participant_id if self._required(device) else None


def identifier(authority_pem: bytes, revoked: Container[int] = frozenset()) -> Identifier:
    """The same from the authority's PEM.

    Raises:
        CertificateRefused: the authority's own certificate can't be used.
    """
    return Identifier(load_authority(authority_pem), revoked)
