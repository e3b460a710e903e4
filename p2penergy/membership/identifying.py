"""From the certificate of a TLS link to the name of the peer at its other end.

Lives here: the judgement that a link's certificate gets, as the transport wants it. Never here: the ledger;
a node adds its registry's word (``name_by``), so that who was revoked there is a stranger, and who shows a
certificate of another key than the registered one is no more than a guest. Implements LEDGER section 2.

Invariant: a remembered certificate is asked about time and revocation again, each time; what is remembered
is only that the authority signed it and that its form is right, which nothing ever changes.
"""

from collections import OrderedDict
from collections.abc import Callable, Container
from datetime import UTC, datetime

from cryptography import x509

from p2penergy.membership.certificates import VerifiedDevice, load_authority, verify_device
from p2penergy.membership.errors import CertificateRefused

CERTIFICATES_REMEMBERED_MAX = 4_096

Identify = Callable[[bytes], bytes | None]
NameOf = Callable[[VerifiedDevice], bytes | None]


def _participant(device: VerifiedDevice) -> bytes:
    return device.participant_id


class Identifier:
    """Device certificate DER -> certified name, None for a certificate that is refused.

    The name is the participant id (20 bytes) unless ``name_by`` says otherwise. ``revoked`` may change
    while links are made.
    """

    def __init__(self, authority: x509.Certificate, revoked: Container[int]) -> None:
        self._authority = authority
        self._revoked = revoked
        self._name_of: NameOf = _participant
        self._seen: OrderedDict[bytes, VerifiedDevice] = OrderedDict()

    def name_by(self, name_of: NameOf) -> None:
        """Let somebody else name, or refuse, whoever has a good certificate."""
        self._name_of = name_of

    def __call__(self, der: bytes) -> bytes | None:
        """Judge one certificate at this moment."""
        device = self._seen.get(der)
        if device is None:
            try:
                device = verify_device(der, self._authority, datetime.now(UTC), self._revoked)
            except CertificateRefused:
                return None
            self._seen[der] = device
            if len(self._seen) > CERTIFICATES_REMEMBERED_MAX:
                self._seen.popitem(last=False)
        elif datetime.now(UTC) > device.not_after or device.serial in self._revoked:
            return None
        return self._name_of(device)


def identifier(authority_pem: bytes, revoked: Container[int] = frozenset()) -> Identifier:
    """The same from the authority's PEM.

    Raises:
        CertificateRefused: the authority's own certificate can't be used.
    """
    return Identifier(load_authority(authority_pem), revoked)
