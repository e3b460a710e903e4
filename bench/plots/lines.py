"""The time line of a crash: requests answered per slot, and what happened when.

Lives here: what it shows. Never here: its look (`figures`).
"""

from typing import Any

from matplotlib.figure import Figure

from bench.plots.figures import COLOURS, FAINT, all_valid, canvas, entitle, family, of
from bench.results import Summary


def crash_figure(summary: Summary) -> Figure | None:
    """The first run's time line."""
    lines: dict[str, dict[str, Any]] = summary.extra.get("timelines", {})
    if not lines:
        return None
    name, line = next(iter(lines.items()))
    bucket_s = line["bucket_s"]
    worst = max(other["slots_without_block_max"] for other in lines.values())
    slots = "1 slot" if worst == 1 else f"{worst} slots"
    valid = all_valid(of(summary, "crash"))
    with family():
        figure, (axes,) = canvas()
        entitle(
            figure, f"A crashed leader costs {slots} without a block at most ({name.split(',')[0]})", valid
        )
        rates = [count / bucket_s for count in line["answered"]]
        axes.bar(
            [(i + 0.5) * bucket_s for i in range(len(rates))], rates, width=bucket_s * 0.9, color=COLOURS[0]
        )
        for at_s, words in ((line["down_at_s"], "killed"), (line["up_at_s"], "started again")):
            axes.axvline(at_s, color=COLOURS[1], linewidth=1.5)
            axes.annotate(
                f" {words}", (at_s, 1.0), xycoords=("data", "axes fraction"), va="top", color=COLOURS[1]
            )
        axes.set_xlabel(f"seconds; one bar is one slot of {bucket_s * 1000:.0f} ms")
        axes.set_ylabel("requests answered per second")
        axes.grid(visible=False, axis="x")
        axes.tick_params(colors=FAINT)
    return figure
