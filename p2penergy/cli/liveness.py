"""`p2penergy liveness`: how soon networks of several sizes decide, against the bounds they promise.

Lives here: the command and its three tables. Never here: measuring. Shows the liveness part of CONSENSUS
section 10 in figures.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from p2penergy.cli.simulate import numbers, parse_seeds
from p2penergy.collector import spare_collector
from p2penergy.simulation.liveness import (
    FACTORS,
    NoDecisionError,
    Rate,
    Recovery,
    Stretched,
    rate,
    recovery,
    stretched,
)
from p2penergy.simulation.plans import PROFILES


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything measured for one committee size."""

    recovery: Recovery
    rates: tuple[Rate, ...]
    stretched: tuple[Stretched, ...]

    @property
    def is_within(self) -> bool:
        """Whether every bound holds."""
        return (
            self.recovery.views_max <= self.recovery.bound
            and all(one.is_within for one in self.rates)
            and all(
                one.blocks and one.slots_per_block_max <= one.slots_per_block_bound for one in self.stretched
            )
        )

    def as_dict(self) -> dict[str, object]:
        """For machines."""
        return {
            "members": self.recovery.members,
            "recovery": {
                "runs": self.recovery.runs,
                "views": {str(views): runs for views, runs in sorted(self.recovery.views.items())},
                "views_max": self.recovery.views_max,
                "views_bound": self.recovery.bound,
            },
            "silent": {
                "members": self.rates[0].silent,
                "runs": len(self.rates),
                "slots": sum(one.slots for one in self.rates),
                "led_by_correct": sum(one.led for one in self.rates),
                "blocks": sum(one.blocks for one in self.rates),
                "missing_in_one_run_max": max(one.missing for one in self.rates),
            },
            "stretched": [
                {
                    "factor": one.factor,
                    "slots": one.slots,
                    "blocks": one.blocks,
                    "slots_per_block_max": one.slots_per_block_max,
                    "slots_per_block_bound": one.slots_per_block_bound,
                    "view_slots_max": one.view_slots_max,
                }
                for one in self.stretched
            ],
            "within_bounds": self.is_within,
        }


def measure(members: int, seeds: Iterable[int], profile: str) -> Figures:
    """All three measurements; raises `NoDecisionError` when a run breaks an invariant."""
    seeds = tuple(seeds)
    return Figures(
        recovery(members, seeds, profile),
        tuple(rate(members, seed) for seed in seeds),
        tuple(stretched(members, factor, seeds[0]) for factor in FACTORS),
    )


def _show(all_figures: list[Figures], console: Console) -> None:
    table = Table(
        "n", "runs", "in the same view", "within 1", "slowest", "bound", title="Views after healing"
    )
    for one in all_figures:
        healed = one.recovery
        shares = (f"{healed.share_within(views):.1%}" for views in (0, 1))
        table.add_row(
            str(healed.members), str(healed.runs), *shares, str(healed.views_max), str(healed.bound)
        )
    console.print(table)
    table = Table("n", "silent", "slots", "led by correct", "blocks", "missing, worst run", title="f silent")
    for one in all_figures:
        sums = [sum(getattr(run, name) for run in one.rates) for name in ("slots", "led", "blocks")]
        worst = max(run.missing for run in one.rates)
        table.add_row(*(str(figure) for figure in (one.recovery.members, one.rates[0].silent, *sums, worst)))
    console.print(table)
    table = Table(
        "n", "alpha too small by", "blocks", "slots", "slots per block, longest", "bound", title="Stretching"
    )
    for one in all_figures:
        for slow in one.stretched:
            row = (slow.members, slow.factor, slow.blocks, slow.slots, slow.slots_per_block_max)
            table.add_row(*map(str, row), str(slow.slots_per_block_bound))
    console.print(table)


@click.command()
@click.option("--seeds", default="0..99", show_default=True, help="Range A..B of seeds, both included.")
@click.option("--members", default="4,5,6,7,10", show_default=True, help="Committee sizes.")
@click.option(
    "--profile",
    default="chaos",
    show_default=True,
    type=click.Choice(sorted(PROFILES)),
    help="What goes wrong before the network heals.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def liveness(seeds: str, members: str, profile: str, as_json: bool) -> None:
    """Measure how soon simulated networks decide, and compare with the bounds.

    Three measurements per size: views until a block is decided after faults end; blocks while f members are
    silent; blocks when alpha is too small by 2, 4 and 8 times. Ends with code 1 when a bound does not hold.
    """
    console, progress = Console(), Console(stderr=True)
    seed_range, sizes = parse_seeds(seeds), numbers(members, "sizes")
    if not sizes or not all(1 <= size <= 100 for size in sizes):
        raise click.BadParameter(f"{members!r}: sizes are numbers from 1 to 100")
    spare_collector()
    try:
        figures = [measure(size, seed_range, profile) for size in track(sizes, "measuring", console=progress)]
    except NoDecisionError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in figures]))
    else:
        _show(figures, console)
    if not all(one.is_within for one in figures):
        sys.exit(1)
