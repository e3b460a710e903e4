"""Entering views, and telling the new leader so.

Lives here: ENTER of CONSENSUS section 4 in its three ways, VIEW-CHANGE sent and sent again. Never here:
what happens inside a view (`voting`, `proposing`). Owns the invariant that a view, once entered, is
never left downwards, not even by a restart: it is durable before anything of it is sent.
"""

from enum import Enum, auto

from p2penergy.consensus import prepared
from p2penergy.consensus.effects import ViewRecord
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.schedule import slot_at
from p2penergy.consensus.work import NO_SIGNATURE, Work
from p2penergy.messages import Status, ViewChange

SEND_DOUBLINGS_MAX = 4
"""Sixteen deltas at most between two sends: more than a slot of the usual length."""


class Cause(Enum):
    """Why a view is entered."""

    CLOCK = auto()
    PROPOSAL = auto()
    WEAK = auto()


def clock_view(work: Work) -> int:
    """The view that the clock names; within a height it never goes back, at a new one it is read afresh."""
    instance = work.instance
    slot = slot_at(work.timing, work.now_ms)
    instance.slot = slot if instance.slot is None else max(instance.slot, slot)
    return work.chain.schedule.view_at(instance.slot)


def by_clock(work: Work) -> bool:
    """Enter the clock's view; whether anything changed."""
    view = clock_view(work)
    if view <= work.instance.view:
        return False
    enter(work, view, Cause.CLOCK)
    return True


def by_weak(work: Work) -> bool:
    """Enter the smallest of the higher views that f + 1 members have entered."""
    above = work.instance.votes.view_changes_above(work.instance.view)
    if not work.rules.reaches(len(above), work.chain.committee.weak):
        return False
    enter(work, min(change.view for change in above), Cause.WEAK)
    return True


def enter(work: Work, view: int, cause: Cause) -> None:
    """Enter `view`, durably; tell its leader, unless its proposal is what brought this node here."""
    instance = work.instance
    if view <= instance.view:
        raise InvariantError(f"view {view} entered after view {instance.view}")
    prepared.learn_below(work, view)
    instance.view = view
    instance.view_change = None
    instance.view_change_sends = 0
    instance.votes.forget_proposals_below(view)
    instance.untimely = {waiting for waiting in instance.untimely if waiting >= view}
    work.counters["views_entered"] += 1
    if work.may_sign and view > instance.first:
        work.persist(ViewRecord(instance.height, view))
        if cause is not Cause.PROPOSAL:
            _announce(work)
    elif cause is Cause.CLOCK and view > instance.first:
        _ask_leader(work)
    if work.rules.looks_again_on_entry():
        instance.to_look_at.add(view)


def _announce(work: Work) -> None:
    """VIEW-CHANGE(h, v, pv, pd) with PC to leader(h, v)."""
    instance, highest = work.instance, work.instance.prepared
    change = work.sign(
        ViewChange(
            sender=work.me,
            height=instance.height,
            view=instance.view,
            prepared_view=highest.view if highest else None,
            prepared_digest=highest.digest if highest else None,
            signature=NO_SIGNATURE,
            certificate=highest,
        )
    )
    instance.view_change = change
    send_view_change(work)
    if work.leads(instance.view):
        instance.votes.view_changes[work.me] = change


def _ask_leader(work: Work) -> None:
    """Who has no vote has no VIEW-CHANGE to be answered either: ask the views' leaders in turn."""
    instance = work.instance
    if not work.leads(instance.view):
        leader = work.chain.schedule.leader(instance.view)
        work.send(Status(instance.height, instance.view), (leader,))


def send_view_change(work: Work) -> None:
    """Send the own VIEW-CHANGE of this view, the same bytes each time."""
    instance = work.instance
    if instance.view_change is None or work.leads(instance.view):
        return
    work.send(instance.view_change, (work.chain.schedule.leader(instance.view),))
    instance.view_change_sent_ms = work.now_ms
    instance.view_change_sends += 1


def resend_at_ms(work: Work) -> int | None:
    """When the VIEW-CHANGE of this view is to be sent again; None: there is nothing to send."""
    instance = work.instance
    if instance.view_change is None or work.leads(instance.view):
        return None
    # Most leaders hear the first and have nothing to propose: an idle network should be a quiet one.
    doublings = min(max(instance.view_change_sends - 1, 0), SEND_DOUBLINGS_MAX)
    return instance.view_change_sent_ms + (max(work.timing.delta_ms, 1) << doublings)


def resend_if_due(work: Work) -> None:
    """Send it again after a delta, two, four; a clock that was set back does not postpone it."""
    due_ms = resend_at_ms(work)
    if due_ms is not None and not work.instance.view_change_sent_ms <= work.now_ms < due_ms:
        send_view_change(work)
