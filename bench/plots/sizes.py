"""Plots against the size of the network or the chain, and where the time of a request goes.

Lives here: what these show, and the sentence that says what was found. Never here: their look (`figures`).
"""

from matplotlib.figure import Figure

from bench.plots.figures import (
    COLOURS,
    FAINT,
    INK,
    all_valid,
    canvas,
    entitle,
    family,
    look,
    of,
    spread_lines,
)
from bench.results import Row, Summary
from bench.tracing import STAGES


def peak_figure(summary: Summary) -> Figure | None:
    """Peak throughput against n, with the machine's signature limit above it."""
    rows = of(summary, "peak", "peak")
    if not rows:
        return None
    workloads = sorted({row.workload for row in rows})
    with family():
        figure, panels = canvas(len(workloads))
        entitle(figure, peak_finding(rows), all_valid(rows))
        for number, (axes, workload) in enumerate(zip(panels, workloads, strict=True)):
            some = sorted((row for row in rows if row.workload == workload), key=lambda row: row.n)
            xs = [row.n for row in some]
            spread_lines(axes, xs, some, "reached", number)
            limits = [row.signature_limit for row in some]
            if all(limits):
                axes.plot(xs, [limit or 0 for limit in limits], "--", color=FAINT, label="signature limit")
            axes.set_xlabel(f"n, {workload}")
            axes.set_xticks(xs)
            axes.set_ylim(bottom=0)
            axes.legend()
        panels[0].set_ylabel("requests per second at peak")
    return figure


def peak_finding(rows: list[Row]) -> str:
    """The smallest network's peak for trades, or for whatever was measured."""
    first = min(rows, key=lambda row: (row.workload != "trades", row.n))
    share = "" if first.share_of_limit is None else f", {first.share_of_limit:.0%} of the signature limit"
    return f"{first.n} validators take {first.throughput:,.0f} {first.workload} per second{share}"


_COSTS = (
    ("messages_per_request", "messages per request"),
    ("bytes_per_request", "bytes per request"),
    ("cpu_ms_per_request", "CPU ms per request"),
)


def scale_figure(summary: Summary) -> Figure | None:
    """Messages, bytes and CPU time per request against n, over all validators."""
    rows = sorted(of(summary, "scale"), key=lambda row: row.n)
    if not rows:
        return None
    with family():
        figure, panels = canvas(len(_COSTS))
        small, large = rows[0], rows[-1]
        cpu = "cpu_ms_per_request"
        growth = large.costs.get(cpu, 0.0) / (small.costs.get(cpu) or 1.0)
        finding = f"From n = {small.n} to n = {large.n} a request costs {growth:.1f} times the CPU time"
        entitle(figure, finding, all_valid(rows))
        for number, (axes, (name, words)) in enumerate(zip(panels, _COSTS, strict=True)):
            axes.plot([row.n for row in rows], [row.costs.get(name, 0.0) for row in rows], **look(number))
            axes.set_xlabel("n")
            axes.set_xticks([row.n for row in rows])
            axes.set_ylabel(words)
            axes.set_ylim(bottom=0)
    return figure


def catchup_figure(summary: Summary) -> Figure | None:
    """Catch-up and start-up time against the chain's length."""
    rows = sorted(of(summary, "catchup"), key=lambda row: row.costs.get("requests", 0.0))
    if not rows:
        return None
    xs = [row.costs["requests"] for row in rows]
    last = rows[-1].costs
    with family():
        figure, (axes,) = canvas()
        entitle(
            figure,
            f"{last['requests']:,.0f} requests are caught up in {last['catch_up_s']:.1f} s; "
            f"a start takes {last['start_up_s']:.1f} s",
            all_valid(rows),
        )
        for number, (name, label) in enumerate((("catch_up_s", "catch-up"), ("start_up_s", "start-up"))):
            axes.plot(xs, [row.costs[name] for row in rows], label=label, **look(number))
        axes.set_xlabel("requests on the chain")
        axes.set_ylabel("seconds")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure


def stages_figure(summary: Summary) -> Figure | None:
    """Median time of each stage of a request, one bar per network."""
    found: dict[str, dict[str, float]] = summary.extra.get("stages_ms", {})
    found = {name: stages for name, stages in found.items() if stages}
    if not found:
        return None
    name, stages = next(iter(found.items()))
    longest = max(stages, key=lambda stage: stages[stage])
    whole = sum(stages.values())
    valid = not any(summary.extra.get("stages_invalid_because", {}).values())
    with family():
        figure, (axes,) = canvas()
        said = longest.replace("_", "-")
        entitle(figure, f"{stages[longest] / whole:.0%} of a request's time goes to: {said} ({name})", valid)
        for place, each in enumerate(found.values()):
            left = 0.0
            for number, stage in enumerate(STAGES):
                label = stage.replace("_", "-") if place == 0 else None
                width = each.get(stage, 0.0)
                axes.barh(place, width, left=left, color=COLOURS[number], height=0.5, label=label)
                if width > whole / 20:
                    middle = left + width / 2
                    axes.text(middle, place, f"{width:.0f}", ha="center", va="center", color="white")
                left += width
        axes.set_yticks(range(len(found)), list(found))
        axes.set_xlabel("median ms, from the intended moment to f + 1 replies")
        axes.tick_params(axis="y", colors=INK)
        axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, -0.14))
        axes.grid(visible=False, axis="y")
        axes.margins(y=0.6 / len(found))
        axes.invert_yaxis()
    return figure
