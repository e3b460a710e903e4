"""What all household commands share: the options, and a job done on the running network.

Lives here: `--home`, `--node`, `--wait-s`, `--json`, and the errors that become one sentence. Never here:
any command.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from p2penergy import loops
from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.client import ClientError
from p2penergy.config import ConfigError
from p2penergy.home import HomeError, load_device
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network, reaching

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

WAIT_S = 20.0
ID_HEX_DIGITS = 40

node_option = click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="HOST:PORT",
    help="A validator to ask, repeatable.  [default: those of the folder's settings]",
)


def network_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--home`, `--node`, `--wait-s` and `--json`: arguments `home`, `nodes`, `wait_s`, `as_json`."""
    wait = click.option(
        "--wait-s",
        default=WAIT_S,
        show_default=True,
        type=click.FloatRange(0.1, 3600),
        help="How long to wait.",
    )
    return home_option(node_option(wait(json_option(command))))


def ask(home: Path, nodes: tuple[str, ...], wait_s: float, job: Callable[[Network], Awaitable[T]]) -> T:
    """Do a job in a household's name; whatever its owner can mend becomes a `UserError`."""

    async def within() -> T:
        async with reaching(device, nodes, wait_s) as network:
            return await job(network)

    with as_user_error(HomeError, ConfigError, ClientError, HouseholdError):
        device = load_device(home)
        return loops.run(within())


def participant(text: str | None, own: bytes) -> bytes:
    """A participant id from 40 hex digits; one's own without any."""
    if text is None:
        return own
    return hex_bytes(text, ID_HEX_DIGITS // 2, "a participant id")


def hex_bytes(text: str, count: int, what: str) -> bytes:
    """Bytes from hex digits, or one sentence."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != count:
        raise UserError(f"{text!r} is not {what}: that has {2 * count} hex digits.")
    return found


def show_json(figures: Any) -> None:
    """For programs."""
    click.echo(json.dumps(figures, indent=2))
