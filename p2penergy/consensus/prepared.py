"""PREPARED: the highest prepared certificate of the working height.

Lives here: making a PC of collected PREPAREs, and taking the higher one for (pv, pd). Never here: the
COMMIT that may follow (`voting`). Owns the invariant that (pv, pd) only grows, is durable, and at the
moment of a VIEW-CHANGE lies below its view. Implements CONSENSUS section 4.
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
    """PREPARED: a PC of a higher view than pv becomes (pv, pd), durably."""
    instance = work.instance
    if instance.prepared is not None and certificate.view <= instance.prepared.view:
        return
    instance.prepared = certificate
    known = instance.blocks.get(certificate.digest)
    if known is not None:
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

    Only with its block at hand: whoever names a block as prepared must be able to deliver it. Only of
    views up to the own one: a VIEW-CHANGE must not name its own view or a later one.
    """
    if certificate is None or certificate.view > work.instance.view:
        return
    if certificate.digest in work.instance.blocks:
        learn(work, certificate)
