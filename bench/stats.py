"""Figures from raw data: percentiles, spread over runs, the warm-up cut.

Lives here: arithmetic on lists of numbers. Never here: where they come from, files. Pure. Owns the
invariant that a percentile is a value that was measured (nearest rank), never an interpolation.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil
from statistics import median
from typing import NamedTuple

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}
"""Names in results, and the percentages."""

_ROUNDING = 1e-9
"""99.9 % of 1000 is 999.0000000000001 in floating point; its rank is 999 all the same."""


class Spread(NamedTuple):
    """One figure over several runs."""

    min: float
    median: float
    max: float


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` % do not exceed.

    Raises:
        ValueError: no values, or a percentage outside 0..100.
    """
    if not ascending:
        raise ValueError("no values: there is no percentile of nothing")
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentage lies in 0..100, not {percent}")
    rank = ceil(percent / 100 * len(ascending) - _ROUNDING)
    return ascending[max(rank, 1) - 1]


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """All of `PERCENTILES` by name; {} when nothing was measured."""
    ascending = sorted(values)
    if not ascending:
        return {}
    return {name: percentile(ascending, percent) for name, percent in PERCENTILES.items()}


def spread(values: Sequence[float]) -> Spread:
    """Least, median and greatest of several runs; raises `ValueError` for none."""
    if not values:
        raise ValueError("no runs: there is no spread of nothing")
    return Spread(min(values), float(median(values)), max(values))


def spreads(runs: Sequence[dict[str, float]]) -> dict[str, Spread]:
    """The spread of every named figure that all runs have."""
    if not runs:
        return {}
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: spread([run[name] for run in runs]) for name in names}


def per_bucket(moments_s: Iterable[float], bucket_s: float, length_s: float) -> list[int]:
    """How many moments fall into each bucket of [0, length_s); others are left out."""
    counts = [0] * ceil(length_s / bucket_s - _ROUNDING)
    for moment in moments_s:
        if 0 <= moment < length_s:
            counts[min(int(moment / bucket_s), len(counts) - 1)] += 1
    return counts


def longest_gap(moments_s: Iterable[float], start_s: float, end_s: float) -> float:
    """The longest time within [start_s, end_s] without any of the moments, s."""
    inside = sorted(moment for moment in moments_s if start_s < moment < end_s)
    edges = [start_s, *inside, end_s]
    return max(b - a for a, b in pairwise(edges))
