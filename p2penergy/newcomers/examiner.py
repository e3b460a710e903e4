"""A verifier's duty: open the own seal of a request, judge what is in it, sign a verdict.

Lives here: one judgement per request, and its verdict again when it is asked for again. Never here: how
requests arrive (`desk`), what verdicts decide (`ledger`), the rules of judging (`membership.judging`). Owns
the invariants that opened certificates never leave the moment of their judgement (no log line, no answer, no
file holds a part of them), that the sealed bytes are durable before the verdict is shown, and that a
verifier signs one verdict per request. Implements the joining of LEDGER section 2.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Container
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.ledger.memberships import (
    JoinRequest,
    MembershipRequest,
    Verdict,
    VerdictCode,
    request_digest,
    sign_verdict,
)
from p2penergy.membership.errors import CertificateRefused, RefusalCode, SealRefused
from p2penergy.membership.judging import open_and_judge
from p2penergy.membership.profile import Connection
from p2penergy.membership.sealed_identity import Binding
from p2penergy.membership.sealed_store import SealedStore
from p2penergy.signing import Signer

VERDICTS_REMEMBERED_MAX = 4_096

log = logging.getLogger(__name__)


def binding_of(request: MembershipRequest, chain_id: bytes) -> Binding:
    """To what the seals of a request are bound."""
    return Binding(
        chain_id, request.committee_root, request.participant_id, request.public_key, request.meter_pseudonym
    )


def connection_of(request: MembershipRequest) -> Connection | None:
    """What a request says of the meter's connection; a renewal changes nothing about it.

    A rated power of 0 is no connection that an authority certifies: it matches none.
    """
    if not isinstance(request, JoinRequest):
        return None
    try:
        return Connection(request.rated_w, request.cluster)
    except ValueError as error:
        raise CertificateRefused(RefusalCode.MISMATCH, f"{error}.") from None


class Examiner:
    """Judges for one verifier."""

    def __init__(
        self,
        signer: Signer,
        key: ec.EllipticCurvePrivateKey,
        chain_id: bytes,
        authority: x509.Certificate,
        revoked: Container[int],
        store: SealedStore,
        now: Callable[[], datetime],
    ) -> None:
        """`key` is the device's own, to which newcomers seal: the committee's root vouches for it."""
        self._signer = signer
        self._key = key
        self._chain_id = chain_id
        self._authority = authority
        self._revoked = revoked
        self._store = store
        self._now = now
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def examine(self, request: MembershipRequest, sealed: bytes | None) -> Verdict:
        """The verdict on a request whose signature and seals' digest hold; None: no seal was for us.

        Raises:
            KeyFileError: the sealed bytes can't be kept; nothing was signed.
        """
        digest = request_digest(request, self._chain_id)
        verdict = self._verdicts.get(digest)
        if verdict is None:
            verdict = sign_verdict(self._signer, self._chain_id, request, self._judge(request, sealed))
            if sealed is not None:
                self._store.keep(digest, sealed)
            self._verdicts[digest] = verdict
            if len(self._verdicts) > VERDICTS_REMEMBERED_MAX:
                self._verdicts.popitem(last=False)
            log.info(
                "newcomer examined", extra={"request": digest.hex(), "verdict": verdict.code.name.lower()}
            )
        return verdict

    def _judge(self, request: MembershipRequest, sealed: bytes | None) -> VerdictCode:
        if sealed is None:
            return VerdictCode.SEAL_MISSING
        try:
            open_and_judge(
                self._key,
                self._signer.participant_id,
                sealed,
                binding_of(request, self._chain_id),
                self._authority,
                self._now(),
                self._revoked,
                connection_of(request),
            )
        except SealRefused:
            return VerdictCode.SEAL_UNOPENED
        except CertificateRefused as error:
            # One name for one reason, on both sides of the layers.
            return VerdictCode[error.code.name]
        return VerdictCode.ACCEPT
