"""`p2penergy deploy`: a testnet's nodes on their machines, over the system's ssh and rsync.

Lives here: options, one line per machine, a table. Never here: the work (`operations.deploy`). Ends with 1
when any machine failed; each of them then has its sentence.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from rich.console import Console
from rich.table import Table

from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.homes import json_option
from p2penergy.founding import FoundingError
from p2penergy.operations.deploy import (
    FOLDER,
    DeployError,
    Deployment,
    NodeState,
    Outcome,
    Program,
    targets_of,
    wheel_in,
)
from p2penergy.operations.hosts import hosts_from
from p2penergy.operations.ssh import Ssh

P = ParamSpec("P")
R = TypeVar("R")
FAILED_EXIT_CODE = 1
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _common(command: Callable[P, R]) -> Callable[P, R]:
    for decorate in (
        click.option("--folder", default=FOLDER, show_default=True, help="Folder on the machines."),
        click.option("--ssh-config", type=_FILE, help="Configuration for ssh.  [default: your own]"),
        click.option("--only", multiple=True, metavar="HOST", help="These machines only; repeatable."),
        click.option("--hosts", type=_FILE, help="The file given to `testnet`, where it names ssh names."),
        click.argument("net", type=_FOLDER),
    ):
        command = decorate(command)
    return command


@click.group(cls=Group, short_help="Install, start, watch and stop a testnet's nodes over ssh.")
def deploy() -> None:
    """Put the nodes of a folder NET that `testnet` made on their machines, and run them there.

    Uses the system's ssh and rsync with your own configuration and keys; nothing asks for a password.
    """


def _deployment(
    net: Path, hosts: Path | None, only: tuple[str, ...], ssh_config: Path | None, folder: str
) -> Deployment:
    with as_user_error(DeployError, FoundingError):
        machines = hosts_from(str(hosts)) if hosts else []
        chain_id, targets = targets_of(net, machines, only)
        return Deployment(chain_id, targets, Ssh(ssh_config), folder)


@deploy.command()
@_common
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Install the program from these.",
)
@click.option("--offline", is_flag=True, help="Take everything from --wheels: the machines have no internet.")
@click.option("--python", default="python3", show_default=True, help="Python 3.11 or newer on the machines.")
def install(
    net: Path,
    hosts: Path | None,
    only: tuple[str, ...],
    ssh_config: Path | None,
    folder: str,
    wheels: Path | None,
    offline: bool,
    python: str,
) -> None:
    """Copy the program, if --wheels names it, and each node's folder; a folder that is there stays."""
    if offline and wheels is None:
        raise UserError("--offline needs --wheels, a folder made with `pip wheel . -w DIR`.")
    with as_user_error(DeployError):
        program = Program(wheel_in(wheels), offline, python) if wheels is not None else None
    _end(_deployment(net, hosts, only, ssh_config, folder).install(program), "installed")


@deploy.command()
@_common
def start(net: Path, hosts: Path | None, only: tuple[str, ...], ssh_config: Path | None, folder: str) -> None:
    """Start the nodes that do not run, and wait until all answer."""
    _end(_deployment(net, hosts, only, ssh_config, folder).start(), "runs")


@deploy.command()
@_common
def stop(net: Path, hosts: Path | None, only: tuple[str, ...], ssh_config: Path | None, folder: str) -> None:
    """End the nodes in order."""
    _end(_deployment(net, hosts, only, ssh_config, folder).stop(), "stopped")


@deploy.command()
@_common
@click.option("--out", required=True, type=_FOLDER, help="Folder for OUT/HOST/NODE/node.log.")
def logs(
    net: Path,
    hosts: Path | None,
    only: tuple[str, ...],
    ssh_config: Path | None,
    folder: str,
    out: Path,
) -> None:
    """Fetch the nodes' logs."""
    with as_user_error(OSError):
        outcomes = _deployment(net, hosts, only, ssh_config, folder).logs(out)
    _end(outcomes, "logs fetched")


@deploy.command()
@_common
@json_option
def status(
    net: Path,
    hosts: Path | None,
    only: tuple[str, ...],
    ssh_config: Path | None,
    folder: str,
    as_json: bool,
) -> None:
    """Ask every node on its own machine how it is."""
    outcomes, states = _deployment(net, hosts, only, ssh_config, folder).status()
    if as_json:
        click.echo(json.dumps([_plain(state) for state in states], indent=2))
    else:
        _show(states)
    if any(outcome.problem for outcome in outcomes) or any(state.status is None for state in states):
        sys.exit(FAILED_EXIT_CODE)


def _end(outcomes: Iterable[Outcome], done: str) -> None:
    failed = False
    for outcome in outcomes:
        if outcome.problem:
            failed = True
            click.echo(f"{outcome.target.host}: {outcome.problem}.", err=True)
            continue
        for line in outcome.text.splitlines():
            click.echo(f"{outcome.target.host}: {line}")
        click.echo(f"{outcome.target.host}: {done}.")
    if failed:
        sys.exit(FAILED_EXIT_CODE)


def _plain(state: NodeState) -> dict[str, object]:
    return {
        "host": state.host,
        "node": state.node,
        "pid": state.pid,
        "problem": state.problem or None,
        "status": state.status,
    }


def _show(states: Iterable[NodeState]) -> None:
    table = Table()
    for heading in ("host", "node", "height", "view", "nodes", "process"):
        table.add_column(heading, justify="left" if heading in ("host", "node") else "right")
    for state in states:
        pid = "-" if state.pid is None else str(state.pid)
        said = state.status
        if said is None:
            table.add_row(state.host, state.node, state.problem, "", "", pid)
        else:
            figures = (said["height"], said["view"], len(said["connected"]))
            table.add_row(state.host, state.node, *map(str, figures), pid)
    Console(highlight=False).print(table)
