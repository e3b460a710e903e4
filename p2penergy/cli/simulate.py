"""`p2penergy simulate`: many seeded schedules, or one directed scenario, against the invariants.

Lives here: the command, its progress bar and its report. Never here: simulating. Implements the campaign
of CONSENSUS sections 10 to 12.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from p2penergy.cli.crowd import measure_crowd
from p2penergy.collector import spare_collector
from p2penergy.messages import COMMITTEE_SIZE_MAX
from p2penergy.simulation.coverage import Coverage
from p2penergy.simulation.plans import PROFILES, Plan, draw_plan, profile_named
from p2penergy.simulation.runner import Result, run_plan
from p2penergy.simulation.scenario import ScenarioError, of_seed, parse, plan_of
from p2penergy.simulation.shrinking import shrink

JOBS_MAX = 256
CROWD_MAX = 5_000
CHUNK_SEEDS = 16
TWINS = "twins"
"""The profile of Twins scenarios; which one a seed is, `scenario.of_seed` says."""


@dataclass(slots=True)
class Report:
    """What a campaign has seen so far."""

    schedules: int = 0
    blocks: int = 0
    frames: int = 0
    evidence: int = 0
    seconds: float = 0.0
    coverage: Coverage = field(default_factory=Coverage)
    refusals: Counter[str] = field(default_factory=Counter)
    failure: Result | None = None
    scenario: Path | None = None

    def command(self) -> str | None:
        """What reproduces the failure."""
        if self.failure is None or self.scenario is None:
            return None if self.failure is None else self.failure.command()
        return f"p2penergy simulate --scenario {self.scenario} --trace"

    def add(self, result: Result) -> None:
        """Take a run in; the first failure is kept."""
        self.schedules += 1
        self.blocks += result.height
        self.frames += result.frames
        self.evidence += result.evidence
        self.coverage.add(result.coverage)
        self.refusals.update(result.refusals)
        if not result.ok and self.failure is None:
            self.failure = result

    def figures(self) -> dict[str, object]:
        """For machines."""
        rate = self.schedules / self.seconds if self.seconds else 0.0
        failure = self.failure
        return {
            "schedules": self.schedules,
            "schedules_per_s": round(rate, 1),
            "blocks": self.blocks,
            "frames": self.frames,
            "evidence": self.evidence,
            "situations": self.coverage.distinct,
            "refusals": dict(sorted(self.refusals.items())),
            "violation": None if failure is None else failure.violation,
            "sentence": None if failure is None else failure.sentence,
            "command": self.command(),
        }


def parse_seeds(text: str) -> range:
    """`A..B`, both included, or one number."""
    first, dots, last = text.partition("..")
    try:
        seeds = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a range of seeds such as 0..999") from None
    if not seeds:
        raise click.BadParameter(f"{text!r} is an empty range: the first seed is above the last")
    return seeds


def plan_for(seed: int, members: int, profile: str) -> Plan:
    """A drawn plan; for the profile `twins` the Twins scenario of that seed."""
    if profile == TWINS:
        return plan_of(of_seed(seed, members), seed)
    return draw_plan(seed, members, profile_named(profile))


def run_seed(seed: int, members: tuple[int, ...], profile: str, without: tuple[int, ...] = ()) -> Result:
    """One run of a campaign; seeds take turns with the sizes."""
    plan = plan_for(seed, members[seed % len(members)], profile)
    return run_plan(plan.leave_out(without) if without else plan)


def _told(seed: int, members: tuple[int, ...], profile: str) -> dict[str, Any]:
    """What a worker tells of a run: all but its plan, which follows from the seed.

    Once compiled, a plan's frozen parts can't be put together again from a pickle.
    """
    result = run_seed(seed, members, profile)
    return {part.name: getattr(result, part.name) for part in fields(result) if part.name != "plan"}


def _heard(seed: int, told: dict[str, Any], members: tuple[int, ...], profile: str) -> Result:
    return Result(plan=plan_for(seed, members[seed % len(members)], profile), **told)


@contextmanager
def results_of(seeds: range, members: tuple[int, ...], profile: str, jobs: int) -> Iterator[Iterable[Result]]:
    """The runs of a campaign, in the order of their seeds, by so many processes."""
    if jobs == 1:
        spare_collector()
        yield map(partial(run_seed, members=members, profile=profile), seeds)
        return
    work = partial(_told, members=members, profile=profile)
    hear = partial(_heard, members=members, profile=profile)
    # Workers start afresh: a fork would copy whatever threads this process has.
    with get_context("spawn").Pool(jobs, initializer=spare_collector) as pool:
        yield map(hear, seeds, pool.imap(work, seeds, chunksize=CHUNK_SEEDS))


def campaign(seeds: range, members: tuple[int, ...], profile: str, jobs: int, console: Console) -> Report:
    """Run all seeds, or up to the first failure."""
    report, began = Report(), monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TextColumn("{task.fields[situations]} situations"),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=console) as progress,
        results_of(seeds, members, profile, jobs) as results,
    ):
        task = progress.add_task(profile, total=len(seeds), rate=0.0, situations=0)
        for result in results:
            report.add(result)
            report.seconds = monotonic() - began
            rate = report.schedules / max(report.seconds, 1e-9)
            progress.update(task, advance=1, rate=rate, situations=report.coverage.distinct)
            if report.failure is not None:
                break
    return report


def _single(plan: Plan, trace: bool, shrunk: bool, console: Console) -> Report:
    report, began = Report(), monotonic()
    result = run_plan(plan, readable=trace)
    if shrunk and not result.ok:
        result = shrink(plan, run_plan)
        result = run_plan(result.plan, readable=trace)
    report.add(result)
    report.seconds = monotonic() - began
    if trace:
        for atom in result.plan.atoms:
            console.print(f"fault: {atom}", markup=False, highlight=False, soft_wrap=True)
        for line in result.lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return report


def _show(report: Report, console: Console) -> None:
    figures = report.figures()
    console.print(
        f"{figures['schedules']} schedules, {figures['schedules_per_s']}/s, {figures['blocks']} blocks, "
        f"{figures['frames']} frames, {figures['situations']} situations, "
        f"{figures['evidence']} pieces of evidence",
        highlight=False,
    )
    if report.failure is None:
        console.print("every invariant held", style="green")
        return
    console.print(f"violated: {report.failure.sentence}", style="red", markup=False, soft_wrap=True)
    for number, atom in enumerate(report.failure.plan.atoms):
        console.print(f"  fault {number}: {atom}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"reproduce: {report.command()}", markup=False, highlight=False, soft_wrap=True)


def numbers(text: str, what: str) -> tuple[int, ...]:
    """`4,5,6`; `what` names them to whoever wrote something else."""
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise click.BadParameter(f"{text!r}: {what} are numbers with commas between") from None


def _refuse_twins_without_room(sizes: tuple[int, ...]) -> None:
    """A twin is a faulty member: say so before the first run, and not by a fork in one of them."""
    for size in sizes:
        try:
            plan_for(0, size, TWINS)
        except ScenarioError as error:
            raise click.ClickException(f"--members {size} --profile {TWINS}: {error}") from None


@click.command()
@click.option("--seeds", default="0..999", show_default=True, help="Range A..B of seeds, both included.")
@click.option("--members", default="4", show_default=True, help="Committee sizes, e.g. 4 or 4,5,6,7,10.")
@click.option(
    "--profile",
    default="chaos",
    show_default=True,
    type=click.Choice(sorted([*PROFILES, TWINS])),
    help="What goes wrong.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, JOBS_MAX), help="Processes.")
@click.option(
    "--scenario",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Twins scenario (JSON) in place of drawn faults.",
)
@click.option("--without", default="", help="Leave out the drawn faults of these numbers, e.g. 0,3.")
@click.option("--trace", is_flag=True, help="Print every message; for one seed or a scenario.")
@click.option("--shrink", "shrunk", is_flag=True, help="Leave out faults while the run still fails.")
@click.option(
    "--committee",
    type=click.IntRange(1, COMMITTEE_SIZE_MAX),
    help="Instead: measure a network of --members with sampled committees of this size.",
)
@click.option("--blocks", default=8, show_default=True, type=click.IntRange(1, 64), help="For --committee.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def simulate(
    seeds: str,
    members: str,
    profile: str,
    jobs: int,
    scenario: Path | None,
    without: str,
    trace: bool,
    shrunk: bool,
    committee: int | None,
    blocks: int,
    as_json: bool,
) -> None:
    """Run whole networks on virtual time under seeded faults and check every invariant.

    Ends with code 1 when an invariant breaks, and prints the command that reproduces it.
    """
    console = Console(stderr=as_json)
    seed_range, sizes = parse_seeds(seeds), numbers(members, "sizes")
    if committee is not None:
        if len(sizes) != 1 or not committee <= sizes[0] <= CROWD_MAX:
            raise click.BadParameter(
                f"{members!r}: with --committee, one size from {committee} to {CROWD_MAX}"
            )
        measure_crowd(sizes[0], committee, blocks, seed_range.start, as_json)
        return
    if not sizes or not all(1 <= size <= 100 for size in sizes):
        raise click.BadParameter(f"{members!r}: sizes are numbers from 1 to 100")
    if profile == TWINS and scenario is None:
        _refuse_twins_without_room(sizes)
    if scenario is not None:
        try:
            plan = plan_of(parse(scenario.read_bytes()), seed_range.start)
        except ScenarioError as error:
            raise click.ClickException(f"{scenario}: {error}") from None
        report = _single(plan, trace, shrunk, console)
        report.scenario = scenario
    elif len(seed_range) == 1:
        plan = plan_for(seed_range.start, sizes[seed_range.start % len(sizes)], profile)
        left_out = numbers(without, "faults")
        report = _single(plan.leave_out(left_out) if left_out else plan, trace, shrunk, console)
    else:
        report = campaign(seed_range, sizes, profile, jobs, console)
        if shrunk and report.failure is not None:
            report.failure = shrink(report.failure.plan, run_plan)
    if as_json:
        click.echo(json.dumps(report.figures()))
    else:
        _show(report, console)
    if report.failure is not None:
        sys.exit(1)
