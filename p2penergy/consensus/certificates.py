"""Certificates: Q votes of one kind for one (height, view, digest).

Lives here: building PC and CC, and checking them. Never here: collecting votes (`votes`), what
follows from a certificate (`voting`). Owns the invariant that a certificate is believed only when a
quorum of distinct members of C_h stands under the same height, view and digest. Implements CONSENSUS
sections 1, 3 and 4.
"""

from collections.abc import Mapping

from p2penergy.consensus.committee import Committee
from p2penergy.consensus.rules import Rules
from p2penergy.messages import Certificate, Commit, Prepare, VoteKind
from p2penergy.signing import KeyOf, RefusedSignatureError, SignatureChecker, certificate_items


def build(height: int, view: int, digest: bytes, votes: Mapping[bytes, Prepare | Commit]) -> Certificate:
    """A certificate of these votes, signers ascending."""
    signed = tuple((member, votes[member].signature) for member in sorted(votes))
    return Certificate(height, view, digest, signed)


def is_sound(certificate: Certificate, height: int, committee: Committee, rules: Rules) -> bool:
    """Whether a quorum of distinct members of C_height stands under it.

    Signatures are another matter: see `are_signed`.
    """
    return certificate.height == height and rules.is_certified(certificate, committee.keys)


def are_signed(
    certificate: Certificate, kind: VoteKind, chain_id: bytes, key_of: KeyOf, checker: SignatureChecker
) -> bool:
    """Whether every signature in it holds, for certificates that no driver has verified."""
    try:
        return all(checker.check(*item) for item in certificate_items(certificate, kind, chain_id, key_of))
    except RefusedSignatureError:
        return False
