"""One run of one point: load on a network, and the figures that come of it, judged.

Lives here: the order of a run (limit, signing, a look at the machine, load, drain, status) and what makes
it invalid. Never here: which points there are (`experiments`). Owns the invariant that a run is called
valid only when the generator kept its plan, the machine did nothing else, every request was answered
once and rightly, and the validators agree.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench import machine, resources, schedule
from bench.generator import Plan
from bench.load import Collected
from bench.network import Network
from bench.resources import Usage
from bench.results import Run, Sample
from bench.stats import percentiles

START_DELAY_S = 0.3
"""Between giving the order and the first moment, so that all generators have it in time."""
DRAIN_S = 60.0
"""How long the last requests may take; a run whose requests take longer lost them."""
BACKGROUND_S = 0.3
LIMIT_S = 0.5
LOOK_S = 1.0
"""How often others' use of the machine is looked at during a run."""
REQUESTS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What one run sends."""

    rate_per_s: float
    length_s: float
    """Of the measured window, after the warm-up."""
    warm_up_s: float
    seed: int = 1
    lone_gap_s: float = 0.0
    """Above 0: one request at a time, at least this far apart, instead of a rate."""

    @property
    def total_s(self) -> float:
        """Warm-up and window."""
        return self.warm_up_s + self.length_s

    @property
    def requests(self) -> int:
        """About how many, with room to spare."""
        rate = 1 / self.lone_gap_s if self.lone_gap_s else self.rate_per_s
        return min(int(rate * self.total_s * 1.05) + 20, REQUESTS_MAX)


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to the network in mid-run."""

    at_s: float
    """After the start of the load, warm-up included."""
    action: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """A run with its raw data."""

    run: Run
    samples: list[Sample]
    start_s: float
    """The moment that the samples count from, on `time.monotonic`."""


async def measure(network: Network, load: Load, events: Sequence[Event] = ()) -> Measured:
    """Run `load` on `network` once."""
    await network.generators.sign(load.requests)
    verifies = await asyncio.to_thread(machine.verifies_per_s, LIMIT_S)
    before = await resources.usage(network)
    idle_share = await _others_while(network, BACKGROUND_S)
    start_s = time.monotonic() + START_DELAY_S
    plan = Plan(
        start_s=start_s,
        rate_per_s=load.rate_per_s,
        length_s=load.total_s,
        drain_s=DRAIN_S,
        seed=load.seed,
        part=0,
        parts=1,
        lone_gap_s=load.lone_gap_s,
    )
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_others_until(network, start_s + load.total_s))
        for event in events:
            group.create_task(_at(start_s + event.at_s, event.action))
        collecting = group.create_task(network.generators.run(plan))
    after = await resources.usage(network)
    others = (idle_share, watching.result())
    return _figures(network, load, collecting.result(), before, after, verifies, others, start_s)


def _figures(
    network: Network,
    load: Load,
    collected: Collected,
    before: dict[int, Usage],
    after: dict[int, Usage],
    verifies: float,
    others: tuple[float, float],
    start_s: float,
) -> Measured:
    samples, kind = collected.samples, network.options.kind
    # On machines of their own the replicas check at the same time; all are taken to be like this one.
    replicas = 1 if network.is_remote else network.options.n
    answered = sum(sample.done_us >= 0 for sample in samples)
    reasons = [
        machine.busy_with_others(others[0], "before the run"),
        machine.busy_with_others(others[1], "during the run"),
        schedule.fell_behind(lateness_ms(samples), len(samples)),
        *wrong_answers(collected),
        resources.disagreement(after),
    ]
    run = Run(
        rate_offered=offered(samples, load),
        throughput=throughput(samples, load),
        latency_ms=percentiles(latencies_ms(samples, load)),
        signature_limit=machine.signature_limit(verifies, kind.verifies, replicas),
        costs={**resources.costs(before, after, answered), "others_share": max(others)},
        invalid_because=tuple(reason for reason in reasons if reason),
    )
    return Measured(run, samples, start_s)


# ---- figures of samples ---------------------------------------------------------------------------


def _in_window(moment_us: int, load: Load) -> bool:
    return load.warm_up_s <= moment_us / 1e6 < load.total_s


def latencies_ms(samples: Sequence[Sample], load: Load) -> list[float]:
    """From the intended moment to f+1 replies, of the answered requests intended within the window."""
    return [
        (sample.done_us - sample.intended_us) / 1000
        for sample in samples
        if sample.done_us >= 0 and _in_window(sample.intended_us, load)
    ]


def throughput(samples: Sequence[Sample], load: Load) -> float:
    """Requests per second that were answered within the window."""
    return sum(sample.done_us >= 0 and _in_window(sample.done_us, load) for sample in samples) / load.length_s


def offered(samples: Sequence[Sample], load: Load) -> float:
    """Requests per second that were intended within the window."""
    return sum(_in_window(sample.intended_us, load) for sample in samples) / load.length_s


def lateness_ms(samples: Sequence[Sample]) -> list[float]:
    """How late each request was sent, of those that were."""
    return [(s.sent_us - s.intended_us) / 1000 for s in samples if s.sent_us >= 0]


def wrong_answers(collected: Collected) -> list[str]:
    """What was wrong with the replies, in sentences; [] when every request was answered once, rightly.

    A refusal is no wrong answer: a network that has too much to do says so.
    """
    outcomes = Counter(sample.outcome for sample in collected.samples)
    wrong = []
    if outcomes["lost"]:
        wrong.append(f"{outcomes['lost']} requests were never answered")
    if outcomes["declined"]:
        wrong.append(f"replies were wrong: {outcomes['declined']} correct requests were declined")
    if collected.repeated:
        wrong.append(f"replies were wrong: {collected.repeated} requests were executed twice")
    return wrong


# ---- time -----------------------------------------------------------------------------------------


async def _at(moment_s: float, action: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(max(0.0, moment_s - time.monotonic()))
    await action()


async def _others_while(network: Network, length_s: float) -> float:
    return await _others_until(network, time.monotonic() + length_s)


async def _others_until(network: Network, end_s: float) -> float:
    """Share of the machine that others use until then."""
    shares: list[tuple[float, float]] = []
    now_s = time.monotonic()
    while now_s < end_s:
        pids = [*network.pids(), machine.own_pid()]
        before = machine.cpu_times(pids)
        await asyncio.sleep(min(LOOK_S, end_s - now_s))
        # A process that ended in between took its account with it: leave that moment out.
        if set(network.pids()).issuperset(pids[:-1]):
            after = machine.cpu_times(pids)
            shares.append((machine.others_share(before, after), after.at_s - before.at_s))
        now_s = time.monotonic()
    length_s = sum(length for _, length in shares)
    return sum(share * length for share, length in shares) / length_s if length_s else 0.0
