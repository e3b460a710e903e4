"""`faults`: throughput and latency against f, honest and with faulty members.

For each f the network of n = 3f + 1 is first measured without faults: the rate it keeps up with is what
all others of that size are offered too. So a row's throughput over the fault-free row's is what the fault
costs. Half of that rate, on the same network, gives the latency of a network that is not full.
"""

from collections.abc import Iterator, Sequence

from bench.experiment import Bench, point
from bench.experiments.peak import guess_per_s
from bench.measurement import Event, Load, Measured, measure
from bench.network import Network, Options, with_faults

CRASH_AT_SHARE = 0.4
"""Share of the measured window after which the crashing members are killed."""

Case = tuple[str, int]
"""Fault and number of members that have it."""


def cases(f: int, faults: Sequence[str], everything: bool) -> Iterator[Case]:
    """No fault, then every fault with f members, and with 1 .. f - 1 where `everything` is wanted."""
    yield "none", 0
    for fault in faults:
        for count in range(1, f + 1):
            if everything or count == f:
                yield fault, count


def plan_for(fault_limits: Sequence[int], faults: Sequence[str], quick: bool) -> dict[int, list[Case]]:
    """The cases of every f. Quick ones fit into five minutes: larger networks with one fault only."""
    plan = {f: list(cases(f, faults, not quick)) for f in fault_limits}
    if quick:
        for f in list(plan)[1:]:
            plan[f] = plan[f][:2]
    return plan


async def run(bench: Bench, fault_limits: Sequence[int], faults: Sequence[str]) -> None:
    """Measure all cases for every f."""
    plan = plan_for(fault_limits, faults, bench.settings.quick)
    bench.watcher.begin("faults", sum(map(len, plan.values())) * bench.settings.runs)
    for f, todo in plan.items():
        honest = bench.settings.options(3 * f + 1)
        rate = await bench.find_peak(honest, guess_per_s(honest))
        for fault, count in todo:
            await _measure(bench, with_faults(honest, fault, count), fault, rate)


async def _measure(bench: Bench, options: Options, fault: str, rate_per_s: float) -> None:
    at_peak: list[Measured] = []
    at_half: list[Measured] = []
    for number in range(bench.settings.runs):
        bench.watcher.say(f"n = {options.n}, {len(options.faults)} {fault}: {rate_per_s:,.0f}/s")
        async with bench.network(options) as network:
            load = bench.settings.load(rate_per_s, number)
            events = crashes(network, load) if fault == "crashed" else ()
            at_peak.append(await measure(network, load, events))
            at_half.append(await measure(network, bench.settings.load(rate_per_s / 2, number)))
        bench.watcher.advance()
    bench.record(point("faults", "peak", options, fault), at_peak)
    bench.record(point("faults", "half of peak", options, fault), at_half)


def crashes(network: Network, load: Load) -> list[Event]:
    """The faulty members are killed, all at once, in the middle of the measured window."""
    at_s = load.warm_up_s + CRASH_AT_SHARE * load.length_s
    return [Event(at_s, network.validators[number].kill) for number in network.options.faults]
