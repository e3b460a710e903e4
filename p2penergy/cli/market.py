"""`p2penergy market`: the order book, and the prices of past auctions."""

from pathlib import Path

import click

from p2penergy.cli.amounts import price_text
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.cli.order import order_figures
from p2penergy.grid.periods import period_start_text
from p2penergy.household import book
from p2penergy.household.book import Market
from p2penergy.household.reach import Network

AUCTIONS_MAX = 960


@click.command()
@click.option(
    "--auctions",
    default=96,
    show_default=True,
    type=click.IntRange(1, AUCTIONS_MAX),
    help="Look back over so many periods.",
)
@network_options
def market(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, auctions: int) -> None:
    """Open orders of everybody, and the last prices."""

    async def job(network: Network) -> Market:
        return await book.market(network, auctions)

    found = ask(home, nodes, wait_s, job)
    if as_json:
        show_json(_figures(found))
    else:
        _show(found)


def _figures(found: Market) -> dict[str, object]:
    return {
        "period_start": period_start_text(found.period),
        "first_open_period_start": period_start_text(found.first_open),
        "book": [order_figures(each) for each in found.book],
        "auctions": [
            {
                "period_start": period_start_text(period),
                "price_micro_per_kwh": how.price_micro_per_kwh,
                "volume_wh": how.volume_wh,
                "asks": how.asks,
                "bids": how.bids,
            }
            for period, how in found.auctions
        ],
    }


def _show(found: Market) -> None:
    click.echo(
        f"The ledger is at {period_start_text(found.period)}; "
        f"orders are taken from {period_start_text(found.first_open)} on."
    )
    if not found.book:
        click.echo("No open orders.")
    for each in found.book:
        record = each.record
        click.echo(
            f"  {period_start_text(each.period)}  {record.side.name.lower()}  {record.energy_wh:>8} Wh at "
            f"{price_text(record.price_micro_per_kwh)}  {each.participant_id.hex()[:12]}"
        )
    if not found.auctions:
        click.echo("No auction in the periods asked about.")
    for period, how in found.auctions:
        price = "no price" if how.price_micro_per_kwh is None else price_text(how.price_micro_per_kwh)
        click.echo(
            f"  {period_start_text(period)}  cleared at {price}, {how.volume_wh} Wh, "
            f"{how.asks} asks and {how.bids} bids"
        )
