"""`p2penergy version` and `p2penergy genesis`: what program and what network this is."""

import json
import platform
import ssl
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import click

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import json_option
from p2penergy.home import GENESIS_FILE, HomeError, read_genesis
from p2penergy.messages import PROTOCOL_VERSION
from p2penergy.store.schema import SCHEMA_VERSION


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Versions of the program, its protocol, its ledger file, and what it runs on."""
    figures = {
        "p2penergy": version_of("p2penergy"),
        "protocol": PROTOCOL_VERSION,
        "ledger_schema": SCHEMA_VERSION,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "platform": f"{sys.platform} {platform.machine()}",
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        click.echo(f"{name} {value}")


@click.group()
def genesis() -> None:
    """Genesis: what all members agree on before the first block."""


@genesis.command(name="hash")
@click.argument("path", type=click.Path(path_type=Path))
def hash_command(path: Path) -> None:
    """Print the chain id of a genesis file, or of a node's folder: members compare it before they start."""
    file = path / GENESIS_FILE if path.is_dir() else path
    with as_user_error(HomeError):
        click.echo(read_genesis(file).chain_id.hex())
