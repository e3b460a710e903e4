"""When requests are to be sent, and whether they were: open-loop load.

Lives here: arrival times and the judgement on the generator that had to keep them. Never here: sending.
Pure: the random source is an argument. Owns the invariant that the moments of a run are fixed before it
begins, so that a slow network can't slow its own load down, and that latency counts from those moments.
"""

from collections.abc import Sequence
from itertools import accumulate
from random import Random

from bench.stats import percentile

LATE_MS_MAX = 50.0
"""How late the generator may send, at the 99th percentile; latency has it included all the same."""
SENT_SHARE_MIN = 0.99
"""Share of the planned requests that must have been sent by the end of the plan."""


def poisson(rate_per_s: float, length_s: float, random: Random) -> list[float]:
    """Moments in [0, length_s), s, of independent arrivals at a mean rate: what many households make."""
    if rate_per_s <= 0 or length_s <= 0:
        raise ValueError("rate and length must be above 0")
    moments: list[float] = []
    now_s = random.expovariate(rate_per_s)
    while now_s < length_s:
        moments.append(now_s)
        now_s += random.expovariate(rate_per_s)
    return moments


def lone(count: int, gap_s_min: float, random: Random) -> list[float]:
    """Moments, s, at random, each at least `gap_s_min` and less than twice that after the one before."""
    return list(accumulate(gap_s_min * (1 + random.random()) for _ in range(count)))


def share(moments: Sequence[float], part: int, parts: int) -> list[float]:
    """What one of several generators sends; together they send everything once."""
    return list(moments[part::parts])


def fell_behind(late_ms: Sequence[float], planned: int) -> str | None:
    """Why the generator can't be trusted, None if it kept its plan.

    `late_ms` holds, for every request that was sent, how long after its moment.
    """
    sent = len(late_ms)
    if sent < planned * SENT_SHARE_MIN:
        return f"the generator fell behind: it sent {sent} of {planned} requests"
    if sent:
        late = percentile(sorted(late_ms), 99)
        if late > LATE_MS_MAX:
            return (
                f"the generator fell behind: one request in a hundred was sent {late:.0f} ms late or "
                f"later, {LATE_MS_MAX:.0f} ms are allowed"
            )
    return None
