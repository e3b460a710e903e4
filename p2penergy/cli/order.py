"""`p2penergy order ask|bid|cancel|list`: a household in the auction."""

import sys
from pathlib import Path
from typing import Any

import click

from p2penergy.cli.amounts import PeriodType, energy_option, price_option, price_text
from p2penergy.cli.groups import Group
from p2penergy.cli.network import ask as ask_network
from p2penergy.cli.network import network_options, show_json
from p2penergy.grid.periods import period_start_text
from p2penergy.household import book
from p2penergy.household.book import Listed
from p2penergy.household.reach import Network
from p2penergy.ledger.receipts import OrderReceipt, sentence
from p2penergy.ledger.transactions import ORDER_PLACES, Side

DECLINED_EXIT_CODE = 1
_period = click.option(
    "--period", type=PeriodType(), help="Start of the period.  [default: the first whose gate is open]"
)
_expires = click.option(
    "--expires",
    "expires_period",
    type=PeriodType(),
    help="Last period in which the ledger may take the order, after which it is void.  "
    f"[default: {book.LIFE_PERIODS} from now]",
)


@click.group(cls=Group)
def order() -> None:
    """Orders of this household for the auction of a settlement period."""


@order.command()
@energy_option
@price_option
@_period
@_expires
@network_options
def ask(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
    expires_period: int | None,
) -> None:
    """Offer energy at this price or more; ends with 1 when the ledger declines the order."""
    _place(home, nodes, wait_s, as_json, Side.ASK, energy_wh, price_micro_per_kwh, period, expires_period)


@order.command()
@energy_option
@price_option
@_period
@_expires
@network_options
def bid(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
    expires_period: int | None,
) -> None:
    """Want energy at this price or less, which is put aside; ends with 1 when declined."""
    _place(home, nodes, wait_s, as_json, Side.BID, energy_wh, price_micro_per_kwh, period, expires_period)


@order.command()
@click.option("--period", required=True, type=PeriodType(), help="Start of the order's period.")
@click.option(
    "--place", required=True, type=click.IntRange(0, ORDER_PLACES - 1), help="As `order list` shows it."
)
@network_options
def cancel(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, period: int, place: int) -> None:
    """Take an open order back; ends with 1 when there is none."""

    async def job(network: Network) -> tuple[OrderReceipt, int]:
        _, receipt, height = await book.cancel(network, period, place)
        return receipt, height

    _tell(*ask_network(home, nodes, wait_s, job), as_json)


@order.command(name="list")
@network_options
def list_command(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool) -> None:
    """Own orders: the open ones, and what became of the others, with the trades that filled them."""

    async def job(network: Network) -> tuple[list[Listed], dict[Listed, list[bytes]]]:
        orders = await book.own_orders(network)
        return orders, await book.matches(network, orders)

    found, trades = ask_network(home, nodes, wait_s, job)
    if as_json:
        show_json(
            [order_figures(each) | {"trades": [t.hex() for t in trades.get(each, [])]} for each in found]
        )
        return
    if not found:
        click.echo("No orders.")
    for each in found:
        record = each.record
        click.echo(
            f"{period_start_text(each.period)} place {each.place}: {record.side.name.lower()} "
            f"{record.energy_wh} Wh at {price_text(record.price_micro_per_kwh)}, "
            f"{record.filled_wh} Wh filled, {book.WHY[record.end]}"
        )
        for trade_id in trades.get(each, []):
            click.echo(f"  trade {trade_id.hex()}")


def order_figures(listed: Listed) -> dict[str, Any]:
    """An order for programs."""
    record = listed.record
    return {
        "participant_id": listed.participant_id.hex(),
        "period_start": period_start_text(listed.period),
        "period": listed.period,
        "place": listed.place,
        "side": record.side.name.lower(),
        "energy_wh": record.energy_wh,
        "price_micro_per_kwh": record.price_micro_per_kwh,
        "escrow_nano": record.escrow_nano,
        "end": record.end.name.lower(),
        "why": book.WHY[record.end],
        "filled_wh": record.filled_wh,
    }


def _place(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    side: Side,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
    expires_period: int | None,
) -> None:
    async def job(network: Network) -> tuple[OrderReceipt, int]:
        _, receipt, height = await book.place(
            network, side, energy_wh, price_micro_per_kwh, period, expires_period
        )
        return receipt, height

    _tell(*ask_network(home, nodes, wait_s, job), as_json)


def _tell(receipt: OrderReceipt, height: int, as_json: bool) -> None:
    start = period_start_text(receipt.period)
    if as_json:
        show_json(
            {
                "transaction_id": receipt.transaction_id.hex(),
                "accepted": receipt.accepted,
                "outcome": sentence(receipt),
                "height": height,
                "period_start": start,
                "period": receipt.period,
                "place": receipt.place,
                "energy_wh": receipt.energy_wh,
            }
        )
    else:
        click.echo(f"Order for {start}, place {receipt.place}, block {height}: {sentence(receipt)}.")
    if not receipt.accepted:
        sys.exit(DECLINED_EXIT_CODE)
