"""`catchup`: how long a validator needs that missed everything, and how long to start with a long chain.

One validator is ended before the first request and started when the chain holds so many; the time until
it is at the others' height is its catch-up. Then it is stopped and started once more: that is the start-up
with a chain of that length. Memory and disk are read at the end.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bench import resources
from bench.experiment import Bench, point
from bench.experiments.peak import guess_per_s
from bench.measurement import Load, Measured, measure
from bench.network import Network, Options

REQUESTS = (2_000, 20_000, 100_000)
REQUESTS_QUICK = (1_000,)
LAST = -1
"""The validator that misses everything."""
POLL_S = 0.05
CATCH_UP_S_MAX = 600.0


class CatchUpError(Exception):
    """The validator did not reach the others' height."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Figures of one chain."""

    requests: int
    blocks: int
    catch_up_s: float
    start_up_s: float
    rss_mib: float
    disk_bytes_per_request: float


async def run(bench: Bench, lengths: Sequence[int], n: int) -> None:
    """Measure every length of chain."""
    bench.watcher.begin("catchup", len(lengths) * bench.settings.runs)
    options = bench.settings.options(n)
    rate = await bench.find_peak(options, guess_per_s(options)) / 2
    for requests in lengths:
        measured: list[Measured] = []
        for number in range(bench.settings.runs):
            bench.watcher.say(f"a chain of {requests:,} requests")
            measured.append(await _one(bench, options, Load(rate, requests / rate, 0.0, 1 + number)))
            bench.watcher.advance()
        bench.record(point("catchup", f"{requests} requests", options), measured)


async def _one(bench: Bench, options: Options, load: Load) -> Measured:
    async with bench.network(options) as network:
        late = network.validators[LAST]
        await late.stop()
        measured = await measure(network, load)
        answered = sum(sample.done_us >= 0 for sample in measured.samples)
        begin_s = time.monotonic()
        await late.start()
        blocks = await _reach_others(network)
        catch_up_s = time.monotonic() - begin_s
        await late.stop()
        begin_s = time.monotonic()
        await late.start()
        start_up_s = time.monotonic() - begin_s
        assert late.pid is not None
        figures = CatchUp(
            requests=answered,
            blocks=blocks,
            catch_up_s=catch_up_s,
            start_up_s=start_up_s,
            rss_mib=resources.rss_mib(late.pid),
            disk_bytes_per_request=network.disk_bytes(options.n - 1) / max(answered, 1),
        )
    found = {name: float(getattr(figures, name)) for name in figures.__slots__}
    costs = {**measured.run.costs, **found}
    run_ = msgspec.structs.replace(measured.run, costs=costs)
    return Measured(run_, measured.samples, measured.start_s)


async def _reach_others(network: Network) -> int:
    """Wait until the late validator is where the first one was when asked; the height reached."""
    goal = int((await network.status(0))["height"])
    end_s = time.monotonic() + CATCH_UP_S_MAX
    while time.monotonic() < end_s:
        height = int((await network.status(network.options.n - 1))["height"])
        if height >= goal:
            return height
        await asyncio.sleep(POLL_S)
    raise CatchUpError(f"after {CATCH_UP_S_MAX:.0f} s the validator that was away is not at height {goal}")
