"""DECIDE: a block becomes permanent and the next height begins.

Lives here: the one place where the tip moves. Never here: finding the certificate (`voting`, `sync`).
Owns the invariant that a decision is persisted in the step that shows any effect of it. Implements
CONSENSUS sections 4 and 6.
"""

from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.effects import DecidedRecord, Decision
from p2penergy.consensus.instance import Instance
from p2penergy.consensus.schedule import slot_at
from p2penergy.consensus.work import Work
from p2penergy.messages import Certificate, Decided, encode


def decide_if_ready(work: Work) -> bool:
    """Decide when a commit certificate and its block are both here; whether it did."""
    certificate = work.instance.decision
    known = work.instance.blocks.get(certificate.digest) if certificate else None
    if certificate is None or known is None:
        return False
    decide(work, known, certificate, caught_up=False)
    return True


def decide(work: Work, known: KnownBlock, certificate: Certificate, caught_up: bool) -> None:
    """Make a block permanent, tell everybody unless it came by catch-up, open the next height."""
    height = work.instance.height
    is_member, committee = work.is_member, work.chain.committee
    work.chain.advance(known, certificate, slot_at(work.timing, work.now_ms))
    proof, members = encode(certificate), tuple(committee.keys.items())
    work.persist(
        DecidedRecord(height, known.digest, known.raw, proof, known.outcome, committee.root, members)
    )
    work.effects.decided.append(
        Decision(
            height,
            certificate.view,
            known.digest,
            known.block,
            certificate,
            committee.members,
            known.outcome,
            caught_up,
        )
    )
    work.answered_ms.clear()
    work.tip_broadcast_ms = None
    if not caught_up and is_member:
        work.send(Decided(known.raw, certificate))
        work.tip_broadcast_ms = work.now_ms
    _watch_amnesia(work, caught_up)
    work.counters["decided_caught_up" if caught_up else "decided"] += 1
    work.fetch.clear()
    work.instance = Instance(work.chain.height, work.chain.schedule.first)
    work.early_is_due = True


def _watch_amnesia(work: Work, caught_up: bool) -> None:
    """A block that came by catch-up may be older than the lost votes; a live one beyond the bound ends it."""
    if work.amnesia_slot is None:
        return
    if caught_up:
        work.amnesia_slot = max(work.amnesia_slot, work.chain.tip_slot)
    elif work.chain.tip_slot > 1 + work.amnesia_slot:
        work.amnesia_slot = None
