"""Whether a proposal may be voted for, read again from the text of CONSENSUS section 4.

Lives here: J0 and J1 as the specification words them, apart from the consensus core. Never here: an
import of its rules. Owns the invariant that a correct node PREPAREs nothing that is not justified.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from p2penergy.messages import (
    Certificate,
    MalformedMessageError,
    PrePrepare,
    ViewChange,
    VoteKind,
    decode_block,
    header_digest,
)
from p2penergy.simulation.arbiter import quorum

CertificateFault = Callable[[Certificate, VoteKind], str | None]


@dataclass(frozen=True, slots=True)
class Place:
    """What a proposal is judged against."""

    committee: Collection[bytes]
    first: int
    start_slot: int
    leader: bytes


def unjustified(proposal: PrePrepare, place: Place, fault: CertificateFault) -> str | None:
    """Why the proposal may not be voted for; None when it may."""
    if proposal.sender != place.leader:
        return "its sender does not lead the view"
    try:
        header = decode_block(proposal.block).header
    except MalformedMessageError:
        return "its block is malformed"
    if header_digest(header) != proposal.digest:
        return "its block has another digest"
    if proposal.view > place.first:
        said = _view_changes(proposal, place)
        if said is not None:
            return said
        highest = _highest(proposal.justification)
        if highest is not None:
            return _reproposal(proposal, highest, fault)
    elif proposal.justification:
        return "a first view needs no VIEW-CHANGEs"
    if proposal.certificate is not None:
        return "a fresh block comes without a certificate"
    if header.slot != place.start_slot or header.proposer != proposal.sender:
        return "a fresh block of another slot or proposer"
    return None


def _view_changes(proposal: PrePrepare, place: Place) -> str | None:
    changes = proposal.justification
    senders = {change.sender for change in changes}
    if not all(sender in place.committee for sender in senders):
        return "VIEW-CHANGEs of strangers"
    if len(senders) < quorum(len(place.committee)):
        return f"only {len(senders)} VIEW-CHANGEs"
    for change in changes:
        if (change.height, change.view) != (proposal.height, proposal.view):
            return "VIEW-CHANGEs of another height or view"
        if change.prepared_view is not None and change.prepared_view >= proposal.view:
            return "a VIEW-CHANGE that claims its own view as prepared"
    return None


def _highest(changes: tuple[ViewChange, ...]) -> int | None:
    return max((c.prepared_view for c in changes if c.prepared_view is not None), default=None)


def _reproposal(proposal: PrePrepare, highest: int, fault: CertificateFault) -> str | None:
    certificate = proposal.certificate
    if certificate is None or certificate.view != highest or certificate.height != proposal.height:
        return f"no certificate of the highest prepared view {highest}"
    named = {c.prepared_digest for c in proposal.justification if c.prepared_view == highest}
    if certificate.digest not in named or certificate.digest != proposal.digest:
        return f"not the block that was prepared in view {highest}"
    wrong = fault(certificate, VoteKind.PREPARE)
    return None if wrong is None else f"its certificate: {wrong}"
