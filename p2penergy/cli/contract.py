"""`p2penergy contract list|show`: what this household has agreed for periods to come, and any contract."""

from pathlib import Path
from typing import Any

import click

from p2penergy.cli.amounts import price_text
from p2penergy.cli.groups import Group
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.cli.trade import show
from p2penergy.grid.periods import period_start_text
from p2penergy.household import waiting
from p2penergy.household.reach import Network
from p2penergy.household.waiting import Waiting


@click.group(cls=Group)
def contract() -> None:
    """Contracts of this household; they come about by `offer` and by the auction."""


contract.add_command(show)


@contract.command(name="list")
@network_options
def list_command(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool) -> None:
    """Contracts that wait for their period, with the price put aside until then."""

    async def job(network: Network) -> tuple[bytes, list[Waiting]]:
        return network.participant_id, await waiting.contracts(network)

    me, found = ask(home, nodes, wait_s, job)
    if as_json:
        show_json([_figures(me, each) for each in found])
        return
    if not found:
        click.echo("No contract waits for its period. `order list` and `history` show past ones.")
    for each in found:
        figures = _figures(me, each)
        click.echo(
            f"{figures['period_start']}: {figures['side']} {figures['energy_wh']} Wh at "
            f"{price_text(each.terms.price_micro_per_kwh)}, with {figures['with']}, by {figures['made_by']}"
        )
        click.echo(f"  trade {figures['trade_id']}")


def _figures(me: bytes, found: Waiting) -> dict[str, Any]:
    terms = found.terms
    sells = terms.seller == me
    return {
        "trade_id": found.trade_id.hex(),
        "period": terms.period,
        "period_start": period_start_text(terms.period),
        "side": "sell" if sells else "buy",
        "with": (terms.buyer if sells else terms.seller).hex(),
        "energy_wh": terms.energy_wh,
        "price_micro_per_kwh": terms.price_micro_per_kwh,
        "amount_nano": terms.amount_nano,
        "made_by": "contract" if terms.chosen else "auction",
    }
