"""The family: fonts, colours, sizes, titles and footers of every plot.

Lives here: everything about how a plot looks. Never here: what it shows. Colours are those of Okabe and
Ito, which people with any kind of colour vision can tell apart; markers differ as well.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.results import Row, Summary

SIZE_INCHES = (8.0, 4.8)
DPI = 150
INK, FAINT = "#222222", "#8a8a8a"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FAULT_NAMES = ("none", "silent", "crashed", "equivocating", "slow")

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "svg.fonttype": "none",
    "svg.hashsalt": "p2penergy",
}


def look(number: int) -> dict[str, Any]:
    """Colour and marker of the number-th series."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


@contextmanager
def family() -> Iterator[None]:
    """Draw inside of this: the family's look, and nobody else's settings touched."""
    with mpl.rc_context(_STYLE):
        yield


def canvas(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, panels, number + 1) for number in range(panels)]


def entitle(figure: Figure, finding: str, valid: bool) -> None:
    """The finding, above everything; one that rests on invalid runs says so first."""
    if not valid:
        finding = f"Not valid runs: {finding[0].lower()}{finding[1:]}"
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK, wrap=True)


def plain_numbers(axes: Axes) -> None:
    """A logarithmic axis with numbers that people read."""

    def words(value: float, _: object) -> str:
        return f"{value:,g}" if f"{value:e}"[0] in "125" else ""

    axes.yaxis.set_major_formatter(FuncFormatter(words))
    axes.yaxis.set_minor_formatter(FuncFormatter(words))


def spread_lines(
    axes: Axes, xs: Sequence[float], rows: Sequence[Row], label: str, number: int, figure: str = "throughput"
) -> None:
    """A series of medians with bars from the least to the greatest run."""
    if figure == "throughput":
        ys = [row.throughput for row in rows]
        lows, highs = [row.throughput_min for row in rows], [row.throughput_max for row in rows]
    else:
        ys = [row.latency_ms.get(figure, 0.0) for row in rows]
        lows = [row.latency_ms_min.get(figure, y) for row, y in zip(rows, ys, strict=True)]
        highs = [row.latency_ms_max.get(figure, y) for row, y in zip(rows, ys, strict=True)]
    errors = [
        [y - low for y, low in zip(ys, lows, strict=True)],
        [high - y for y, high in zip(ys, highs, strict=True)],
    ]
    axes.errorbar(list(xs), ys, yerr=errors, capsize=3, label=label, **look(number))
    _ring_invalid(axes, xs, ys, rows)


def _ring_invalid(axes: Axes, xs: Sequence[float], ys: Sequence[float], rows: Sequence[Row]) -> None:
    bad = [(x, y) for x, y, row in zip(xs, ys, rows, strict=True) if not row.valid]
    if bad:
        axes.scatter(
            [x for x, _ in bad], [y for _, y in bad], s=120, facecolors="none", edgecolors=FAINT, zorder=5
        )


def save(figure: Figure, folder: Path, name: str, summary: Summary) -> list[Path]:
    """Write PNG and SVG, with the footer that says where the figures come from."""
    machine = summary.machine
    runs = summary.settings.get("runs", "?")
    footer = (
        f"{machine.get('processor', '')}, {machine.get('cores', '?')} cores for all validators and clients"
        f" · commit {machine.get('commit', '?')} · {runs} {'run' if runs == 1 else 'runs'} of each point"
    )
    if any(not row.valid for row in summary.rows):
        footer += " · ringed: no valid run"
    with family():
        figure.supxlabel(footer, x=0.01, ha="left", fontsize=7, color=FAINT)
        files = [folder / f"{name}.png", folder / f"{name}.svg"]
        figure.savefig(files[0])
        figure.savefig(files[1], metadata={"Date": None})
    return files


def all_valid(rows: Sequence[Row]) -> bool:
    """Whether every row has a valid run."""
    return all(row.valid for row in rows)


def of(summary: Summary, experiment: str, point: str | None = None) -> list[Row]:
    """The rows of an experiment, and of one of its points."""
    return [
        row for row in summary.rows if row.experiment == experiment and (point is None or row.point == point)
    ]
