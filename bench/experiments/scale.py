"""`scale`: what a request costs as the network grows.

Messages, bytes, CPU time, durable commits and memory per request against n, at one low rate that all
sizes take.
"""

from collections.abc import Sequence

from bench.experiment import Bench, point
from bench.measurement import Measured, measure

SIZES = (4, 7, 10, 13, 16)
SIZES_QUICK = (4, 7)
RATE_PER_S = 100.0


async def run(bench: Bench, sizes: Sequence[int]) -> None:
    """Measure every size at the one rate."""
    bench.watcher.begin("scale", len(sizes) * bench.settings.runs)
    for n in sizes:
        options = bench.settings.options(n)
        measured: list[Measured] = []
        for number in range(bench.settings.runs):
            bench.watcher.say(f"n = {n}: {RATE_PER_S:.0f}/s")
            async with bench.network(options) as network:
                measured.append(await measure(network, bench.settings.load(RATE_PER_S, number)))
            bench.watcher.advance()
        bench.record(point("scale", f"{RATE_PER_S:.0f}/s", options), measured)
