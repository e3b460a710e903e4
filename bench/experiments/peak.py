"""`peak`: how much a network takes, by size and workload.

Finds the highest rate that a network keeps up with, then measures at that rate and at half of it.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench.experiment import Bench, point
from bench.measurement import Measured, measure
from bench.network import Options

GUESSES_PER_S = {"trades": 400.0, "signed-256": 800.0, "0/0": 4_000.0}
"""Where the search for n = 4 begins; larger networks begin lower in proportion."""


def guess_per_s(options: Options) -> float:
    """Where to begin the search."""
    return GUESSES_PER_S[options.workload] * 4 / options.n


async def run(bench: Bench, sizes: Sequence[int], workloads: Sequence[str]) -> None:
    """Measure every size with every workload."""
    bench.watcher.begin("peak", len(sizes) * len(workloads) * bench.settings.runs)
    for workload in workloads:
        for n in sizes:
            options = replace(bench.settings.options(n), workload=workload)
            rate = await bench.find_peak(options, guess_per_s(options))
            await at_peak_and_half(bench, "peak", options, rate)


async def at_peak_and_half(bench: Bench, experiment: str, options: Options, peak_per_s: float) -> None:
    """Several runs, each on a new network: first all it takes, then half of that."""
    at_peak: list[Measured] = []
    at_half: list[Measured] = []
    for number in range(bench.settings.runs):
        bench.watcher.say(f"{options.workload}, n = {options.n}: {peak_per_s:,.0f}/s, then half")
        async with bench.network(options) as network:
            at_peak.append(await measure(network, bench.settings.load(peak_per_s, number)))
            at_half.append(await measure(network, bench.settings.load(peak_per_s / 2, number)))
        bench.watcher.advance()
    bench.record(point(experiment, "peak", options), at_peak)
    bench.record(point(experiment, "half of peak", options), at_half)
