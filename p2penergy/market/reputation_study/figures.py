"""The study's pictures; needs matplotlib (the `bench` extra).

Lives here: drawing what `results` worked out. Never here: working anything out.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from p2penergy.genesis import PPM
from p2penergy.market.reputation_study import attacks
from p2penergy.market.reputation_study.letter import READINGS
from p2penergy.market.reputation_study.results import Study
from p2penergy.score_rules import ScoreRules

mpl.use("Agg")
import matplotlib.pyplot as plt

GOOD, BAD, BAR, GREY = "#1b7f79", "#c8442e", "#444444", "#9a9a9a"
HOURS_PER_DAY = 24


def draw(study: Study, rules: ScoreRules, folder: Path) -> list[Path]:
    """Write all figures as SVG; the paths."""
    # Ids from a fixed salt and no date: the same results give the same files.
    style: Any = {
        "svg.hashsalt": "p2penergy",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
    }
    with mpl.rc_context(style):
        return [
            _save(_week(study, rules), folder / "qscore-week.svg"),
            _save(_letter(study), folder / "qscore-letter.svg"),
            _save(_rings(study, rules), folder / "qscore-rings.svg"),
            _save(_harm(study, rules), folder / "qscore-harm.svg"),
        ]


def _save(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _days(count: int) -> list[float]:
    return [(hour + 1) / HOURS_PER_DAY for hour in range(count)]


def _week(study: Study, rules: ScoreRules) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.4))
    scores, bad = study.week.scores, study.week.bad
    days = _days(len(scores))
    honest = [sorted(q for name, q in hour.items() if name not in bad) for hour in scores]

    def quantile(share: float) -> list[float]:
        return [hour[int(share * (len(hour) - 1))] / PPM for hour in honest]

    axes.fill_between(days, quantile(0), quantile(1), color=GOOD, alpha=0.18, lw=0, label="106 honest: all")
    axes.fill_between(days, quantile(0.25), quantile(0.75), color=GOOD, alpha=0.35, lw=0, label="middle half")
    axes.plot(days, quantile(0.5), color=GOOD, label="median")
    for number, name in enumerate(sorted(bad)):
        curve = [hour[name] / PPM for hour in scores]
        axes.plot(days, curve, color=BAD, lw=0.9, label="12 bad" if not number else None)
    axes.axhline(rules.trading_bar_ppm / PPM, color=BAR, ls="--", lw=1)
    axes.text(7, rules.trading_bar_ppm / PPM + 0.008, "trading bar", ha="right", color=BAR)
    axes.set(xlabel="days of the sample week", ylabel="Q-score", xlim=(0, 7), ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", ncols=4)
    return figure


def _letter(study: Study) -> Any:
    figure, axes = plt.subplots(figsize=(7, 2.6))
    rows = [[draw.auc for draw in study.draws]]
    rows += [[draw.letter_auc[number] for draw in study.draws] for number in range(len(READINGS))]
    labels = ["bounded reading", *(f"letter: {name}" for name in READINGS)]
    for height, values in enumerate(reversed(rows)):
        color = GOOD if height == len(rows) - 1 else BAD
        axes.scatter(values, [height] * len(values), color=color, alpha=0.6, s=28, lw=0)
    axes.axvline(0.5, color=GREY, ls="--", lw=1)
    axes.text(0.505, len(rows) - 0.62, "a coin", color=GREY)
    axes.set_yticks(range(len(rows)), reversed(labels))
    axes.set(
        xlabel="AUC, a dot per draw of bad households",
        xlim=(0, 1.02),
        ylim=(-0.5, len(rows) - 0.4),
    )
    return figure


def _rings(study: Study, rules: ScoreRules) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
    sizes = sorted({size for size, _ in study.rings})
    for axis, chosen, title in ((axes[0], True, "by contracts"), (axes[1], False, "through the auction")):
        for number, size in enumerate(sizes):
            curve = [q / PPM for q in study.rings[size, chosen]]
            shade = 0.25 + 0.75 * (number + 1) / len(sizes)
            axis.plot(curve, color=BAD, alpha=shade, label=f"ring of {size}")
        axis.axhline(rules.committee_bar_ppm / PPM, color=BAR, ls="--", lw=1)
        axis.text(
            len(curve) - 2, rules.committee_bar_ppm / PPM - 0.03, "committee bar", color=BAR, ha="right"
        )
        axis.set(title=title, xlabel="days", ylim=(0.25, 1), xlim=(0, len(curve) - 1))
    honest = sorted(q for name, q in study.week.scores[-1].items() if name not in study.week.bad)
    axes[1].plot(7, honest[len(honest) // 2] / PPM, "o", color=GOOD, label="median honest, 7 days")
    axes[0].set_ylabel("mean Q-score of the ring")
    axes[1].legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def _harm(study: Study, rules: ScoreRules) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
    scores = range(0, PPM + 1, 2000)
    left.step([q / PPM for q in scores], [attacks.defaults_left(rules, q) for q in scores], color=BAD)
    left.set(xlabel="score when it turns bad", ylabel="defaults until suspended", xlim=(0, 1))
    shares = [f.failing_ppm / PPM for f in study.failing]
    right.plot(shares, [f.suspended for f in study.failing], "o-", color=GOOD, label="of the 12, suspended")
    right.plot(shares, [f.defaults for f in study.failing], "s-", color=BAD, label="defaults in the week")
    right.set(xlabel="share of its trades that each breaks", xscale="log", ylim=(0, 62))
    right.set_xticks([0.01, 0.1, 1], ["1 %", "10 %", "all"])
    right.legend(frameon=False, loc="upper left", fontsize=8)
    return figure
