"""Plots of throughput and latency: against f, against load, against distance.

Lives here: what these three show, and the sentence that says what was found. Never here: their look
(`figures`).
"""

from matplotlib.figure import Figure

from bench.experiments.latency import share_name
from bench.plots.figures import (
    FAULT_NAMES,
    all_valid,
    canvas,
    entitle,
    family,
    of,
    plain_numbers,
    spread_lines,
)
from bench.results import Row, Summary


def _by_f(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.f)


def _most_faulty(rows: list[Row], fault: str) -> list[Row]:
    """Per f, the row with the most members at that fault."""
    best: dict[int, Row] = {}
    for row in rows:
        if row.fault == fault and (row.f not in best or row.faulty > best[row.f].faulty):
            best[row.f] = row
    return _by_f(list(best.values()))


def faults_finding(rows: list[Row]) -> str:
    """How much of the honest throughput is left, at worst, with f members at fault."""
    honest = {row.f: row.throughput for row in rows if row.fault == "none"}
    left = [
        (row.throughput / honest[row.f], row)
        for row in rows
        if row.fault != "none" and row.faulty == row.f and honest.get(row.f)
    ]
    if not left:
        return "Throughput and latency against f"
    share, row = min(left, key=lambda pair: pair[0])
    return (
        f"With f members at fault at least {share:.0%} of the throughput is left (f = {row.f}, {row.fault})"
    )


def faults_figure(summary: Summary) -> Figure | None:
    """Throughput at the honest network's peak, and p50 at half of it, against f."""
    peak, half = of(summary, "faults", "peak"), of(summary, "faults", "half of peak")
    if not peak:
        return None
    with family():
        figure, (left, right) = canvas(2)
        entitle(figure, faults_finding(peak), all_valid(peak))
        for number, fault in enumerate(FAULT_NAMES):
            label = "no fault" if fault == "none" else f"f {fault}"
            for axes, rows, name in ((left, peak, "throughput"), (right, half, "p50")):
                some = _most_faulty(rows, fault)
                if some:
                    spread_lines(axes, [row.f for row in some], some, label, number, name)
        for axes, words in ((left, "requests per second, all that is offered"), (right, "p50 at half, ms")):
            axes.set_xlabel("f  (n = 3f + 1)")
            axes.set_ylabel(words)
            axes.set_xticks(sorted({row.f for row in peak}))
            axes.set_ylim(bottom=0)
        left.legend()
    return figure


def latency_finding(rows: list[Row]) -> str:
    """What latency is at half of the peak, and a lone request's."""
    half = next((row for row in rows if row.point == share_name(0.5)), None)
    lone = next((row for row in rows if row.point == "lone"), None)
    said = []
    if lone and lone.latency_ms:
        said.append(f"a lone request takes {lone.latency_ms['p50']:.1f} ms (p50)")
    if half and half.latency_ms:
        said.append(f"at half of peak p99 is {half.latency_ms['p99'] / half.latency_ms['p50']:.1f} x p50")
    sentence = "; ".join(said) or "Latency over load"
    return f"{sentence[0].upper()}{sentence[1:]} (n = {rows[0].n})"


def latency_figure(summary: Summary) -> Figure | None:
    """Percentiles of latency against the offered rate: the hockey stick."""
    rows = of(summary, "latency")
    if not rows:
        return None
    smallest = min(row.n for row in rows)
    rows = [row for row in rows if row.n == smallest]
    curve = sorted((row for row in rows if row.point != "lone"), key=lambda row: row.rate_offered)
    with family():
        figure, (axes,) = canvas()
        entitle(figure, latency_finding(rows), all_valid(rows))
        for number, name in enumerate(("p50", "p90", "p99", "p99_9")):
            spread_lines(
                axes, [row.rate_offered for row in curve], curve, name.replace("_", "."), number, name
            )
        peak = next((row.rate_offered for row in curve if row.point == share_name(1.0)), None)
        if peak is not None:
            axes.axvline(peak, color="#8a8a8a", linestyle=":", linewidth=1.2)
            axes.annotate(" peak", (peak, 1.0), xycoords=("data", "axes fraction"), va="top", fontsize=9)
        axes.set_yscale("log")
        plain_numbers(axes)
        axes.set_xlabel("requests per second, offered")
        axes.set_ylabel("latency from the intended moment, ms")
        axes.legend()
    return figure


def wan_figure(summary: Summary) -> Figure | None:
    """Latency against the delay between validators."""
    rows = of(summary, "wan")
    if not rows:
        return None
    series: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        delay, _, bandwidth = row.point.partition(", ")
        series.setdefault(bandwidth or "bandwidth not limited", []).append((float(delay.split()[0]), row))
    with family():
        figure, (axes,) = canvas()
        far = max(rows, key=lambda row: float(row.point.split()[0]))
        p50 = far.latency_ms.get("p50", 0.0)
        entitle(
            figure,
            f"With {far.point} between validators half of the requests take {p50:,.0f} ms or less",
            all_valid(rows),
        )
        for number, (label, pairs) in enumerate(series.items()):
            pairs.sort(key=lambda pair: pair[0])
            xs, some = [delay for delay, _ in pairs], [row for _, row in pairs]
            spread_lines(axes, xs, some, f"p50, {label}", 2 * number, "p50")
            spread_lines(axes, xs, some, f"p99, {label}", 2 * number + 1, "p99")
        axes.set_xlabel("delay between validators, one way, ms")
        axes.set_ylabel("latency, ms")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure
