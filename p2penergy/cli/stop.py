"""`p2penergy stop`: end the node of a home on this machine, in order."""

from pathlib import Path

import click

from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.homes import home_option
from p2penergy.operations import process

WAIT_S = 30


@click.command()
@home_option
@click.option("--wait-s", default=WAIT_S, show_default=True, type=click.IntRange(1), help="How long to wait.")
def stop(home: Path, wait_s: int) -> None:
    """End the node of a home, and wait until it has ended; fine when none runs."""
    if not home.is_dir():
        raise UserError(f"There is no folder {home}.")
    with as_user_error(process.ProcessNotEndedError):
        pid = process.stop(home, wait_s)
    click.echo("No node runs there." if pid is None else f"Process {pid} has ended.")
