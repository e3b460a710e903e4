"""`p2penergy try-trade`: one trade between two devices of a testnet, seen at every validator."""

import json
import sys
from pathlib import Path

import click

from p2penergy import loops
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import json_option
from p2penergy.client import ClientError
from p2penergy.config import ConfigError
from p2penergy.home import HomeError, load_device
from p2penergy.ledger.receipts import sentence
from p2penergy.operations.trial import trade

NOT_EVERYWHERE_EXIT_CODE = 1
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(name="try-trade")
@click.option("--seller", required=True, type=_FOLDER, help="Folder of the selling meter.")
@click.option("--buyer", required=True, type=_FOLDER, help="Folder of the buying meter.")
@click.option("--energy-wh", default=100, show_default=True, type=click.IntRange(1), help="Energy, Wh.")
@click.option(
    "--price",
    "price_micro_per_kwh",
    default=200_000,
    show_default=True,
    type=click.IntRange(0),
    help="Price, millionths of the currency per kWh.",
)
@click.option("--wait-s", default=60, show_default=True, type=click.IntRange(1), help="How long to wait.")
@json_option
def try_trade(
    seller: Path, buyer: Path, energy_wh: int, price_micro_per_kwh: int, wait_s: int, as_json: bool
) -> None:
    """Report two readings, conclude one trade, and ask every validator for its proof.

    Ends with 1 when the trade was declined or a validator does not prove it.
    """
    with as_user_error(HomeError, ConfigError, ClientError):
        done = loops.run(
            trade(load_device(seller), load_device(buyer), energy_wh, price_micro_per_kwh, wait_s)
        )
    seen = sum(done.seen.values())
    if as_json:
        figures = {
            "transaction_id": done.receipt.transaction_id.hex(),
            "accepted": done.receipt.accepted,
            "height": done.height,
            "took_ms": round(done.took_ms, 1),
            "seen": {peer.hex(): there for peer, there in done.seen.items()},
        }
        click.echo(json.dumps(figures, indent=2))
    else:
        click.echo(sentence(done.receipt))
        click.echo(f"Height {done.height}, {done.took_ms:.0f} ms until f+1 equal replies.")
        click.echo(f"{seen} of {len(done.seen)} validators prove it from their own ledgers.")
    if not done.receipt.accepted or seen < len(done.seen):
        sys.exit(NOT_EVERYWHERE_EXIT_CODE)
