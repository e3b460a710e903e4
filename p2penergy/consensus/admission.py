"""Refusals before the costly check of signatures, in the order of CONSENSUS section 5.

Lives here: one pure question, "why not?", over the working state. Never here: side effects, signatures,
justification. Owns the invariant that nothing is remembered of a message that was not verified: a forged
copy can't hide the genuine one. Frame size, decoding, chain and buckets are the driver's.
"""

from p2penergy.consensus import certificates, voting
from p2penergy.consensus.evidence import conflicts
from p2penergy.consensus.work import Work
from p2penergy.messages import (
    INTEGER_MAX,
    BlockRequest,
    BlockResponse,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    Status,
    SyncResponse,
    ViewChange,
    Vote,
)
from p2penergy.signing import KeyOf

VIEWS_AHEAD_MAX = 2


def refusal(work: Work, message: Message, peer: bytes) -> str | None:
    """The code of the first rule that `message` breaks; None: verify it and give it to `step`."""
    match message:
        case PrePrepare() | Prepare() | Commit() | ViewChange():
            return _of_vote(work, message, peer)
        case Decided():
            return _of_decided(work, message, peer)
        case SyncResponse():
            return None if work.catch_up.was_asked(peer) else "unrequested"
        case BlockResponse():
            wanted = message.height == work.instance.height and len(work.fetch) > 0
            return None if wanted else "unrequested"
        case BlockRequest():
            return _of_block_request(work, message, peer)
        case Status():
            return None
        case _:
            return "not_consensus"


def checkable(work: Work, message: Message) -> tuple[Message, KeyOf]:
    """What of an admitted message can be verified, and with which keys; see `Replica.checkable`."""
    match message:
        case PrePrepare() | Prepare() | Commit() | ViewChange():
            if not 0 <= message.height - work.instance.height <= 1:
                # An old one asks for the tip. One of far ahead claims a height: while its signature is being
                # checked, this node may catch up with it, and what was signed with a key of today must not
                # count among votes that are signed with the next one.
                return Status(message.height, 0), _nobody
            return message, work.chain.keys_at(message.height)
        case Decided() if message.certificate.height > work.instance.height:
            return Status(min(message.certificate.height + 1, INTEGER_MAX), 0), _nobody
        case Decided():
            return message, work.chain.keys_at(message.certificate.height)
        case _:
            return message, _nobody


def _nobody(_participant_id: bytes) -> bytes | None:
    return None


def _of_block_request(work: Work, message: BlockRequest, peer: bytes) -> str | None:
    if message.height not in (work.instance.height, work.chain.tip_height):
        return "height_window"
    # An undecided block is as large an answer as there is, and only who votes on it needs it.
    undecided = message.height == work.instance.height
    return "not_member" if undecided and peer not in work.chain.committee else None


def _of_vote(work: Work, vote: Vote, peer: bytes) -> str | None:
    height = work.instance.height
    if vote.sender == work.me:
        # Own votes count by way of memory and store only; echoes and stolen keys count for nothing.
        return "own_message"
    if vote.height < height:
        return _of_old_vote(work, vote, peer)
    if vote.height > height + 1:
        return None if work.catch_up.is_news(peer, vote.height - 1) else "height_window"
    too_long = _too_long(work, vote)
    if too_long is not None:
        return too_long
    if vote.height == height + 1:
        if not work.chain.may_be_member_next(vote.sender):
            return "not_member"
        return "duplicate" if work.early.holds(vote) else None
    return _of_current_vote(work, vote)


def _too_long(work: Work, vote: Vote) -> str | None:
    """Whether a message asks for more signature checks than any committee of its height can have signed."""
    signers_max = work.chain.signers_max(vote.height)
    if isinstance(vote, PrePrepare):
        # One certificate speaks for all; each other one would cost a committee of signature checks.
        changes = vote.justification
        if len(changes) > signers_max or any(change.certificate for change in changes):
            return "justification_too_long"
    if isinstance(vote, PrePrepare | ViewChange) and vote.certificate is not None:
        return "bad_certificate" if len(vote.certificate.votes) > signers_max else None
    return None


def _of_old_vote(work: Work, vote: Vote, peer: bytes) -> str | None:
    # Of votes for decided heights only VIEW-CHANGE says that its sender is stuck there.
    if isinstance(vote, ViewChange) and work.chain.tip is not None and work.tip_is_due_to(peer):
        return None
    return "height_window"


def _of_current_vote(work: Work, vote: Vote) -> str | None:
    instance = work.instance
    if not instance.first <= vote.view <= max(instance.view, instance.first) + VIEWS_AHEAD_MAX:
        return "view_window"
    if vote.sender not in work.chain.committee:
        return "not_member"
    held = instance.votes.held(vote)
    if held is not None and held.view == vote.view:
        if not conflicts(held, vote):
            return "duplicate"
        return "duplicate" if instance.watch.is_proven(vote) else None
    if isinstance(vote, ViewChange):
        return "superseded" if held is not None and held.view > vote.view else None
    if isinstance(vote, PrePrepare):
        return _of_proposal(work, vote)
    return "surplus" if isinstance(vote, Prepare) and _is_surplus(work, vote) else None


def _is_surplus(work: Work, vote: Prepare) -> bool:
    """Whether a PREPARE says what a certificate says already: in a large committee every third does.

    One for anything else is looked at, as evidence may be.
    """
    known = work.instance.prepared
    return (
        known is not None
        and (known.view, known.digest) == (vote.view, vote.digest)
        and voting.has_concluded(work, vote.view)
    )


def _of_proposal(work: Work, proposal: PrePrepare) -> str | None:
    instance = work.instance
    if proposal.digest in work.fetch:
        # Whatever else is wrong with it: its block is wanted.
        return None
    # A lower view's proposal can't be voted for. A leader that was caught with two of one view, none of
    # which is held, has used up its turn: each further one would cost the execution of a block.
    if proposal.view < instance.view:
        return "view_left"
    return "conflicting" if instance.watch.is_proven(proposal) else None


def _of_decided(work: Work, message: Decided, peer: bytes) -> str | None:
    certificate, height = message.certificate, work.instance.height
    if certificate.height < height:
        return "height_window"
    if certificate.height > height:
        if not work.catch_up.is_news(peer, certificate.height):
            return "duplicate"
        return None if work.chain.is_named_in(message.block) else "bad_block"
    if work.instance.decision is not None and work.instance.decision.digest in work.instance.blocks:
        return "duplicate"
    if not certificates.is_sound(certificate, height, work.chain.committee, work.rules):
        return "bad_certificate"
    return None
