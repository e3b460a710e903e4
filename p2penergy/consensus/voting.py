"""PREPARE, PREPARED, COMMIT: what a node votes for in a view.

Lives here: looking at the buffered messages of one view and drawing the conclusions. Never here:
judging proposals (`justify`), entering views on other grounds (`view_change`), what a decision does
(`deciding`). Owns the invariants MONOTONE and COMMIT only after PC. Implements CONSENSUS section 4.
"""

from p2penergy.consensus import certificates, prepared, view_change
from p2penergy.consensus.votes import Proposal
from p2penergy.consensus.work import NO_SIGNATURE, Work
from p2penergy.messages import Certificate, Commit, Prepare, VoteKind


def look(work: Work, view: int) -> None:
    """Draw every conclusion that the buffered messages of `view` allow."""
    proposal = work.instance.votes.proposals.get(view)
    if proposal is not None:
        if view > work.instance.view:
            # The look that entering brings will vote for it.
            view_change.enter(work, view, view_change.Cause.PROPOSAL)
            return
        _consider(work, proposal)
    if view <= work.instance.view and not has_concluded(work, view):
        certificate = prepared.certificate_of(work, view)
        if certificate is not None:
            prepared.learn(work, certificate)
            _commit(work, certificate)
    find_decision(work)


def has_concluded(work: Work, view: int) -> bool:
    """Whether PREPAREs of a view can change nothing any more: in a large committee most come later."""
    known = work.instance.prepared
    has_committed = work.instance.signed.get(VoteKind.COMMIT, view) is not None
    return has_committed and known is not None and known.view >= view


def _consider(work: Work, proposal: Proposal) -> None:
    """PREPARE once per view, if timely or not fresh."""
    instance, view = work.instance, proposal.message.view
    if (
        not work.may_sign
        or not work.rules.may_vote(view, instance.view)
        or instance.signed.get(VoteKind.PREPARE, view) is not None
    ):
        return
    schedule = work.chain.schedule
    start_ms = schedule.start_ms(view)
    if proposal.fresh and not work.rules.timely(
        work.now_ms, start_ms, schedule.end_ms(view), work.timing.eps_ms
    ):
        if work.now_ms < start_ms:
            instance.untimely.add(view)
        work.counters["untimely_proposals"] += 1
        return
    instance.untimely.discard(view)
    work.keep_block(proposal.known)
    prepare = work.sign(Prepare(work.me, instance.height, view, proposal.known.digest, NO_SIGNATURE))
    work.send(prepare)
    instance.votes.prepares.add(prepare)


def _commit(work: Work, certificate: Certificate) -> None:
    """COMMIT, if the PC is of the current view, this node PREPAREd it and has the block."""
    instance, view = work.instance, certificate.view
    own = instance.signed.get(VoteKind.PREPARE, view)
    if (
        not work.may_sign
        or not work.rules.may_vote(view, instance.view)
        or not isinstance(own, Prepare)
        or own.digest != certificate.digest
        or certificate.digest not in instance.blocks
        or instance.signed.get(VoteKind.COMMIT, view) is not None
    ):
        return
    commit = work.sign(Commit(work.me, instance.height, view, certificate.digest, NO_SIGNATURE))
    work.send(commit)
    instance.votes.commits.add(commit)


def find_decision(work: Work) -> None:
    """DECIDE: a CC of any view, in any view; the block is fetched if it is not known."""
    instance = work.instance
    commits, quorum = instance.votes.commits, work.chain.committee.quorum
    if instance.decision is not None or not work.rules.reaches(len(commits), quorum):
        return
    for (view, digest), votes in instance.votes.commit_groups(work.rules).items():
        if work.rules.reaches(len(votes), quorum):
            instance.decision = certificates.build(instance.height, view, digest, votes)
            if digest not in instance.blocks:
                holders = [member for member in sorted(votes) if member != work.me]
                work.fetch.want(digest, holders, work.now_ms)
            return
