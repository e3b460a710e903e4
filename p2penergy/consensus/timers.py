"""When the driver must tick next.

Lives here: every moment at which time alone can change something. Never here: acting on it. Owns the
invariant that a driver which ticks only at `Effects.wake_at_ms` misses nothing: each rule of CONSENSUS
that mentions the clock has its line here.
"""

from p2penergy.consensus.schedule import slot_at
from p2penergy.consensus.view_change import resend_at_ms
from p2penergy.consensus.work import Work
from p2penergy.messages import VoteKind


def wake_at_ms(work: Work) -> int:
    """The next moment, unix milliseconds, always later than now."""
    moments = [_next_view_ms(work), *_waiting_ms(work)]
    resend_ms = resend_at_ms(work)
    ask_ms = work.catch_up.wake_ms(work.instance.height)
    fetch_ms = work.fetch.wake_ms()
    moments += [moment for moment in (resend_ms, ask_ms, fetch_ms) if moment is not None]
    return min(max(moment, work.now_ms + 1) for moment in moments)


def _next_view_ms(work: Work) -> int:
    """ENTER by clock."""
    schedule, instance = work.chain.schedule, work.instance
    slot = slot_at(work.timing, work.now_ms)
    clock = schedule.view_at(slot if instance.slot is None else max(slot, instance.slot))
    return schedule.start_ms(max(clock, instance.view) + 1)


def _waiting_ms(work: Work) -> list[int]:
    """Early proposals that become timely; an own fresh block when its view begins."""
    schedule, instance = work.chain.schedule, work.instance
    moments = [schedule.start_ms(view) - work.timing.eps_ms for view in instance.untimely]
    view = instance.view
    if view >= instance.first and work.leads(view) and not instance.signed.get(VoteKind.PRE_PREPARE, view):
        moments.append(schedule.start_ms(view))
    return [moment for moment in moments if moment > work.now_ms]
