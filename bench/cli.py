"""`python -m bench`: one subcommand per experiment, and what to do with results.

Lives here: options, and what is printed. Never here: measuring. `--quick` gives short runs, one each,
for a look at whether all is well; figures to publish come without it.
"""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from bench import compare as comparing
from bench.experiment import Bench, Settings, quick
from bench.experiments import catchup as catchup_experiment
from bench.experiments import crash as crash_experiment
from bench.experiments import faults as faults_experiment
from bench.experiments import latency as latency_experiment
from bench.experiments import peak as peak_experiment
from bench.experiments import remote as remote_experiment
from bench.experiments import scale as scale_experiment
from bench.experiments import wan as wan_experiment
from bench.faulty import FAULTS
from bench.load import GeneratorError
from bench.network import Timing
from bench.results import Folder, ResultsError, read_summary
from bench.watching import Watcher, comparison_table, rows_table
from bench.workloads import KINDS
from p2penergy import loops
from p2penergy.client import ClientError
from p2penergy.founding import FoundingError
from p2penergy.genesis import GenesisError
from p2penergy.processes import ProcessError

Experiment = Callable[[Bench], Awaitable[None]]
FAULT_LIMITS, FAULT_LIMITS_QUICK = (1, 2, 3, 4, 5), (1, 2)
SIZES, SIZES_QUICK = (4, 7, 10), (4,)
FILE_COLUMNS = 120
_KNOWN_ERRORS = (
    GeneratorError,
    ResultsError,
    ClientError,
    FoundingError,
    GenesisError,
    ProcessError,
    catchup_experiment.CatchUpError,
    remote_experiment.HostsError,
)

_EXISTING = click.Path(path_type=Path, exists=True)

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options that all experiments share."""

    settings: Settings
    out: Path | None
    plots: bool

    def run(self, name: str, experiment: Experiment) -> None:
        """Run an experiment, print its rows, draw its plots; a broken-off one leaves what it had."""
        folder = self.out or Path("out") / f"bench-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        # A file has no width of its own, and wrapped rows are no table.
        console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
        with Watcher(console) as watcher:
            bench = Bench(name, self.settings, Folder(folder), watcher)
            try:
                loops.run(_finish(bench, experiment))
            except* _KNOWN_ERRORS as errors:
                raise click.ClickException(_first(errors)) from None
        console.print(rows_table(bench.rows))
        if self.plots:
            _draw(folder, console)
        console.print(f"results are in {folder}", highlight=False)


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else str(error)


def _finish(bench: Bench, experiment: Experiment) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        await experiment(bench)
        bench.save()

    return work()


def _draw(folder: Path, console: Console) -> None:
    try:
        from bench import plots
    except ImportError:
        console.print("no plots: matplotlib is missing; pip install 'p2penergy[bench]'", markup=False)
        return
    for file in plots.draw(read_summary(folder), folder):
        console.print(f"drew {file}", highlight=False)


def _shared(command: F) -> Callable[..., None]:
    """The options of every experiment, given to it as one `Chosen`."""

    @click.option("--quick", "short", is_flag=True, help="Short runs, one each.")
    @click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the results.")
    @click.option("--runs", type=click.IntRange(1), help="Runs of each point (3; 1 with --quick).")
    @click.option("--length", "length_s", type=click.FloatRange(0.5), help="Measured seconds of each run.")
    @click.option(
        "--rate", "peak_per_s", type=click.FloatRange(1), help="Take this for the peak, search none."
    )
    @click.option("--workload", type=click.Choice(sorted(KINDS)), default="trades", show_default=True)
    @click.option("--alpha-ms", type=click.IntRange(1), default=Timing().alpha_ms, show_default=True)
    @click.option("--eps-ms", type=click.IntRange(0), default=Timing().eps_ms, show_default=True)
    @click.option("--delta-ms", type=click.IntRange(0), default=Timing().delta_ms, show_default=True)
    @click.option("--tls/--no-tls", default=True, show_default=True)
    @click.option("--generators", type=click.IntRange(1), default=1, help="Processes that make the load.")
    @click.option("--pairs", type=click.IntRange(1), default=4, help="Sellers and buyers of each of them.")
    @click.option("--plots/--no-plots", default=True, show_default=True)
    @wraps(command)
    def with_options(
        short: bool,
        out: Path | None,
        runs: int | None,
        length_s: float | None,
        peak_per_s: float | None,
        workload: str,
        alpha_ms: int,
        eps_ms: int,
        delta_ms: int,
        tls: bool,
        generators: int,
        pairs: int,
        plots: bool,
        **rest: Any,
    ) -> None:
        settings = Settings(
            workload=workload,
            timing=Timing(alpha_ms, eps_ms, delta_ms),
            tls=tls,
            generators=generators,
            pairs=pairs,
            peak_per_s=peak_per_s,
        )
        settings = quick(settings) if short else settings
        settings = replace(settings, runs=runs or settings.runs, length_s=length_s or settings.length_s)
        command(Chosen(settings, out, plots), **rest)

    return with_options


def _sizes(given: Sequence[int], settings: Settings) -> Sequence[int]:
    return given or (SIZES_QUICK if settings.quick else SIZES)


_n = click.option("--n", "sizes", type=click.IntRange(4), multiple=True, help="Validators; may be repeated.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Measure a network of real processes: throughput and latency, honest and with faults."""


@main.command()
@_shared
@click.option("--f", "fault_limits", type=click.IntRange(1), multiple=True, help="May be repeated (1 to 5).")
@click.option("--fault", "kinds", type=click.Choice(FAULTS), multiple=True, help="May be repeated (all).")
def faults(chosen: Chosen, fault_limits: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    """Throughput and latency against f, with 0 to f members at fault: the main one."""
    some = fault_limits or (FAULT_LIMITS_QUICK if chosen.settings.quick else FAULT_LIMITS)
    chosen.run("faults", lambda bench: faults_experiment.run(bench, some, kinds or FAULTS))


@main.command()
@_shared
@_n
@click.option("--all-workloads", is_flag=True, help="Every workload, not only the chosen one.")
def peak(chosen: Chosen, sizes: tuple[int, ...], all_workloads: bool) -> None:
    """Find saturation."""
    workloads = sorted(KINDS) if all_workloads else [chosen.settings.workload]
    some = _sizes(sizes, chosen.settings)
    chosen.run("peak", lambda bench: peak_experiment.run(bench, some, workloads))


@main.command()
@_shared
@_n
def latency(chosen: Chosen, sizes: tuple[int, ...]) -> None:
    """Lone requests, and latency over load."""
    some = sizes or (4,)
    chosen.run("latency", lambda bench: latency_experiment.run(bench, some))


@main.command()
@_shared
@_n
def crash(chosen: Chosen, sizes: tuple[int, ...]) -> None:
    """A time line through a leader's crash and restart."""
    some = sizes or (4,)
    chosen.run("crash", lambda bench: crash_experiment.run(bench, some))


@main.command()
@_shared
@_n
def wan(chosen: Chosen, sizes: tuple[int, ...]) -> None:
    """Delay and bandwidth between validators, emulated."""
    some = sizes or (4,)
    chosen.run("wan", lambda bench: wan_experiment.run(bench, some))


@main.command()
@_shared
@_n
def scale(chosen: Chosen, sizes: tuple[int, ...]) -> None:
    """Messages, bytes, CPU and memory against n."""
    few = scale_experiment.SIZES_QUICK if chosen.settings.quick else scale_experiment.SIZES
    chosen.run("scale", lambda bench: scale_experiment.run(bench, sizes or few))


@main.command()
@_shared
@click.option("--requests", "lengths", type=click.IntRange(100), multiple=True, help="Length of the chain.")
def catchup(chosen: Chosen, lengths: tuple[int, ...]) -> None:
    """Catch-up and start-up time against the chain's length."""
    few = catchup_experiment.REQUESTS_QUICK if chosen.settings.quick else catchup_experiment.REQUESTS
    chosen.run("catchup", lambda bench: catchup_experiment.run(bench, lengths or few, 4))


@main.command(name="all")
@_shared
def everything(chosen: Chosen) -> None:
    """All of these, one after the other, into one result."""
    short = chosen.settings.quick

    async def work(bench: Bench) -> None:
        sizes = SIZES_QUICK if short else SIZES
        await faults_experiment.run(bench, FAULT_LIMITS_QUICK if short else FAULT_LIMITS, FAULTS)
        await peak_experiment.run(bench, sizes, sorted(KINDS))
        await latency_experiment.run(bench, sizes)
        await crash_experiment.run(bench, (4,))
        await wan_experiment.run(bench, (4,))
        await scale_experiment.run(bench, scale_experiment.SIZES_QUICK if short else scale_experiment.SIZES)
        lengths = catchup_experiment.REQUESTS_QUICK if short else catchup_experiment.REQUESTS
        await catchup_experiment.run(bench, lengths, 4)

    chosen.run("all", work)


@main.command()
@_shared
@click.option(
    "--hosts",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="One HOST:PORT a line, one validator each.",
)
@click.option("--wait", "wait_s", default=600.0, show_default=True, help="Seconds to wait for all of them.")
@click.option("--deploy", is_flag=True, help="Copy, start and stop them over ssh, as p2penergy deploy does.")
@click.option("--wheels", type=_EXISTING, help="With --deploy: install the program from these.")
@click.option("--ssh-config", type=_EXISTING, help="With --deploy: ssh's configuration.  [default: your own]")
def remote(
    chosen: Chosen, hosts: Path, wait_s: float, deploy: bool, wheels: Path | None, ssh_config: Path | None
) -> None:
    """Measure validators on machines of their own: writes their homes, waits, then sends load."""
    way = remote_experiment.Way(ssh_config, wheels) if deploy else None
    chosen.run("remote", lambda bench: remote_experiment.run(bench, hosts, wait_s, way))


@main.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
@click.option("--bar", default=comparing.BAR, show_default=True, help="Differences up to this are noise.")
def compare(before: Path, after: Path, bar: float) -> None:
    """Compare two results; ends with 1 when anything became worse by more than the bar."""
    try:
        comparison = comparing.compare(read_summary(before).rows, read_summary(after).rows, bar)
    except ResultsError as error:
        raise click.ClickException(str(error)) from None
    console = Console()
    console.print(comparison_table(comparison))
    for sentence in comparison.left_out:
        console.print(f"not compared: {sentence}", markup=False, highlight=False)
    if comparison.worse:
        raise SystemExit(1)
