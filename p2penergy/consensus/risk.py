"""How likely a sampled committee is to be captured: exact arithmetic, for people who choose sizes.

What lives here: the hypergeometric tail, in integers and fractions, and two questions about it.
What never does: floating point, sampling (``committee``), any rule of consensus. Implements the
captured-committee paragraph of CONSENSUS section 9; the paper (2.2.1) leaves the size open.

A committee of ``size`` members drawn uniformly from ``members``, ``bad`` of whom are faulty, is
captured when more than ``f = (size - 1) // 3`` of it are bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

MEMBERS_MAX = 10_000


def tolerated(size: int) -> int:
    """f: how many bad members a committee of ``size`` withstands."""
    return (size - 1) // 3


def bad_members(members: int, share: Fraction) -> int:
    """The number of bad members at a share of 0..1 of them, rounded up to be on the safe side."""
    if not 0 <= share <= 1:
        raise ValueError(f"the share of bad members lies between 0 and 1, not at {float(share):g}")
    return math.ceil(members * share)


def capture_probability(members: int, bad: int, size: int) -> Fraction:
    """P[more than f of a uniformly drawn committee are bad], exactly.

    Raises ValueError unless 0 <= bad <= members, 1 <= size <= members <= MEMBERS_MAX.
    """
    _check(members, bad)
    if not 1 <= size <= members:
        raise ValueError(f"a committee of {members} members has 1 to {members}, not {size}")
    return Fraction(sum(_captured_draws(members, bad, size)), math.comb(members, size))


def smallest_size(members: int, bad: int, target: Fraction) -> int | None:
    """The smallest committee captured with a probability of at most ``target``; None if there is
    none.

    Larger is not always safer: between two sizes of 3f+1 the same f has to withstand more
    members, so only the sizes 3f+1 need to be tried.
    """
    _check(members, bad)
    if target < 0:
        raise ValueError("a probability is not negative")
    for size in range(1, members + 1, 3):
        if _is_within(members, bad, size, target):
            return size
    return None


def expected_blocks_to_capture(members: int, bad: int, size: int) -> Fraction | None:
    """How many blocks pass on average until one has a captured committee; None means never."""
    probability = capture_probability(members, bad, size)
    return 1 / probability if probability else None


def _check(members: int, bad: int) -> None:
    if not 1 <= members <= MEMBERS_MAX:
        raise ValueError(f"a network has 1 to {MEMBERS_MAX} members here, not {members}")
    if not 0 <= bad <= members:
        raise ValueError(f"of {members} members, 0 to {members} can be bad, not {bad}")


def _captured_draws(members: int, bad: int, size: int) -> Iterator[int]:
    """For each number of bad members above f: how many of all the draws have that number."""
    good = members - bad
    least = max(tolerated(size) + 1, size - good)
    most = min(bad, size)
    if least > most:
        return
    draws = math.comb(bad, least) * math.comb(good, size - least)
    yield draws
    for chosen in range(least, most):
        # From `chosen` to `chosen + 1` bad ones; the division is exact, and far cheaper than two
        # binomials per term.
        draws = draws * ((bad - chosen) * (size - chosen))
        draws //= (chosen + 1) * (good - size + chosen + 1)
        yield draws


def _is_within(members: int, bad: int, size: int, target: Fraction) -> bool:
    most_draws = target * math.comb(members, size)
    captured = 0
    for draws in _captured_draws(members, bad, size):
        captured += draws
        if captured > most_draws:  # stops early, which spares most of the work for large networks
            return False
    return True
