"""`crash`: a time line through the crash of a leader and its restart.

Under a steady half of peak load one validator is killed, as a power cut would, and started again later.
It leads one slot in n, so that what is lost shows as slots without a block while it is down.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import msgspec

from bench.experiment import Bench, point
from bench.experiments.peak import guess_per_s
from bench.measurement import Event, Load, Measured, measure
from bench.network import Options
from bench.results import Sample
from bench.stats import longest_gap, per_bucket

DOWN_AT_SHARE, UP_AT_SHARE = 0.25, 0.6
"""Shares of the measured window at which the validator is killed and started again."""
LENGTHS = 2.0
"""How much longer than other runs."""
VICTIM = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """Requests answered per slot's length, and what happened when; seconds from the load's start."""

    bucket_s: float
    answered: list[int]
    down_at_s: float
    up_at_s: float
    slots_without_block_max: int
    """The longest run of slots without a block after the crash, in whole slots."""


async def run(bench: Bench, sizes: Sequence[int]) -> None:
    """Measure every size."""
    bench.watcher.begin("crash", len(sizes) * bench.settings.runs)
    for n in sizes:
        options = bench.settings.options(n)
        rate = await bench.find_peak(options, guess_per_s(options)) / 2
        measured: list[Measured] = []
        for number in range(bench.settings.runs):
            bench.watcher.say(f"n = {n}: killed and started again")
            measured.append(await _one(bench, options, rate, number))
            bench.watcher.advance()
        name = point("crash", "half of peak", options, "crashed and restarted")
        bench.record(msgspec.structs.replace(name, faulty=1), measured)


async def _one(bench: Bench, options: Options, rate_per_s: float, number: int) -> Measured:
    load = bench.settings.load(rate_per_s, number)
    load = replace(load, length_s=load.length_s * LENGTHS)
    down_at_s = load.warm_up_s + DOWN_AT_SHARE * load.length_s
    up_at_s = load.warm_up_s + UP_AT_SHARE * load.length_s
    async with bench.network(options) as network:
        victim = network.validators[VICTIM]
        events = [Event(down_at_s, victim.kill), Event(up_at_s, victim.start)]
        measured = await measure(network, load, events)
    alpha_s = options.timing.alpha_ms / 1000
    line = timeline(measured.samples, load, alpha_s, down_at_s, up_at_s)
    lines = bench.extra.setdefault("timelines", {})
    lines[f"n = {options.n}, run {number + 1}"] = asdict(line)
    return measured


def timeline(
    samples: Sequence[Sample], load: Load, alpha_s: float, down_at_s: float, up_at_s: float
) -> Timeline:
    """The time line of one run, from its samples alone."""
    done_s = [sample.done_us / 1e6 for sample in samples if sample.done_us >= 0]
    gap_s = longest_gap(done_s, down_at_s, load.total_s)
    return Timeline(
        bucket_s=alpha_s,
        answered=per_bucket(done_s, alpha_s, load.total_s),
        down_at_s=down_at_s,
        up_at_s=up_at_s,
        # One block a slot is one slot between answers.
        slots_without_block_max=max(0, round(gap_s / alpha_s) - 1),
    )
