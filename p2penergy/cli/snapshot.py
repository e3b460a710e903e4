"""`p2penergy snapshot`: make one now, list them, check that each leads to its block.

Lives here: three subcommands. Never here: what makes a snapshot right (`snapshots.by_hand`). `verify` ends
with 1 when any is no use.
"""

import json
import sys
from pathlib import Path

import click

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.homes import home_option, json_option
from p2penergy.home import HomeError
from p2penergy.snapshots import by_hand
from p2penergy.snapshots.by_hand import Examined
from p2penergy.snapshots.files import SnapshotError

FAULT_EXIT_CODE = 1


@click.group(cls=Group, short_help="Snapshots of a node's state: make one now, list, verify.")
def snapshot() -> None:
    """Snapshots, from which an empty node that is far behind starts.

    A running node makes one by itself every [node] snapshot_blocks blocks, and keeps the last two.
    """


@snapshot.command()
@home_option
def make(home: Path) -> None:
    """Write one of the last decided block.

    The node may run meanwhile; it tells others of this one from its next start on.
    """
    with as_user_error(SnapshotError, HomeError):
        held = by_hand.make(home)
    click.echo(f"{held.path}: block {held.height}, {held.offsets[-1]} bytes.")


@snapshot.command(name="list")
@home_option
@json_option
def list_command(home: Path, as_json: bool) -> None:
    """What there is, oldest first."""
    _show(home, as_json, whole=False)


@snapshot.command()
@home_option
@json_option
def verify(home: Path, as_json: bool) -> None:
    """Check every part of every snapshot against its block in the ledger; ends with 1 when one is no use."""
    if any(each.fault for each in _show(home, as_json, whole=True)):
        sys.exit(FAULT_EXIT_CODE)


def _show(home: Path, as_json: bool, whole: bool) -> list[Examined]:
    with as_user_error(SnapshotError, HomeError):
        found = by_hand.examine(home, whole)
    if as_json:
        click.echo(json.dumps([_plain(each) for each in found], indent=2))
        return found
    if not found:
        click.echo(f"There is no snapshot in {home} yet.")
    for each in found:
        if each.held is None or each.fault:
            click.echo(f"{each.path}: {each.fault}.")
        else:
            proven = ", every part leads to its block" if whole else ""
            click.echo(f"{each.path}: block {each.held.height}, {each.held.offsets[-1]} bytes{proven}.")
    return found


def _plain(each: Examined) -> dict[str, object]:
    return {
        "path": str(each.path),
        "height": each.held.height if each.held else None,
        "bytes": each.held.offsets[-1] if each.held else None,
        "fault": each.fault or None,
    }
