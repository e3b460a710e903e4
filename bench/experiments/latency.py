"""`latency`: a lone request, and the curve of latency over load up to and beyond saturation.

A lone request is one at a time, at random moments at least two slots apart. The curve's rates are shares
of the rate that the network keeps up with. One more run, on a network that takes notes, tells where the
time goes.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench import tracing
from bench.experiment import Bench, point
from bench.experiments.peak import guess_per_s
from bench.measurement import Load, Measured, measure
from bench.network import Options

SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
SHARES_QUICK = (0.25, 0.5, 1.0, 1.2)
LONE_SLOTS_MIN = 2
LONE_S = 60.0
LONE_QUICK_S = 20.0


def share_name(share: float) -> str:
    """The point's name in the results."""
    return f"{share:.0%} of peak"


async def run(bench: Bench, sizes: Sequence[int]) -> None:
    """Measure every size."""
    shares = SHARES_QUICK if bench.settings.quick else SHARES
    bench.watcher.begin("latency", len(sizes) * (2 + bench.settings.runs * (1 + len(shares))))
    for n in sizes:
        options = bench.settings.options(n)
        rate = await bench.find_peak(options, guess_per_s(options))
        bench.watcher.advance()
        await _curve(bench, options, rate, shares)
        await _stages(bench, options, rate / 2)


async def _curve(bench: Bench, options: Options, peak_per_s: float, shares: Sequence[float]) -> None:
    settings = bench.settings
    lone: list[Measured] = []
    at: dict[float, list[Measured]] = {share: [] for share in shares}
    for number in range(settings.runs):
        async with bench.network(options) as network:
            bench.watcher.say(f"n = {options.n}: lone requests")
            lone.append(await measure(network, _lone(bench, number)))
            bench.watcher.advance()
            for share in shares:
                bench.watcher.say(f"n = {options.n}: {share_name(share)}")
                at[share].append(await measure(network, settings.load(share * peak_per_s, number)))
                bench.watcher.advance()
    bench.record(point("latency", "lone", options), lone)
    for share, measured in at.items():
        bench.record(point("latency", share_name(share), options), measured)


def _lone(bench: Bench, number: int) -> Load:
    length_s = LONE_QUICK_S if bench.settings.quick else LONE_S
    gap_s = LONE_SLOTS_MIN * bench.settings.timing.alpha_ms / 1000
    return Load(0.0, length_s, 0.0, seed=1 + number, lone_gap_s=gap_s)


async def _stages(bench: Bench, options: Options, rate_per_s: float) -> None:
    traced = replace(options, traced=True)
    async with bench.network(traced) as network:
        bench.watcher.say(f"n = {options.n}: where the time goes")
        measured = await measure(network, bench.settings.load(rate_per_s))
        for number in network.correct():
            await network.validators[number].stop()
        notes = [
            tracing.read(network.validators[number].home / tracing.TRACE_FILE) for number in network.correct()
        ]
    stages = tracing.stages_ms(measured.samples, measured.start_s, notes)
    name = f"n = {options.n}, half of peak"
    bench.extra.setdefault("stages_ms", {})[name] = stages
    bench.extra.setdefault("stages_invalid_because", {})[name] = list(measured.run.invalid_because)
    bench.save()
    bench.watcher.advance()
