"""`p2penergy import-csv participants|packets|orders`: many at once, every bad row named.

Lives here: files, options, what is said. Never here: the tables and the sending (`bulk`). The ledger itself
as a file is `p2penergy import`.
"""

import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from p2penergy import loops
from p2penergy.bulk.participants import with_participants
from p2penergy.bulk.sending import HOUSEHOLDS_MAX, RowOutcome, send_orders, send_packets
from p2penergy.bulk.tables import OfHousehold, Parsed, parse_orders, parse_packets, parse_participants
from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.homes import json_option
from p2penergy.cli.network import node_option, show_json
from p2penergy.client import ClientError
from p2penergy.config import ConfigError
from p2penergy.genesis import GenesisError, render
from p2penergy.grid.csv_tables import FILE_BYTES_MAX, DataError, Table, parse_table
from p2penergy.grid.feeder import parse_feeder
from p2penergy.home import Device, HomeError, load_device, read_genesis
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.private_files import PUBLIC_FILE_MODE, write_atomically
from p2penergy.meters.samples import SourceError

BAD_ROWS_EXIT_CODE = 2
DECLINED_EXIT_CODE = 1
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
H = TypeVar("H", bound=OfHousehold)
_FILE = click.Path(path_type=Path, dir_okay=False)
_file = click.argument("file", type=_FILE)
_dry_run = click.option("--dry-run", is_flag=True, help="Check every row; write and send nothing.")
_homes = click.option(
    "--homes",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with a household's folder for each name in the table.",
)


def _sending_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--homes`, `--node`, `--dry-run`, `--json`: arguments `homes`, `nodes`, `dry_run`, `as_json`."""
    return _homes(node_option(_dry_run(json_option(command))))


@click.group(cls=Group)
def import_csv() -> None:
    """Take in many participants, packets (readings) or orders from a CSV file.

    A file with a bad row is not taken in at all; every bad row is named by line and column.
    """


@import_csv.command()
@_file
@click.option("--genesis", "base", required=True, type=_FILE, help="A genesis that nobody started from yet.")
@click.option("--feeder", type=_FILE, help="feeder.csv: trades are then checked against it.")
@click.option("--out", required=True, type=_FILE, help="The new genesis.")
@_dry_run
@json_option
def participants(
    file: Path, base: Path, feeder: Path | None, out: Path, dry_run: bool, as_json: bool
) -> None:
    """Add participants to a genesis; prints its hash.

    Columns: name,participant_id,public_key and, if wanted, role (household or validator), beacon_tip,
    rated_w, cluster, wallet. The names are those of feeder.csv, and stay with the founder.
    """
    with as_user_error(DataError, HomeError, GenesisError, KeyFileError):
        found = _good(parse_participants(_table(file)), as_json)
        tree = None if feeder is None else parse_feeder(_table(feeder), [each.name for each in found])
        made = with_participants(read_genesis(base), found, tree)
        if not dry_run:
            write_atomically(out, render(made), mode=PUBLIC_FILE_MODE, replace=False)
    if as_json:
        figures = {"chain_id": made.chain_id.hex(), "members": len(made.members), "rows": len(found)}
        show_json(figures | {"written": not dry_run})
        return
    said = "would have" if dry_run else "has"
    click.echo(f"Genesis {said} {len(made.members)} members, {len(found)} of them from {file}.", err=True)
    click.echo(made.chain_id.hex())


@import_csv.command()
@_file
@_sending_options
def packets(file: Path, homes: Path, nodes: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Sign and submit readings, each with its household's key; export mints Energy packets.

    Columns: household,period_start,import_wh,export_wh. Ends with 1 when a reading was declined.
    """
    _run(_Sending(file, homes, nodes, dry_run, as_json), parse_packets, send_packets)


@import_csv.command()
@_file
@_sending_options
def orders(file: Path, homes: Path, nodes: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Place orders, each with its household's key.

    Columns: household,side,period_start,energy_wh,price. Ends with 1 when an order was declined.
    """
    _run(_Sending(file, homes, nodes, dry_run, as_json), parse_orders, send_orders)


@dataclass(frozen=True, slots=True)
class _Sending:
    """What the options said."""

    file: Path
    homes: Path
    nodes: tuple[str, ...]
    dry_run: bool
    as_json: bool


_Send = Callable[
    [dict[str, Device], tuple[str, ...], tuple[H, ...], Callable[[RowOutcome], None]],
    Coroutine[Any, Any, None],
]


def _run(given: _Sending, parse: Callable[[Table], Parsed[H]], send: _Send[H]) -> None:
    outcomes: list[RowOutcome] = []

    def told(outcome: RowOutcome) -> None:
        outcomes.append(outcome)
        if not outcome.accepted and not given.as_json:
            click.echo(f"{given.file}, line {outcome.line}: {outcome.sentence}", err=True)

    with as_user_error(DataError, HomeError, ConfigError, ClientError, SourceError):
        rows = _good(parse(_table(given.file)), given.as_json)
        devices = _devices(given.homes, dict.fromkeys(row.household for row in rows))
        if not given.dry_run:
            loops.run(send(devices, given.nodes, rows, told))
    accepted = sum(outcome.accepted for outcome in outcomes)
    if given.as_json:
        figures = {"rows": len(rows), "households": len(devices), "sent": not given.dry_run}
        told_of = [asdict(each) for each in sorted(outcomes, key=lambda each: each.line)]
        show_json(figures | {"accepted": accepted, "outcomes": told_of})
    elif given.dry_run:
        click.echo(f"{len(rows)} rows of {len(devices)} households are good; nothing was sent.")
    else:
        click.echo(f"{accepted} of {len(rows)} rows were accepted.")
    if accepted < len(rows) and not given.dry_run:
        sys.exit(DECLINED_EXIT_CODE)


def _table(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            return parse_table(str(path), file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None


def _good(parsed: Parsed[T], as_json: bool) -> tuple[T, ...]:
    """The rows, or every bad one's sentence and the end."""
    if not parsed.errors:
        return parsed.rows
    if as_json:
        bad = [{"line": each.line, "column": each.column, "problem": each.problem} for each in parsed.errors]
        show_json({"bad_rows": bad})
    else:
        for error in parsed.errors:
            click.echo(str(error), err=True)
        click.echo(f"{len(parsed.errors)} bad rows: nothing was taken in.", err=True)
    sys.exit(BAD_ROWS_EXIT_CODE)


def _devices(homes: Path, names: Iterable[str]) -> dict[str, Device]:
    """Every household's folder; all that are missing are named at once."""
    wanted = list(names)
    if len(wanted) > HOUSEHOLDS_MAX:
        raise UserError(f"The table names {len(wanted)} households, at most {HOUSEHOLDS_MAX} go at once.")
    missing = [name for name in wanted if not (homes / name).is_dir()]
    if missing:
        raise UserError(f"{homes} has no folder for {', '.join(missing[:10])}: {len(missing)} are missing.")
    return {name: load_device(homes / name) for name in wanted}
