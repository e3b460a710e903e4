"""What every experiment needs: settings, networks in folders of their own, rows as they come.

Lives here: the frame around the experiments in `bench.experiments`. Never here: what they measure. Owns
the invariants that every run begins with a new network, and that results are on the disk as soon as there
are any: a benchmark that is broken off leaves what it had.
"""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.measurement import Load, Measured, measure
from bench.network import Network, Options, Timing
from bench.results import Folder, Point, Row, Run, Summary, row
from bench.watching import Watcher

KEPT_UP_SHARE = 0.92
"""A network that answers this share of what is offered, within the window, keeps up: blocks come one per
slot, so that a window's edge can cut off one block's worth."""
PEAK_GROWTH = 1.5
PEAK_PROBES_MAX = 9


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line chose."""

    quick: bool = False
    runs: int = 3
    workload: str = "trades"
    timing: Timing = field(default_factory=Timing)
    tls: bool = True
    generators: int = 1
    pairs: int = 4
    length_s: float = 10.0
    warm_up_s: float = 3.0
    probe_s: float = 4.0
    peak_per_s: float | None = None
    """Taken for every network's peak; None: it is searched for."""

    def options(self, n: int) -> Options:
        """A network of `n` validators without faults."""
        return Options(
            n=n,
            workload=self.workload,
            timing=self.timing,
            tls=self.tls,
            generators=self.generators,
            pairs=self.pairs,
        )

    def load(self, rate_per_s: float, run: int = 0) -> Load:
        """The load of one run; each run has arrivals of its own."""
        return Load(rate_per_s, self.length_s, self.warm_up_s, seed=1 + run)


def quick(settings: Settings) -> Settings:
    """The same, short."""
    return replace(settings, quick=True, runs=1, length_s=4.0, warm_up_s=1.5, probe_s=2.5)


@dataclass(slots=True)
class Bench:
    """One command's results as they grow."""

    command: str
    settings: Settings
    folder: Folder
    watcher: Watcher
    rows: list[Row] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    _machine: dict[str, str | int] = field(default_factory=machine.describe)

    @asynccontextmanager
    async def network(self, options: Options) -> AsyncIterator[Network]:
        """A new network in a temporary folder, ended and removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="p2penergy-bench-") as place:
            async with Network(options, Path(place)) as network:
                yield network

    def record(self, point: Point, measured: Sequence[Measured]) -> Row:
        """Several runs of one point: raw files, a row, the summary once more."""
        runs: list[Run] = []
        for number, one in enumerate(measured, 1):
            words = (point.experiment, point.name, point.workload, f"n{point.n}", point.fault)
            name = "-".join(_plain(word) for word in (*words, f"{point.faulty}", f"run{number}"))
            raw = self.folder.write_raw(name, one.samples)
            runs.append(msgspec.structs.replace(one.run, raw=raw))
        made = row(point, runs)
        self.rows.append(made)
        self.save()
        self.watcher.row(made)
        return made

    def save(self) -> None:
        """Write the summary as it is now."""
        settings = self.settings
        summary = Summary(
            command=self.command,
            quick=settings.quick,
            machine=self._machine,
            settings={
                "alpha_ms": settings.timing.alpha_ms,
                "eps_ms": settings.timing.eps_ms,
                "delta_ms": settings.timing.delta_ms,
                "tls": settings.tls,
                "runs": settings.runs,
                "generators": settings.generators,
                "submitters": settings.generators * settings.pairs,
                "warm_up_s": settings.warm_up_s,
                "length_s": settings.length_s,
                "peak_given_per_s": settings.peak_per_s or 0.0,
            },
            rows=self.rows,
            extra=self.extra,
        )
        self.folder.write_summary(summary)

    async def find_peak(self, options: Options, guess_per_s: float) -> float:
        """The highest rate, per second, at which a new network keeps up."""
        if self.settings.peak_per_s is not None:
            return self.settings.peak_per_s
        async with self.network(options) as network:
            return await self.peak_of(network, guess_per_s)

    async def peak_of(self, network: Network, guess_per_s: float) -> float:
        """The highest rate, per second, at which this network keeps up.

        Grows from `guess_per_s` by half until the network lags, or shrinks until it does not, then halves
        the interval.
        """
        settings = self.settings
        kept, lagged, rate = 0.0, 0.0, guess_per_s
        for probe in range(PEAK_PROBES_MAX):
            self.watcher.say(f"n = {network.options.n}: does it keep up with {rate:,.0f}/s?")
            load = Load(rate, settings.probe_s, settings.warm_up_s / 2, seed=100 + probe)
            run = (await measure(network, load)).run
            if run.throughput >= KEPT_UP_SHARE * run.rate_offered:
                kept = max(kept, rate)
            else:
                lagged = rate if not lagged else min(lagged, rate)
            if kept and lagged and lagged / kept < 1 + (PEAK_GROWTH - 1) / 3:
                break
            rate = _next_rate(kept, lagged)
        return kept or lagged / PEAK_GROWTH


def _next_rate(kept: float, lagged: float) -> float:
    if not lagged:
        return kept * PEAK_GROWTH
    if not kept:
        return lagged / PEAK_GROWTH
    return (kept + lagged) / 2


def point(experiment: str, name: str, options: Options, fault: str = "none") -> Point:
    """The point of a network's options."""
    return Point(
        experiment=experiment,
        name=name,
        workload=options.workload,
        n=options.n,
        f=options.f,
        faulty=len(options.faults),
        fault=fault,
    )


def _plain(word: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in word)
