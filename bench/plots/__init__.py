"""Plots of results: one family, each title says what was found.

Lives here: which plots a summary has. Never here: measuring. Needs matplotlib (the extra `bench`).
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from bench.plots.curves import faults_figure, latency_figure, wan_figure
from bench.plots.figures import save
from bench.plots.lines import crash_figure
from bench.plots.sizes import catchup_figure, peak_figure, scale_figure, stages_figure
from bench.results import Summary

_DRAWN: dict[str, Callable[[Summary], Figure | None]] = {
    "faults": faults_figure,
    "peak": peak_figure,
    "latency": latency_figure,
    "stages": stages_figure,
    "crash": crash_figure,
    "wan": wan_figure,
    "scale": scale_figure,
    "catchup": catchup_figure,
}


def draw(summary: Summary, folder: Path) -> list[Path]:
    """Draw every plot that the results allow, PNG and SVG; returns the files."""
    files: list[Path] = []
    for name, make in _DRAWN.items():
        figure = make(summary)
        if figure is not None:
            files += save(figure, folder, name, summary)
    return files
