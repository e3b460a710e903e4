"""Certificates, checked from nothing but a panel.

Lives here: quorum, order, membership and signatures of a PC or CC. Never here: which one belongs where.
Implements CONSENSUS sections 1 and 3.
"""

from p2penergy.audit.leaders import Panel
from p2penergy.messages import Certificate, VoteKind, statement
from p2penergy.signing import SignatureChecker


def fault_of(
    certificate: Certificate,
    kind: VoteKind,
    chain_id: bytes,
    panel: Panel,
    checker: SignatureChecker,
) -> str | None:
    """What is wrong with a certificate of this panel; None: a quorum signed it."""
    members = [member for member, _ in certificate.votes]
    if sorted(set(members)) != members:
        return "its signers are not in strictly ascending order"
    for member in members:
        if member not in panel.members:
            return f"{member.hex()} signed it without being in the committee"
    if len(members) < panel.quorum:
        return f"{len(members)} members signed it, a quorum is {panel.quorum}"
    for member, signature in certificate.votes:
        signed = statement(kind, chain_id, member, certificate.height, certificate.view, certificate.digest)
        if not checker.check(panel.keys[member], signed, signature):
            return f"the signature of {member.hex()} does not hold"
    return None
