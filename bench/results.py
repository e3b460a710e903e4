"""Results: one row per measured point, with the raw data beside it.

Lives here: the shape of `summary.json`, how several runs become one row, and the raw CSV. Never here:
measuring, plotting. Owns the invariant that a row's figures come from valid runs whenever there is one,
and that a row without any says why.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.stats import PERCENTILES, spread, spreads

SUMMARY_FILE = "summary.json"
RAW_FOLDER = "raw"
RAW_COLUMNS = ("intended_us", "sent_us", "done_us", "outcome", "height")


class ResultsError(Exception):
    """Results can't be read; the sentence names the file."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One request; times in microseconds since the run's start, -1 for what never came."""

    intended_us: int
    sent_us: int
    done_us: int
    outcome: str
    """`accepted`, `declined`, `refused` or `lost`."""
    height: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured: equal points of two results can be compared."""

    experiment: str
    name: str
    """Which point of the experiment, such as `peak` or `half of peak`."""
    workload: str
    n: int
    f: int
    faulty: int = 0
    fault: str = "none"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one point."""

    rate_offered: float
    """Requests per second."""
    throughput: float
    """Requests per second whose f+1 replies came within the measured window."""
    latency_ms: dict[str, float]
    signature_limit: float | None
    """Requests per second that the machine's signature checks would allow."""
    costs: dict[str, float] = {}
    """Per request or per node, by name with its unit."""
    invalid_because: tuple[str, ...] = ()
    raw: str = ""
    """Name of the raw file in the folder `raw`."""

    @property
    def valid(self) -> bool:
        """Whether its figures may be used."""
        return not self.invalid_because


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One point over its runs: medians, with least and greatest beside them."""

    experiment: str
    point: str
    workload: str
    n: int
    f: int
    faulty: int
    fault: str
    rate_offered: float
    throughput: float
    latency_ms: dict[str, float]
    signature_limit: float | None
    share_of_limit: float | None
    valid: bool
    invalid_because: list[str]
    throughput_min: float
    throughput_max: float
    latency_ms_min: dict[str, float]
    latency_ms_max: dict[str, float]
    costs: dict[str, float]
    runs_valid: int
    runs: list[Run]

    @property
    def key(self) -> tuple[str, str, str, int, int, str]:
        """What makes it the same point as another result's."""
        return (self.experiment, self.point, self.workload, self.n, self.faulty, self.fault)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `summary.json`."""

    command: str
    quick: bool
    machine: dict[str, str | int]
    settings: dict[str, str | int | float | bool]
    rows: list[Row]
    extra: dict[str, Any] = {}
    """What is no row: time lines, start-up times."""


def row(point: Point, runs: Sequence[Run]) -> Row:
    """One row from the runs of one point; raises `ValueError` for none."""
    if not runs:
        raise ValueError("a row needs at least one run")
    good = [run for run in runs if run.valid]
    used = good or list(runs)
    throughput = spread([run.throughput for run in used])
    latency = spreads([run.latency_ms for run in used])
    limits = [run.signature_limit for run in used if run.signature_limit]
    shares = [run.throughput / run.signature_limit for run in used if run.signature_limit]
    reasons = [] if good else sorted({reason for run in runs for reason in run.invalid_because})
    return Row(
        experiment=point.experiment,
        point=point.name,
        workload=point.workload,
        n=point.n,
        f=point.f,
        faulty=point.faulty,
        fault=point.fault,
        rate_offered=spread([run.rate_offered for run in used]).median,
        throughput=throughput.median,
        latency_ms={name: figure.median for name, figure in latency.items()},
        signature_limit=spread(limits).median if limits else None,
        share_of_limit=spread(shares).median if shares else None,
        valid=bool(good),
        invalid_because=reasons,
        throughput_min=throughput.min,
        throughput_max=throughput.max,
        latency_ms_min={name: figure.min for name, figure in latency.items()},
        latency_ms_max={name: figure.max for name, figure in latency.items()},
        costs={name: figure.median for name, figure in spreads([run.costs for run in used]).items()},
        runs_valid=len(good),
        runs=list(runs),
    )


class Folder:
    """The folder of one benchmark's results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / RAW_FOLDER).mkdir(parents=True, exist_ok=True)

    def write_raw(self, name: str, samples: Iterable[Sample]) -> str:
        """One CSV line per request, in order of intended time; returns the file's name."""
        file_name = f"{name}.csv"
        with (self.path / RAW_FOLDER / file_name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(RAW_COLUMNS)
            writer.writerows(msgspec.structs.astuple(sample) for sample in samples)
        return file_name

    def write_summary(self, summary: Summary) -> Path:
        """Write `summary.json` whole, so that a broken-off benchmark leaves what it had."""
        path = self.path / SUMMARY_FILE
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
        part.replace(path)
        return path


def read_summary(path: Path) -> Summary:
    """The summary of a results folder, or of the file itself.

    Raises:
        ResultsError: no such file, or not a summary.
    """
    file = path / SUMMARY_FILE if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Summary)
    except OSError as error:
        raise ResultsError(f"{file} can't be read: {error.strerror}") from None
    except (msgspec.DecodeError, json.JSONDecodeError) as error:
        raise ResultsError(f"{file} is no summary of a benchmark: {error}") from None


def read_raw(path: Path) -> list[Sample]:
    """The samples of a raw CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != RAW_COLUMNS:
            raise ResultsError(f"{path} is no raw file of a benchmark")
        return [Sample(int(a), int(b), int(c), outcome, int(h)) for a, b, c, outcome, h in lines]


def figures(row_: Row) -> list[str]:
    """Short cells for a table: offered, throughput, share, each percentile, valid."""
    share = "" if row_.share_of_limit is None else f"{row_.share_of_limit:.0%}"
    percents = [f"{row_.latency_ms[name]:.1f}" if name in row_.latency_ms else "" for name in PERCENTILES]
    valid = "yes" if row_.valid else "no"
    return [f"{row_.rate_offered:,.0f}", f"{row_.throughput:,.0f}", share, *percents, valid]
