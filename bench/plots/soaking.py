"""A long run, minute by minute: memory, open files and latency, one under the other.

Lives here: what it shows. Never here: its look (`figures`), the minutes (`bench.soak`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.plots.figures import COLOURS, DPI, FAINT, SIZE_INCHES, entitle, family


class Sampled(Protocol):
    """What is drawn of a minute."""

    @property
    def minute(self) -> int:
        """From 1."""

    @property
    def rss_mib(self) -> float:
        """Of the largest validator."""

    @property
    def open_files(self) -> int:
        """Of the validator with the most."""

    @property
    def latency_ms_p50(self) -> float:
        """Half of the trades were faster."""

    @property
    def latency_ms_p99(self) -> float:
        """99 of 100 were."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Broken promises."""


def draw(minutes: Sequence[Sampled], folder: Path, name: str, machine: Mapping[str, str | int]) -> list[Path]:
    """Write PNG and SVG."""
    first, last = minutes[0], minutes[-1]
    xs = [each.minute for each in minutes]
    with family():
        figure = Figure(figsize=(SIZE_INCHES[0], SIZE_INCHES[1] * 1.3), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        memory, files, latency = figure.subplots(3, 1, sharex=True)
        entitle(
            figure,
            f"After {last.minute} minutes: {last.rss_mib:.0f} MiB (first {first.rss_mib:.0f}), "
            f"{last.open_files} open files (first {first.open_files})",
            not any(each.faults for each in minutes),
        )
        memory.plot(xs, [each.rss_mib for each in minutes], color=COLOURS[0])
        memory.set_ylabel("memory, MiB")
        files.plot(xs, [each.open_files for each in minutes], color=COLOURS[1])
        files.set_ylabel("open files")
        latency.plot(xs, [each.latency_ms_p50 for each in minutes], color=COLOURS[2], label="p50")
        latency.plot(xs, [each.latency_ms_p99 for each in minutes], color=COLOURS[3], label="p99")
        latency.set_ylabel("latency, ms")
        latency.set_xlabel("minutes; the largest of all validators")
        latency.legend(ncols=2)
        for axes in (memory, files, latency):
            axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(colors=FAINT)
        footer = (
            f"{machine.get('processor', '')}, {machine.get('cores', '?')} cores for all"
            f" · commit {machine.get('commit', '?')}"
        )
        figure.text(0.01, -0.03, footer, fontsize=7, color=FAINT)
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        figure.savefig(paths[0], bbox_inches="tight")
        figure.savefig(paths[1], bbox_inches="tight", metadata={"Date": None})
    return paths
