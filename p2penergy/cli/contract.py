"""`p2penergy contract draft|sign|submit`: neighbours agree over a file that they exchange by hand."""

import sys
from pathlib import Path
from typing import Any

import click

from p2penergy.cli.amounts import PeriodType, energy_option, price_option, price_text
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.cli.network import ask, device_of, network_options, participant, show_json
from p2penergy.grid.periods import period_start_text
from p2penergy.home import Device
from p2penergy.household import drafts
from p2penergy.household.drafts import Draft
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger.receipts import TradeReceipt, sentence

DECLINED_EXIT_CODE = 1
_file = click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def contract() -> None:
    """Contracts between two households."""


@contract.command()
@_file
@click.option("--with", "other", required=True, metavar="PARTICIPANT", help="The neighbour.")
@click.option("--sell/--buy", "sells", required=True, help="What this household does.")
@energy_option
@price_option
@click.option("--period", type=PeriodType(), help="Start of the period.  [default: the ledger's]")
@network_options
def draft(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    path: Path,
    other: str,
    sells: bool,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
) -> None:
    """Write terms to FILE, for the neighbour to sign; a later period's wait in escrow."""

    async def job(network: Network) -> tuple[Device, Draft]:
        who = participant(other, network.participant_id)
        made = await drafts.draft(network, who, sells, energy_wh, price_micro_per_kwh, period)
        drafts.write(path, network.device, made)
        return network.device, made

    device, made = ask(home, nodes, wait_s, job)
    _show(device, made, as_json, f"{path} is ready to be signed by {other}.")


@contract.command()
@_file
@home_option
@json_option
def sign(home: Path, as_json: bool, path: Path) -> None:
    """Sign the terms in FILE; needs no network. Then the neighbour submits it."""
    device = device_of(home)
    with as_user_error(HouseholdError):
        signed = drafts.sign(device, drafts.read(path, device))
        drafts.write(path, device, signed)
    _show(device, signed, as_json, f"{path} is signed; now the neighbour submits it.")


@contract.command()
@_file
@network_options
def submit(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, path: Path) -> None:
    """Submit what the neighbour has signed; ends with 1 when the ledger declines it."""

    async def job(network: Network) -> tuple[TradeReceipt, int]:
        return await drafts.submit(network, drafts.read(path, network.device))

    receipt, height = ask(home, nodes, wait_s, job)
    if as_json:
        show_json(
            {
                "trade_id": receipt.trade_id.hex(),
                "transaction_id": receipt.transaction_id.hex(),
                "accepted": receipt.accepted,
                "outcome": sentence(receipt),
                "height": height,
            }
        )
    else:
        click.echo(f"Trade {receipt.trade_id.hex()}, block {height}: {sentence(receipt)}.")
    if not receipt.accepted:
        sys.exit(DECLINED_EXIT_CODE)


def _show(device: Device, made: Draft, as_json: bool, done: str) -> None:
    terms = made.terms
    figures: dict[str, Any] = {
        "trade_id": made.trade_id(device).hex(),
        "seller": terms.seller.hex(),
        "buyer": terms.buyer.hex(),
        "period_start": period_start_text(terms.period),
        "energy_wh": terms.energy_wh,
        "price_micro_per_kwh": terms.price_micro_per_kwh,
        "signed_by": made.signed_by.hex() if made.signed_by else None,
    }
    if as_json:
        show_json(figures)
        return
    click.echo(
        f"{terms.energy_wh} Wh at {price_text(terms.price_micro_per_kwh)} per kWh in "
        f"{figures['period_start']}, from {figures['seller']} to {figures['buyer']}."
    )
    click.echo(done)
