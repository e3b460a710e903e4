"""From cumulative registers to the energy of each settlement period.

Lives here: `Registers`, which takes samples in and hands periods out, and what is wrong with the rest. Never
here: IO, the clock, signing. Owns the invariants that each period comes out once, in ascending order, that
all periods between two samples add up to what the registers grew by, and that no energy is made up: a
period is known only when the registers at its start and end are, from samples at most `SPAN_S_MAX` apart.
Implements LEDGER section 4, step 1 (netted within the period).

The register at a boundary is read off the straight line between the samples around it, in whole Wh.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from p2penergy.grid.periods import PERIOD_S, period_start_text
from p2penergy.meters.samples import Sample

SPAN_S_MAX = PERIOD_S
"""Samples further apart than this leave a gap: what happened when between them nobody knows."""

DOUBTED_MAX = 3
"""So many samples in a row that can't follow the last good one are a meter that was changed or reset."""


class Frontier(msgspec.Struct, frozen=True):
    """All that the next sample is held against; kept, it lets a meter go on after a restart."""

    at_s: int | None = None
    import_wh: int = 0
    export_wh: int = 0
    boundary_period: int | None = None
    """The period that began with `boundary_import_wh` and `boundary_export_wh`; None: not known."""
    boundary_import_wh: int = 0
    boundary_export_wh: int = 0


@dataclass(frozen=True, slots=True)
class PeriodEnergy:
    """One period, netted: at least one of the two is zero."""

    period: int
    import_wh: int
    export_wh: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one meter can show."""

    rated_w: int = 0
    """Of the connection; 0: unlimited."""
    register_wh: int = 0
    """Where a register starts again from 0, such as 1,000,000,000 for six digits of kWh; 0: never."""


class Registers:
    """Samples in, energies per period out; `problems` collects a sentence for whatever was passed over."""

    def __init__(self, limits: Limits, frontier: Frontier | None = None) -> None:
        self._limits = limits
        self.frontier = frontier or Frontier()
        self.problems: list[str] = []
        self._doubted = 0

    def feed(self, samples: Iterable[Sample], now_s: int) -> list[PeriodEnergy]:
        """Periods that these samples complete, ascending; `samples` may come in any order.

        `now_s` is the present, unix seconds: samples from the future are refused.
        """
        found: list[PeriodEnergy] = []
        late = 0
        for sample in sorted(samples):
            if sample.at_s > now_s:
                self._refuse(sample, "lies in the future: set the meter's clock")
            elif self.frontier.at_s is None:
                self._begin(sample)
            elif sample.at_s > self.frontier.at_s:
                found += self._advance(sample)
            elif sample.at_s < self.frontier.at_s:
                late += 1
            elif (sample.import_wh, sample.export_wh) != (self.frontier.import_wh, self.frontier.export_wh):
                self._refuse(sample, "contradicts another of the same moment: the first one counts")
        if late:
            self.problems.append(f"{late} samples are older than what was known before: passed over")
        return found

    def _refuse(self, sample: Sample, why: str) -> None:
        self.problems.append(f"the sample of {_text(sample.at_s)} {why}")

    def _begin(self, sample: Sample) -> None:
        """Start from here: the period is known from its very start only on a boundary."""
        period, rest_s = divmod(sample.at_s, PERIOD_S)
        boundary = None if rest_s else period
        self.frontier = Frontier(
            sample.at_s, sample.import_wh, sample.export_wh, boundary, sample.import_wh, sample.export_wh
        )

    def _advance(self, sample: Sample) -> list[PeriodEnergy]:
        before = self.frontier
        assert before.at_s is not None, "there is a sample before"
        span_s = sample.at_s - before.at_s
        grown = [
            self._growth(old_wh, new_wh, span_s)
            for old_wh, new_wh in (
                (before.import_wh, sample.import_wh),
                (before.export_wh, sample.export_wh),
            )
        ]
        import_wh, export_wh = grown
        if import_wh is None or export_wh is None:
            self._doubt(sample)
            return []
        self._doubted = 0
        if span_s > SPAN_S_MAX:
            self.problems.append(
                f"no sample between {_text(before.at_s)} and {_text(sample.at_s)}: "
                "the periods between can't be told apart and are left out"
            )
            self._begin(sample)
            return []
        return self._cross(before, sample, import_wh, export_wh)

    def _doubt(self, sample: Sample) -> None:
        """Pass over a sample that can't follow; several in a row are the registers of another meter."""
        self._doubted += 1
        if self._doubted < DOUBTED_MAX:
            self._refuse(sample, "shows less than the one before, or more than the connection carries")
            return
        self._refuse(sample, f"is the {DOUBTED_MAX}rd in a row that can't follow: begun anew, with a gap")
        self._doubted = 0
        self._begin(sample)

    def _growth(self, old_wh: int, new_wh: int, span_s: int) -> int | None:
        """How much a register grew, over its end if it has one; None: that can't be."""
        grown_wh = new_wh - old_wh
        most_wh = self._limits.rated_w * span_s // 3600 + 1 if self._limits.rated_w else None
        if grown_wh < 0 and self._limits.register_wh:
            grown_wh += self._limits.register_wh
            # Without a rating: a register that was reset looks as if it had run nearly once round.
            most_wh = self._limits.register_wh // 10 if most_wh is None else most_wh
        if grown_wh < 0 or (most_wh is not None and grown_wh > most_wh):
            return None
        return grown_wh

    def _cross(self, before: Frontier, sample: Sample, import_wh: int, export_wh: int) -> list[PeriodEnergy]:
        """The boundaries between two samples: at most one, or the second sample's own."""
        assert before.at_s is not None, "there is a sample before"
        period = sample.at_s // PERIOD_S
        start_s = period * PERIOD_S
        if start_s <= before.at_s:
            self.frontier = msgspec.structs.replace(
                before, at_s=sample.at_s, import_wh=sample.import_wh, export_wh=sample.export_wh
            )
            # Growth over a register's end is put on the boundary, which then counts from below zero.
            self._shift(sample.import_wh - before.import_wh - import_wh, 0)
            self._shift(0, sample.export_wh - before.export_wh - export_wh)
            return []
        share_s, span_s = start_s - before.at_s, sample.at_s - before.at_s
        import_to_wh, export_to_wh = import_wh * share_s // span_s, export_wh * share_s // span_s
        found = []
        if before.boundary_period == period - 1:
            drawn_wh = before.import_wh + import_to_wh - before.boundary_import_wh
            fed_wh = before.export_wh + export_to_wh - before.boundary_export_wh
            both_wh = min(drawn_wh, fed_wh)
            found.append(PeriodEnergy(period - 1, drawn_wh - both_wh, fed_wh - both_wh))
        else:
            self.problems.append(f"the period of {period_start_text(period - 1)} is not known from its start")
        self.frontier = Frontier(
            sample.at_s,
            sample.import_wh,
            sample.export_wh,
            period,
            sample.import_wh - (import_wh - import_to_wh),
            sample.export_wh - (export_wh - export_to_wh),
        )
        return found

    def _shift(self, import_wh: int, export_wh: int) -> None:
        self.frontier = msgspec.structs.replace(
            self.frontier,
            boundary_import_wh=self.frontier.boundary_import_wh + import_wh,
            boundary_export_wh=self.frontier.boundary_export_wh + export_wh,
        )


def _text(at_s: int) -> str:
    period, rest_s = divmod(at_s, PERIOD_S)
    start = period_start_text(period)
    return start if not rest_s else f"{start} and {rest_s} s"
