"""PREPARED: the highest prepared certificate of the working height.

Lives here: making a PC of collected PREPAREs, and taking the higher one for (pv, pd). Never here: the
COMMIT that may follow (`voting`). Owns the invariants that (pv, pd) only grows, is durable together with
its block, and at the moment of a VIEW-CHANGE lies below its view. Implements CONSENSUS section 4.
"""

from p2penergy.consensus import certificates
from p2penergy.consensus.effects import PreparedRecord
from p2penergy.consensus.work import Work
from p2penergy.messages import Certificate, encode


def certificate_of(work: Work, view: int) -> Certificate | None:
    """The PC that the PREPAREs of `view` make, if any."""
    prepares, quorum = work.instance.votes.prepares, work.chain.committee.quorum
    if not work.rules.reaches(prepares.count(view), quorum):
        return None
    for digest, votes in prepares.of_view(view).items():
        if work.rules.reaches(len(votes), quorum):
            return certificates.build(work.instance.height, view, digest, votes)
    return None


def learn(work: Work, certificate: Certificate) -> None:
    """PREPARED: a PC of a higher view than pv becomes (pv, pd), durably, if its block is here.

    Whoever claims a block must be able to deliver it: those who voted for it let go of it after a while,
    and a claim that nobody can answer would stop every later view that needs this node's VIEW-CHANGE.
    Without the block this node has not sent COMMIT, so that nothing is lost by its silence.
    """
    instance = work.instance
    known = instance.blocks.get(certificate.digest)
    if known is None or (instance.prepared is not None and certificate.view <= instance.prepared.view):
        return
    instance.prepared = certificate
    work.keep_block(known)
    work.persist(PreparedRecord(instance.height, certificate.view, certificate.digest, encode(certificate)))
    work.counters["prepared"] += 1


def learn_below(work: Work, view: int) -> None:
    """On leaving for `view`: PCs of the views in between count, or VIEW-CHANGE would deny them."""
    for skipped in sorted(held for held in work.instance.votes.prepares.views() if held < view):
        certificate = certificate_of(work, skipped)
        if certificate is not None:
            learn(work, certificate)


def learn_from_others(work: Work, certificate: Certificate | None) -> None:
    """Take over a sound PC that came beside a message.

    Only of views up to the own one: a VIEW-CHANGE must not name its own view or a later one.
    """
    if certificate is not None and certificate.view <= work.instance.view:
        learn(work, certificate)
