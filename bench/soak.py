"""`python -m bench.soak`: a network under moderate load for a long time; what grows, and what does not.

Lives here: the minutes, what is sampled after each, the figure and the command. Never here: sending and
timing (`measurement`). Ends with 1 when a request was lost, declined or executed twice, a validator ended,
states differ, or the audit of any ledger finds anything at the end: growth is shown, people judge it.
"""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from bench import machine, resources
from bench.load import Collected
from bench.measurement import Load, Measured, measure, wrong_answers
from bench.network import Network, Options, Timing
from p2penergy import loops
from p2penergy.audit import AuditReport, audit

MINUTE_S = 60.0
FILL_TRADES = 15_000
FILL_PER_S = 400.0
"""Caches are bounded, and fill with the first trades: what still grows when they are full is what matters."""
FILE = "soak"


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of load, and the validators right after it; of each figure the largest of all validators."""

    minute: int
    trades_per_s: float
    latency_ms_p50: float
    latency_ms_p99: float
    rss_mib: float
    open_files: int
    disk_mib: float
    height: int
    faults: tuple[str, ...]
    """Promises that were broken; none, mostly."""


def open_files(pid: int) -> int:
    """File descriptors of a process; 0 when there is none."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


async def soak(
    network: Network,
    minutes: int,
    rate_per_s: float,
    minute_s: float,
    tell: Callable[[Minute], None],
    fill_trades: int = 0,
) -> list[Minute]:
    """After `fill_trades` minute after minute; each begins when all requests of the last are answered."""
    found = []
    faults: tuple[str, ...] = ()
    if fill_trades:
        filled = await measure(network, Load(FILL_PER_S, fill_trades / FILL_PER_S, 0.0, seed=0))
        faults = (await _minute(network, 0, filled)).faults
    for number in range(1, minutes + 1):
        measured = await measure(network, Load(rate_per_s, minute_s, 0.0, seed=number))
        minute = await _minute(network, number, measured)
        # What went wrong while the caches were filled is told with the first minute.
        found.append(replace(minute, faults=faults + minute.faults))
        faults = ()
        tell(found[-1])
    return found


async def _minute(network: Network, number: int, measured: Measured) -> Minute:
    pids = [pid for each in network.correct() if (pid := network.pid(each)) is not None]
    usage = await resources.usage(network)
    latency = measured.run.latency_ms
    faults = wrong_answers(Collected(measured.samples, 0))
    faults += [each for each in measured.run.invalid_because if "executed twice" in each]
    if (disagreement := resources.disagreement(usage)) is not None:
        faults.append(disagreement)
    if len(pids) < network.options.n:
        faults.append(f"{network.options.n - len(pids)} validators ended by themselves")
    return Minute(
        minute=number,
        trades_per_s=round(measured.run.throughput, 2),
        latency_ms_p50=round(latency.get("p50", 0.0), 1),
        latency_ms_p99=round(latency.get("p99", 0.0), 1),
        rss_mib=round(max(each.rss_mib for each in usage.values()), 1),
        open_files=max(map(open_files, pids), default=0),
        disk_mib=round(max(each.disk_bytes for each in usage.values()) / 2**20, 2),
        height=min(each.height for each in usage.values()),
        faults=tuple(faults),
    )


def growth_per_hour(minutes: Sequence[Minute], of: Callable[[Minute], float]) -> float:
    """Slope of a straight line through the second half, in units per hour; 0 with fewer than two."""
    half = minutes[len(minutes) // 2 :]
    if len(half) < 2:
        return 0.0
    xs, ys = [each.minute / 60 for each in half], [of(each) for each in half]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - middle_x) ** 2 for x in xs)


def findings(report: AuditReport) -> list[str]:
    """What the audit of all ledgers found."""
    return [str(each) for each in (*report.findings, *(f for one in report.ledgers for f in one.findings))]


def write(out: Path, minutes: Sequence[Minute], about: dict[str, object]) -> list[Path]:
    """CSV and JSON."""
    out.mkdir(parents=True, exist_ok=True)
    table, summary = out / f"{FILE}.csv", out / f"{FILE}.json"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(asdict(minutes[0]))
        writer.writerows((asdict(each) | {"faults": "; ".join(each.faults)}).values() for each in minutes)
    growth = {
        "rss_mib_per_hour": round(growth_per_hour(minutes, lambda each: each.rss_mib), 2),
        "open_files_per_hour": round(growth_per_hour(minutes, lambda each: each.open_files), 2),
        "disk_mib_per_hour": round(growth_per_hour(minutes, lambda each: each.disk_mib), 2),
        "latency_ms_p50_per_hour": round(growth_per_hour(minutes, lambda each: each.latency_ms_p50), 2),
    }
    told = {**about, "growth_in_second_half": growth, "machine": machine.describe()}
    summary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return [table, summary]


async def _run(
    folder: Path, options: Options, minutes: int, rate: float, minute_s: float, fill_trades: int
) -> list[Minute]:
    async with Network(options, folder) as network:
        return await soak(network, minutes, rate, minute_s, _tell, fill_trades)


def _tell(each: Minute) -> None:
    click.echo(
        f"minute {each.minute}: {each.trades_per_s:.1f} trades/s, p50 {each.latency_ms_p50:.0f} ms, "
        f"p99 {each.latency_ms_p99:.0f} ms, {each.rss_mib:.1f} MiB, {each.open_files} files, "
        f"ledger {each.disk_mib:.1f} MiB, height {each.height}{''.join(f'; {f}' for f in each.faults)}"
    )
    sys.stdout.flush()


@click.command()
@click.option("--minutes", default=30, show_default=True, type=click.IntRange(1, 100_000), help="How long.")
@click.option(
    "--rate", default=20.0, show_default=True, type=click.FloatRange(0.1), help="Trades per second."
)
@click.option("--validators", default=4, show_default=True, type=click.IntRange(1, 31))
@click.option("--minute-s", default=MINUTE_S, show_default=True, help="Length of a minute, to try it out.")
@click.option(
    "--fill",
    default=FILL_TRADES,
    show_default=True,
    type=click.IntRange(0),
    help="Trades before the first minute: they fill the caches.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/soak"), show_default=True
)
def main(minutes: int, rate: float, validators: int, minute_s: float, fill: int, out: Path) -> None:
    """Load a network for long; write soak.csv, soak.json, soak.png and soak.svg into a folder."""
    options = Options(validators, timing=Timing(alpha_ms=1000, eps_ms=20, delta_ms=70))
    with tempfile.TemporaryDirectory(prefix="p2penergy-soak-") as name:
        found = loops.run(_run(Path(name), options, minutes, rate, minute_s, fill))
        report = audit(Path(name) / "homes")
    wrong = [*(fault for each in found for fault in each.faults), *findings(report)]
    about: dict[str, object] = {
        "minutes": minutes,
        "minute_s": minute_s,
        "trades_per_s": rate,
        "fill_trades": fill,
        "validators": validators,
        "wrong": wrong,
    }
    files = write(out, found, about)
    try:
        from bench.plots.soaking import draw
    except ImportError:
        click.echo("no plots: matplotlib is missing; pip install 'p2penergy[bench]'")
    else:
        files += draw(found, out, FILE, machine.describe())
    for file in files:
        Console(highlight=False).print(f"wrote {file}")
    if wrong:
        raise click.ClickException(f"{len(wrong)} promises were broken: {wrong[0]}")


if __name__ == "__main__":
    main()
