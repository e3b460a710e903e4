"""Prices and settlement periods as people type and read them."""

from decimal import Decimal, InvalidOperation

import click

from p2penergy.grid.periods import parse_period_start
from p2penergy.ledger.transactions import PRICE_MICRO_PER_KWH_MAX

MICRO = 1_000_000


class PriceType(click.ParamType[int]):
    """The currency per kWh with up to six decimals; the command gets millionths."""

    name = "PRICE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Exact, or one sentence."""
        try:
            micro = Decimal(str(value)) * MICRO
            price = int(micro)
        except (InvalidOperation, ValueError, OverflowError):
            micro, price = Decimal(0), -1
        if price != micro or not 0 <= price <= PRICE_MICRO_PER_KWH_MAX:
            self.fail(f"{value!r} is not a price per kWh such as 0.21, with six decimals at most", param, ctx)
        return price


class PeriodType(click.ParamType[int]):
    """The start of a settlement period in UTC; the command gets its number."""

    name = "YYYY-MM-DDTHH:MMZ"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or one sentence."""
        try:
            return parse_period_start(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


def price_text(price_micro_per_kwh: int) -> str:
    """Such as `0.210000`."""
    return f"{price_micro_per_kwh // MICRO}.{price_micro_per_kwh % MICRO:06d}"


energy_option = click.option("--energy-wh", required=True, type=click.IntRange(1), help="Energy, Wh.")
price_option = click.option(
    "--price",
    "price_micro_per_kwh",
    required=True,
    type=PriceType(),
    help="Per kWh, such as 0.21.",
)
