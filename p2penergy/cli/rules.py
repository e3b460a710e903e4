"""The rules of a new chain as options of the commands that found one.

Lives here: the options that `testnet` and `genesis make` share, and what they make of them. Never here: what
fits together (`p2penergy.genesis`).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.operations.testnet import COMMITTEE_MIN
from p2penergy.score_rules import ScoreRules

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the options said."""

    alpha_ms: int
    eps_ms: int
    delta_ms: int
    volunteer_age_blocks: int
    committee_bar_ppm: int

    def consensus(self, t0_ms: int, validators: int) -> ConsensusRules:
        """The rules of consensus for so many first validators."""
        return ConsensusRules(
            t0_ms=t0_ms,
            alpha_ms=self.alpha_ms,
            eps_ms=self.eps_ms,
            delta_ms=self.delta_ms,
            volunteer_age_blocks=self.volunteer_age_blocks,
            committee_size_min=min(COMMITTEE_MIN, validators),
        )

    def market(self) -> MarketRules:
        """The rules of the market, and of its scores."""
        return MarketRules(scores=ScoreRules(committee_bar_ppm=self.committee_bar_ppm))


_OPTIONS = (
    click.option("--alpha-ms", default=1000, show_default=True, help="Length of a slot, ms: alpha."),
    click.option("--eps-ms", default=50, show_default=True, help="Largest clock error, ms: eps."),
    click.option("--delta-ms", default=200, show_default=True, help="Bound on a message's way, ms: delta."),
    click.option(
        "--volunteer-age-blocks",
        default=1000,
        show_default=True,
        type=click.IntRange(0),
        help="Blocks from joining until a member may serve on committees.",
    ),
    click.option(
        "--committee-bar-ppm",
        default=ScoreRules().committee_bar_ppm,
        show_default=True,
        type=click.IntRange(0, 1_000_000),
        help="Score that committees ask for, millionths; newcomers begin with 300000.",
    ),
)


def rule_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options; it gets their `Figures` as `rules`."""

    @functools.wraps(command)
    def with_rules(**options: Any) -> R:
        figures = {name: options.pop(name) for name in Figures.__dataclass_fields__}
        return command(rules=Figures(**figures), **options)

    for option in reversed(_OPTIONS):
        with_rules = option(with_rules)
    return with_rules
