"""Transactions of membership: their shapes, what is signed, and reasons in words.

Lives here: requests to join and to renew, verifiers' verdicts on them, `Admission`, `Leave`, `Revocation`,
`Volunteer`, `RegisterChain`, and making signed ones. Never here: whether one is accepted, opening seals and
judging certificates (the node's). Owns the invariants that a verdict is about one request and one committee,
and that an admission can't mix verdicts. Implements LEDGER section 2 and the verification stage of CONSENSUS
section 9 (paper 2.2.1, 5.2).

Requests and verdicts are never in a block by themselves: the pool collects them until they make an admission,
and its id is the request's, so that a newcomer waits for the receipt of what it sent.
"""

from enum import IntEnum
from hashlib import sha256
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.digests import TAG_TRANSACTION, TAG_VERDICT
from p2penergy.messages import (
    COMMITTEE_SIZE_MAX,
    Count,
    Digest,
    ParticipantId,
    PublicKeyBytes,
    SignatureBytes,
    encode,
)
from p2penergy.signing import SIGNATURE_BYTES, Signer

PERIOD_MAX = 2**40
RATED_W_MAX = 100_000_000
CLUSTER_MAX = 2**31

Period = Annotated[int, Meta(ge=0, le=PERIOD_MAX)]
RatedW = Annotated[int, Meta(ge=0, le=RATED_W_MAX)]
Cluster = Annotated[int, Meta(ge=0, le=CLUSTER_MAX)]

# A signature is the last field of its array: two bytes of msgpack's bin 8, and the signature.
SIGNATURE_FIELD_BYTES = 2 + SIGNATURE_BYTES


class MembershipKind(IntEnum):
    """Types of transaction of the verification stage; part of the signed bytes."""

    JOIN_REQUEST = 32
    VERDICT = 33
    ADMISSION = 34
    LEAVE = 35
    RENEWAL = 36
    REVOCATION = 37
    VOLUNTEER = 38
    REGISTER_CHAIN = 39


class VerdictCode(IntEnum):
    """What a verifier found; all but ACCEPT refuse."""

    ACCEPT = 0
    SEAL_MISSING = 1
    SEAL_UNOPENED = 2
    OVERSIZE = 3
    GARBAGE = 4
    NOT_CANONICAL = 5
    WRONG_CURVE = 6
    WEAK_HASH = 7
    IS_CA = 8
    WRONG_KEY_USAGE = 9
    WRONG_CONTENT = 10
    WRONG_ISSUER = 11
    NOT_YET_VALID = 12
    EXPIRED = 13
    PATH = 14
    REVOKED = 15
    MISMATCH = 16


_WORDS: dict[VerdictCode, str] = {
    VerdictCode.ACCEPT: "the identity was verified",
    VerdictCode.SEAL_MISSING: "there was no seal for the verifier among those sent",
    VerdictCode.SEAL_UNOPENED: "the verifier could not open its seal",
    VerdictCode.OVERSIZE: "a certificate is too large",
    VerdictCode.GARBAGE: "what was sealed is no certificate",
    VerdictCode.NOT_CANONICAL: "a certificate is not in its canonical encoding",
    VerdictCode.WRONG_CURVE: "a certificate's key is not on the curve P-256",
    VerdictCode.WEAK_HASH: "a certificate is signed with a weak hash",
    VerdictCode.IS_CA: "a certificate of an authority was given for a household's",
    VerdictCode.WRONG_KEY_USAGE: "a certificate is meant for another use",
    VerdictCode.WRONG_CONTENT: "a certificate does not hold what it should",
    VerdictCode.WRONG_ISSUER: "a certificate is not from the community's authority",
    VerdictCode.NOT_YET_VALID: "a certificate is not valid yet",
    VerdictCode.EXPIRED: "a certificate has expired",
    VerdictCode.PATH: "a certificate's path to the community's authority does not hold",
    VerdictCode.REVOKED: "the authority has revoked a certificate",
    VerdictCode.MISMATCH: "identity, device key and meter do not belong together",
}


def verdict_words(code: VerdictCode) -> str:
    """What the verifiers found, for people."""
    return _WORDS[code]


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class JoinRequest(_Shape, frozen=True, tag=int(MembershipKind.JOIN_REQUEST), gc=False):
    """A household asks to become a member; signed by the device key that it brings.

    `sealed_digest` is that of what it sealed to the verification committee with `committee_root`.
    """

    participant_id: ParticipantId
    public_key: PublicKeyBytes
    meter_pseudonym: Digest
    rated_w: RatedW
    cluster: Cluster
    sealed_digest: Digest
    committee_root: Digest
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


class Renewal(_Shape, frozen=True, tag=int(MembershipKind.RENEWAL), gc=False):
    """A member asks to go on with the key of a new certificate; signed by that key.

    The old key may be lost: what counts is that the authority certified the new one for the same
    participant, which verifiers judge as they judge a join.
    """

    participant_id: ParticipantId
    public_key: PublicKeyBytes
    meter_pseudonym: Digest
    sealed_digest: Digest
    committee_root: Digest
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


MembershipRequest = JoinRequest | Renewal
"""What verifiers pass verdicts on."""


class Verdict(_Shape, frozen=True, tag=int(MembershipKind.VERDICT), gc=False):
    """One verifier's finding about one request."""

    verifier: ParticipantId
    request_digest: Digest
    """The request's transaction id."""
    committee_root: Digest
    code: VerdictCode
    signature: SignatureBytes


class Admission(_Shape, frozen=True, tag=int(MembershipKind.ADMISSION), gc=False):
    """A request with the equal verdicts that decide it: Q accepts, or f + 1 refusals for one reason.

    Votes are (verifier, signature of its `Verdict`), verifiers strictly ascending.
    """

    request: MembershipRequest
    code: VerdictCode
    votes: Annotated[tuple[tuple[ParticipantId, SignatureBytes], ...], Meta(max_length=COMMITTEE_SIZE_MAX)]

    def is_ordered(self) -> bool:
        """Whether verifiers strictly ascend: one set of votes has one encoding, and nobody counts twice."""
        return all(a < b for (a, _), (b, _) in pairwise(self.votes))


class Leave(_Shape, frozen=True, tag=int(MembershipKind.LEAVE), gc=False):
    """A member ends its membership."""

    submitter: ParticipantId
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


class Revocation(_Shape, frozen=True, tag=int(MembershipKind.REVOCATION), gc=False):
    """The authority takes a certificate back: its key ends being a member's, and never becomes one again.

    Signed by the key that genesis names `authority_key`; anybody may bring it. It does not expire.
    """

    participant_id: ParticipantId
    public_key: PublicKeyBytes
    signature: SignatureBytes


class Volunteer(_Shape, frozen=True, tag=int(MembershipKind.VOLUNTEER), gc=False):
    """The roles that a member offers from now on.

    `beacon_tip` is the end of its first hash chain; None once it has one. Newcomers seal to a verifier's
    device key: the committee's root vouches for it.
    """

    submitter: ParticipantId
    validator: bool
    verifier: bool
    beacon_tip: Digest | None
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


class RegisterChain(_Shape, frozen=True, tag=int(MembershipKind.REGISTER_CHAIN), gc=False):
    """A member's next hash chain, in place of the present one from some heights later on."""

    submitter: ParticipantId
    beacon_tip: Digest
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


MembershipTransaction = (
    JoinRequest | Renewal | Verdict | Admission | Leave | Revocation | Volunteer | RegisterChain
)

MEMBERSHIP_TYPES = (
    JoinRequest,
    Renewal,
    Verdict,
    Admission,
    Leave,
    Revocation,
    Volunteer,
    RegisterChain,
)
"""The same for `isinstance`."""

MEMBERSHIP_KINDS: dict[type, bytes] = {
    JoinRequest: bytes([MembershipKind.JOIN_REQUEST]),
    Renewal: bytes([MembershipKind.RENEWAL]),
    Verdict: bytes([MembershipKind.VERDICT]),
    Admission: bytes([MembershipKind.ADMISSION]),
    Leave: bytes([MembershipKind.LEAVE]),
    Revocation: bytes([MembershipKind.REVOCATION]),
    Volunteer: bytes([MembershipKind.VOLUNTEER]),
    RegisterChain: bytes([MembershipKind.REGISTER_CHAIN]),
}
"""Shape -> its byte in what is signed."""


def request_bytes(request: MembershipRequest, chain_id: bytes) -> bytes:
    """What the device key signs."""
    fields = encode(request)[:-SIGNATURE_FIELD_BYTES]
    return TAG_TRANSACTION + MEMBERSHIP_KINDS[type(request)] + chain_id + fields


def request_digest(request: MembershipRequest, chain_id: bytes) -> bytes:
    """What verdicts name; the transaction id of the request, and of the admission that answers it."""
    return sha256(request_bytes(request, chain_id)).digest()


def asked_digest(request: MembershipRequest) -> bytes:
    """Under what a request counts as answered: over all it asks, whoever's chain it is signed for."""
    return sha256(MEMBERSHIP_KINDS[type(request)] + encode(request)[:-SIGNATURE_FIELD_BYTES]).digest()


def verdict_bytes(
    chain_id: bytes, verifier: bytes, digest: bytes, committee_root: bytes, code: VerdictCode
) -> bytes:
    """What a verifier signs: tag, chain, verifier, request, committee, code."""
    return TAG_VERDICT + chain_id + verifier + digest + committee_root + bytes([code])


_UNSIGNED = bytes(SIGNATURE_BYTES)


def sign_join(
    signer: Signer,
    chain_id: bytes,
    *,
    public_key: bytes,
    meter_pseudonym: bytes,
    rated_w: int,
    cluster: int,
    sealed_digest: bytes,
    committee_root: bytes,
    nonce: int,
    expires_period: int,
) -> JoinRequest:
    """A request to join, signed by the device key that it names."""
    draft = JoinRequest(
        signer.participant_id,
        public_key,
        meter_pseudonym,
        rated_w,
        cluster,
        sealed_digest,
        committee_root,
        nonce,
        expires_period,
        _UNSIGNED,
    )
    return msgspec.structs.replace(draft, signature=signer.sign(request_bytes(draft, chain_id)))


def sign_renewal(
    signer: Signer,
    chain_id: bytes,
    *,
    public_key: bytes,
    meter_pseudonym: bytes,
    sealed_digest: bytes,
    committee_root: bytes,
    nonce: int,
    expires_period: int,
) -> Renewal:
    """A request to go on with a new key; `signer` has that key, and the participant's lasting id."""
    draft = Renewal(
        signer.participant_id,
        public_key,
        meter_pseudonym,
        sealed_digest,
        committee_root,
        nonce,
        expires_period,
        _UNSIGNED,
    )
    return msgspec.structs.replace(draft, signature=signer.sign(request_bytes(draft, chain_id)))


def sign_verdict(signer: Signer, chain_id: bytes, request: MembershipRequest, code: VerdictCode) -> Verdict:
    """A verifier's finding about a request, for the committee that the request was sealed to."""
    digest, root = request_digest(request, chain_id), request.committee_root
    signature = signer.sign(verdict_bytes(chain_id, signer.participant_id, digest, root, code))
    return Verdict(signer.participant_id, digest, root, code, signature)


def _own_bytes(transaction: Leave | Revocation | Volunteer | RegisterChain, chain_id: bytes) -> bytes:
    fields = encode(transaction)[:-SIGNATURE_FIELD_BYTES]
    return TAG_TRANSACTION + MEMBERSHIP_KINDS[type(transaction)] + chain_id + fields


def sign_leave(signer: Signer, chain_id: bytes, nonce: int, expires_period: int) -> Leave:
    """A member's leave."""
    draft = Leave(signer.participant_id, nonce, expires_period, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(_own_bytes(draft, chain_id)))


def sign_revocation(
    authority: Signer, chain_id: bytes, participant_id: bytes, public_key: bytes
) -> Revocation:
    """A revocation; `authority` signs with the community's key, whatever id it has."""
    draft = Revocation(participant_id, public_key, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=authority.sign(_own_bytes(draft, chain_id)))


def sign_volunteer(
    signer: Signer,
    chain_id: bytes,
    *,
    validator: bool,
    verifier: bool,
    beacon_tip: bytes | None,
    nonce: int,
    expires_period: int,
) -> Volunteer:
    """The roles that a member offers; both False: none any more."""
    draft = Volunteer(
        signer.participant_id, validator, verifier, beacon_tip, nonce, expires_period, _UNSIGNED
    )
    return msgspec.structs.replace(draft, signature=signer.sign(_own_bytes(draft, chain_id)))


def sign_chain(
    signer: Signer, chain_id: bytes, beacon_tip: bytes, nonce: int, expires_period: int
) -> RegisterChain:
    """A member's next hash chain."""
    draft = RegisterChain(signer.participant_id, beacon_tip, nonce, expires_period, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(_own_bytes(draft, chain_id)))
