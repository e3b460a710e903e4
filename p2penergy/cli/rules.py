"""The rules of a new chain as options of the commands that found one.

Lives here: the options that `testnet` and `genesis make` share, and what they make of them. Never here: what
fits together (`p2penergy.genesis`).
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from p2penergy.cli.amounts import PriceType
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
    currency: str
    retail: int
    feed_in: int
    network_fee: int | None
    pay_as_bid: bool

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
        return MarketRules(
            currency=self.currency,
            retail_micro_per_kwh=self.retail,
            feed_in_micro_per_kwh=self.feed_in,
            network_fee_micro_per_kwh=msgspec.UNSET if self.network_fee is None else self.network_fee,
            pay_as_bid=self.pay_as_bid,
            scores=ScoreRules(committee_bar_ppm=self.committee_bar_ppm),
        )


def _currency(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if re.fullmatch(r"[A-Z]{3}", value) is None:
        raise click.BadParameter(f"{value!r} is not three capital letters such as EUR")
    return value


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
    click.option("--currency", default="EUR", show_default=True, callback=_currency, help="Of all money."),
    click.option(
        "--retail",
        default="0.29",
        show_default=True,
        type=PriceType(),
        help="What the retailer takes per kWh.",
    ),
    click.option(
        "--feed-in",
        default="0.12",
        show_default=True,
        type=PriceType(),
        help="What the retailer pays per kWh.",
    ),
    click.option(
        "--network-fee",
        type=PriceType(),
        help="What the grid's operator takes of a buyer per kWh from a neighbour.  [default: nothing]",
    ),
    click.option(
        "--pay-as-bid", is_flag=True, help="In the auction each buyer pays its limit, instead of one price."
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
