"""PROPOSE: what the leader of a view puts forward, and when.

Lives here: the leader's side of CONSENSUS section 4. Never here: filling a block (the application drafts
it), judging others' proposals (`justify`). Owns the invariant of one proposal per start slot ever,
durable before it is sent.
"""

import msgspec

from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.votes import Proposal
from p2penergy.consensus.work import NO_SIGNATURE, Work
from p2penergy.messages import PrePrepare, ViewChange, VoteKind, encode, header_digest


def propose(work: Work) -> bool:
    """Propose if this node leads the view it is in and has not; whether it did."""
    view, schedule = work.instance.view, work.chain.schedule
    if not _is_my_turn(work, view) or work.now_ms > schedule.propose_until_ms(view):
        return False
    if work.rules.needs_no_justification(view, work.instance.first):
        return _propose_fresh(work, ())
    changes = _chosen(work, view)
    if changes is None:
        return False
    highest = work.rules.highest_prepared(changes)
    if highest is None or highest.prepared_digest is None:
        return _propose_fresh(work, tuple(_bare(change) for change in changes))
    known = work.instance.blocks.get(highest.prepared_digest)
    if known is None:
        return False
    _send(work, _again(work, known), tuple(_bare(change) for change in changes), highest)
    return True


def _is_my_turn(work: Work, view: int) -> bool:
    return (
        view >= work.instance.first
        and work.may_sign
        and work.leads(view)
        and work.instance.decision is None
        and work.instance.signed.get(VoteKind.PRE_PREPARE, view) is None
        and work.chain.schedule.start_slot(view) not in work.proposed_slots
    )


def _chosen(work: Work, view: int) -> list[ViewChange] | None:
    """Q VIEW-CHANGEs for exactly this view whose blocks are known, highest prepared first.

    A block that is missing is asked for; its VIEW-CHANGE is left out as soon as Q others are there.
    """
    instance, rules = work.instance, work.rules
    changes = [
        change
        for change in instance.votes.view_changes.values()
        if rules.view_change_counts(change, instance.height, view)
    ]
    quorum = rules.view_change_quorum(work.chain.committee.n)
    if not rules.reaches(len(changes), quorum):
        return None
    usable = []
    for change in changes:
        if change.prepared_digest is None or change.prepared_digest in instance.blocks:
            usable.append(change)
        else:
            _fetch(work, change)
    if not rules.reaches(len(usable), quorum):
        return None
    usable.sort(key=lambda change: -1 if change.prepared_view is None else change.prepared_view, reverse=True)
    return usable[:quorum]


def _fetch(work: Work, change: ViewChange) -> None:
    if change.prepared_digest is None:
        return
    signers = change.certificate.members() if change.certificate else ()
    holders = dict.fromkeys(peer for peer in (change.sender, *signers) if peer != work.me)
    work.fetch.want(change.prepared_digest, tuple(holders), work.now_ms)


def _bare(change: ViewChange) -> ViewChange:
    # The certificate is outside the signature, and one in the proposal speaks for all.
    return msgspec.structs.replace(change, certificate=None)


def _propose_fresh(work: Work, changes: tuple[ViewChange, ...]) -> bool:
    """A fresh block, if there is something to propose or the network was idle for long enough."""
    view, schedule, application = work.instance.view, work.chain.schedule, work.application
    slot = schedule.start_slot(view)
    idle = work.rules.may_propose_empty(
        slot - work.instance.first, work.chain.committee.n, work.timing.empty_block_slots
    )
    if work.now_ms < schedule.start_ms(view) or not (idle or application.has_pending(slot)):
        return False
    link = application.reveal_tip(work.me)
    reveal = None if link is None else work.reveals.preimage(link)
    if reveal is None:
        work.counters["no_reveal"] += 1
        return False
    bytes_max = min(work.proposal_bytes_max, work.chain.block_bytes_max())
    given_up = work.chain.drafts_given_up
    _send(work, work.chain.build(slot, work.me, reveal, bytes_max), changes, None)
    work.counters["drafts_given_up"] += work.chain.drafts_given_up - given_up
    return True


def _again(work: Work, known: KnownBlock) -> KnownBlock:
    """The prepared block, as the rules let it be proposed again: unchanged."""
    slot = work.chain.schedule.start_slot(work.instance.view)
    block = work.rules.reproposed(known.block, slot, work.me)
    if block is known.block:
        return known
    return KnownBlock(block, encode(block), header_digest(block.header), known.outcome)


def _send(work: Work, known: KnownBlock, changes: tuple[ViewChange, ...], highest: ViewChange | None) -> None:
    instance = work.instance
    message = work.sign(
        PrePrepare(
            sender=work.me,
            height=instance.height,
            view=instance.view,
            digest=known.digest,
            signature=NO_SIGNATURE,
            block=known.raw,
            justification=changes,
            certificate=highest.certificate if highest else None,
        )
    )
    work.proposed_slots.append(work.chain.schedule.start_slot(instance.view))
    work.send(message)
    instance.votes.proposals[instance.view] = Proposal(message, known, fresh=highest is None)
    instance.add_block(known)
    instance.to_look_at.add(instance.view)
