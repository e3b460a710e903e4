"""`wan`: validators far from each other: delay and bandwidth put in by the project's own fault layer.

Every message between validators is late by the delay, one way, and shares the link's bandwidth; clients
are as near as ever. Genesis is made for the network at hand: delta grows by the delay, and alpha stays
what delta needs.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench.experiment import Bench, point
from bench.measurement import Measured, measure
from bench.network import Timing

DELAYS_MS = (0.0, 10.0, 25.0, 50.0, 100.0)
DELAYS_QUICK_MS = (0.0, 25.0, 100.0)
BANDWIDTHS_MBIT_PER_S = (0, 10)
"""0: not limited."""
RATE_PER_S = 200.0
BYTES_PER_MBIT = 125_000


def timing_for(base: Timing, delay_ms: float) -> Timing:
    """Genesis figures for messages that take so much longer."""
    delta_ms = base.delta_ms + round(delay_ms)
    alpha_ms = max(base.alpha_ms, 4 * base.eps_ms + 12 * delta_ms)
    return Timing(alpha_ms=alpha_ms, eps_ms=base.eps_ms, delta_ms=delta_ms)


def point_name(delay_ms: float, mbit_per_s: int) -> str:
    """The point's name in the results."""
    return f"{delay_ms:.0f} ms" + (f", {mbit_per_s} Mbit/s" if mbit_per_s else "")


async def run(bench: Bench, sizes: Sequence[int]) -> None:
    """Measure every size, delay and bandwidth at one rate."""
    delays = DELAYS_QUICK_MS if bench.settings.quick else DELAYS_MS
    bandwidths = BANDWIDTHS_MBIT_PER_S[:1] if bench.settings.quick else BANDWIDTHS_MBIT_PER_S
    bench.watcher.begin("wan", len(sizes) * len(delays) * len(bandwidths) * bench.settings.runs)
    for n in sizes:
        for mbit_per_s in bandwidths:
            for delay_ms in delays:
                await _measure(bench, n, delay_ms, mbit_per_s)


async def _measure(bench: Bench, n: int, delay_ms: float, mbit_per_s: int) -> None:
    options = replace(
        bench.settings.options(n),
        timing=timing_for(bench.settings.timing, delay_ms),
        delay_ms=delay_ms,
        bandwidth_bytes_per_s=mbit_per_s * BYTES_PER_MBIT,
    )
    name = point_name(delay_ms, mbit_per_s)
    measured: list[Measured] = []
    for number in range(bench.settings.runs):
        bench.watcher.say(f"n = {n}: {name}")
        async with bench.network(options) as network:
            measured.append(await measure(network, bench.settings.load(RATE_PER_S, number)))
        bench.watcher.advance()
    bench.record(point("wan", name, options), measured)
