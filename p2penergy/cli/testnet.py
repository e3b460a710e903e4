"""`p2penergy testnet`: found a network for several machines, one folder per host."""

from pathlib import Path

import click

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.rules import Figures, rule_options
from p2penergy.coordinator import wall_clock_ms
from p2penergy.founding import FoundingError
from p2penergy.genesis import GenesisError
from p2penergy.operations import host_files
from p2penergy.operations.hosts import hosts_from
from p2penergy.operations.testnet import NETWORK_FILE, Order, make, sites_of
from p2penergy.store import StoreError


@click.command()
@click.option("--validators", required=True, type=click.IntRange(1, 100), help="How many validators.")
@click.option(
    "--meters",
    default=2,
    show_default=True,
    type=click.IntRange(0, 10_000),
    help="Households beside them, each with a key of its own.",
)
@click.option(
    "--hosts",
    required=True,
    metavar="A,B,C|FILE",
    help="Machines, dealt out in turn; or a file with one HOST or HOST:PORT per line (and its name for ssh).",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder for everything.",
)
@click.option("--community", default="Testnet", show_default=True, help="The community's name.")
@rule_options
@click.option("--gateway/--no-gateway", default=True, help="Metrics and health on each host's loopback.")
def testnet(
    validators: int,
    meters: int,
    hosts: str,
    out: Path,
    community: str,
    rules: Figures,
    gateway: bool,
) -> None:
    """Make keys, certificates, genesis and one folder per host; copy each to its machine and start it."""
    with as_user_error(FoundingError, GenesisError, StoreError, ValueError):
        order = Order(
            community,
            validators,
            meters,
            [host.address for host in hosts_from(hosts)],
            rules.consensus(wall_clock_ms(), validators),
            rules.market(),
            gateway,
        )
        made = make(order, out)
    click.echo(f"Chain {made.genesis.chain_id.hex()}")
    folders = sorted({str(out / site.folder.parent) for site in sites_of(order)})
    for folder in folders:
        click.echo(f"  {folder}: copy it to its host, there run {host_files.START_FILE}")
    click.echo(f"Who is where is in {out / NETWORK_FILE}. Keep {out / 'ca'} to yourself.")
