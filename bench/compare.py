"""`python -m bench compare A B`: what became better or worse by more than the bar.

Lives here: matching rows of two results and judging the differences. Never here: measuring. Pure but for
nothing: it reads no files. Owns the invariant that an invalid row is never judged, only reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.results import Row

BAR = 0.10
"""Differences up to this are noise."""
LATENCIES = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one point in both results; `worse` and `better` only beyond the bar."""

    point: str
    figure: str
    before: float
    after: float
    larger_is_better: bool
    bar: float = BAR

    @property
    def ratio(self) -> float:
        """After over before."""
        return self.after / self.before if self.before else float("inf")

    @property
    def worse(self) -> bool:
        """Beyond the bar in the wrong direction."""
        return self.ratio < 1 - self.bar if self.larger_is_better else self.ratio > 1 + self.bar

    @property
    def better(self) -> bool:
        """Beyond the bar in the right direction."""
        return self.ratio > 1 + self.bar if self.larger_is_better else self.ratio < 1 - self.bar

    @property
    def verdict(self) -> str:
        """One word."""
        if self.worse:
            return "worse"
        return "better" if self.better else "same"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, and the points that could not be compared, each with its reason."""

    changes: list[Change]
    left_out: list[str]

    @property
    def worse(self) -> list[Change]:
        """The changes for the worse."""
        return [change for change in self.changes if change.worse]


def title(row: Row) -> str:
    """A row's point in words."""
    faults = f", {row.faulty} {row.fault}" if row.faulty else ""
    return f"{row.experiment}: {row.workload}, n = {row.n}{faults}, {row.point}"


def compare(before: Sequence[Row], after: Sequence[Row], bar: float = BAR) -> Comparison:
    """Match rows by their point and judge throughput, p50 and p99."""
    changes: list[Change] = []
    left_out: list[str] = []
    later = {row.key: row for row in after}
    for old in before:
        new = later.pop(old.key, None)
        if new is None:
            left_out.append(f"{title(old)}: only in the first result")
        elif not (old.valid and new.valid):
            which = "both" if not (old.valid or new.valid) else "the second" if old.valid else "the first"
            left_out.append(f"{title(old)}: invalid in {which}")
        else:
            changes.extend(_changes(old, new, bar))
    left_out.extend(f"{title(row)}: only in the second result" for row in later.values())
    return Comparison(changes, left_out)


def _changes(old: Row, new: Row, bar: float) -> list[Change]:
    found = [Change(title(old), "throughput", old.throughput, new.throughput, True, bar)]
    for name in LATENCIES:
        if name in old.latency_ms and name in new.latency_ms:
            before, after = old.latency_ms[name], new.latency_ms[name]
            found.append(Change(title(old), f"{name} ms", before, after, False, bar))
    return found
