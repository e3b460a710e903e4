"""Going on after a restart: what the store gives back binds the node as if it had never stopped.

Lives here: putting `Restored` back into the working height, and sending the identical stored bytes
again. Never here: reading a store. Owns the invariant that a restart never lets a node sign anything
that contradicts what it signed before (CONSENSUS section 6).
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.consensus import justify
from p2penergy.consensus.effects import EVERYBODY, BlockRecord, PreparedRecord, Restored, VoteRecord
from p2penergy.consensus.errors import InvariantError, RefusedError
from p2penergy.consensus.votes import kind_of
from p2penergy.consensus.work import Work
from p2penergy.messages import (
    Commit,
    MalformedMessageError,
    Prepare,
    PrePrepare,
    ViewChange,
    Vote,
    VoteKind,
    decode_certificate,
    decode_message,
)


def restore(work: Work, restored: Restored) -> None:
    """Take back the view, votes, blocks and certificate of the working height.

    Raises:
        InvariantError: the store holds what this node can't have written.
    """
    instance = work.instance
    work.proposed_slots.extend(restored.proposed_slots)
    if restored.prepared is not None:
        _restore_prepared(work, restored.prepared)
    for record in restored.blocks:
        _restore_block(work, record)
    votes = work.rules.remembered(restored.votes)
    for vote_record in sorted(votes, key=lambda record: (record.view, record.kind)):
        _restore_vote(work, vote_record)
    signed_view = instance.signed.highest_view()
    views = [instance.view, *(view for view in (restored.view, signed_view) if view is not None)]
    instance.view = max(views)
    instance.votes.forget_proposals_below(instance.view)
    change = instance.signed.get(VoteKind.VIEW_CHANGE, instance.view)
    instance.view_change = change if isinstance(change, ViewChange) else None
    if restored.amnesia_slot is not None and work.chain.tip_slot <= 1 + restored.amnesia_slot:
        work.amnesia_slot = restored.amnesia_slot


def _decoded_vote(work: Work, record: VoteRecord) -> Vote:
    try:
        message = decode_message(record.message)
    except MalformedMessageError as error:
        raise InvariantError(f"a stored vote is damaged: {error}") from error
    if not isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
        raise InvariantError("a stored vote is no vote")
    here = (message.sender, message.height, message.view, kind_of(message))
    if here != (work.me, work.instance.height, record.view, record.kind):
        raise InvariantError("a stored vote is not this node's own for this height")
    return message


def _restore_vote(work: Work, record: VoteRecord) -> None:
    instance, vote = work.instance, _decoded_vote(work, record)
    instance.signed.add(record.kind, vote)
    match vote:
        case PrePrepare():
            work.proposed_slots.append(record.slot)
            try:
                proposal = justify.judge(vote, work.chain, work.rules, instance.blocks.get)
            except RefusedError as error:
                raise InvariantError(f"the own stored proposal is not valid: {error.code}") from error
            instance.add_block(proposal.known)
            instance.votes.proposals[vote.view] = proposal
            instance.to_look_at.add(vote.view)
        case Prepare():
            instance.votes.prepares.add(vote)
        case Commit():
            instance.votes.commits.add(vote)
        case ViewChange():
            if work.leads(vote.view):
                instance.votes.view_changes[work.me] = vote


def _restore_block(work: Work, record: BlockRecord) -> None:
    try:
        known = work.chain.check(record.block, record.digest)
    except InvalidBlockError as error:
        raise InvariantError(f"a stored block is not valid any more: {error.code}: {error}") from error
    work.instance.add_block(known)
    work.instance.blocks.mark_durable(known.digest)


def _restore_prepared(work: Work, record: PreparedRecord) -> None:
    try:
        work.instance.prepared = decode_certificate(record.certificate)
    except MalformedMessageError as error:
        raise InvariantError(f"the stored prepared certificate is damaged: {error}") from error


def send_again(work: Work) -> None:
    """Send the identical stored bytes; the VIEW-CHANGE follows, if its view is still the clock's."""
    for vote in work.instance.signed.all():
        if not isinstance(vote, ViewChange):
            work.send(vote, EVERYBODY)
