"""`p2penergy status` and `p2penergy peers`: what nodes say when asked over the network.

Lives here: two tables. Never here: the asking (`operations.asking`). Both end with 0 when the node answers,
with 1 when it does not: a monitor needs no more.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from p2penergy import loops
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.client import ClientError
from p2penergy.config import ConfigError
from p2penergy.founding import address_text
from p2penergy.home import Device, HomeError, load_device
from p2penergy.operations.asking import ASK_MS_MAX, Report, own_address, peer_addresses, survey
from p2penergy.operations.process import running_pid

NO_ANSWER_EXIT_CODE = 1
_wait = click.option(
    "--wait-ms", default=ASK_MS_MAX, show_default=True, type=click.IntRange(100), help="How long to wait."
)


@click.command()
@home_option
@_wait
@json_option
def status(home: Path, wait_ms: int, as_json: bool) -> None:
    """Ask the node of a home how it is; ends with 1 when it does not answer."""
    with as_user_error(HomeError, ConfigError, ClientError):
        device = load_device(home)
        address = own_address(device)
        (report,) = loops.run(survey(device, {device.signer.participant_id: address}, wait_ms))
    pid = running_pid(home)
    if as_json:
        click.echo(json.dumps(_status_json(report, pid), indent=2))
    elif report.status is None:
        running = f"process {pid} runs" if pid else "no process of it runs on this machine"
        click.echo(f"{address_text(*address)}: {report.problem}; {running}.")
    else:
        _show_status(report.status, address_text(*address), pid)
    if report.status is None:
        sys.exit(NO_ANSWER_EXIT_CODE)


def _status_json(report: Report, pid: int | None) -> dict[str, Any]:
    return {
        "address": address_text(*report.address),
        "pid": pid,
        "problem": report.problem or None,
        "status": report.status,
    }


def _show_status(status: dict[str, Any], address: str, pid: int | None) -> None:
    decided = status["decided_ms"]
    rows = {
        "node": f"{status['name']} ({status['role']})",
        "address": address,
        "process": "not on this machine" if pid is None else str(pid),
        "program": f"{status['version']}, protocol {status['protocol']}",
        "chain": status["chain_id"],
        "height": f"{status['height']} (slot {status['slot']})",
        "view": str(status["view"]),
        "state root": status["state_root"],
        "last block": "none since the start" if decided is None else _ago(status["now_ms"] - decided),
        "running for": _ago(status["now_ms"] - status["started_ms"]).removesuffix(" ago"),
        "nodes connected": str(len(status["connected"])),
        "waiting transactions": str(status["pending"]),
        "clock": datetime.fromtimestamp(status["now_ms"] / 1000, UTC).isoformat(timespec="milliseconds"),
    }
    for name, value in rows.items():
        click.echo(f"{name:21}{value}")


def _ago(ms: int) -> str:
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    minutes = int(seconds // 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min ago"


@click.command()
@home_option
@_wait
@json_option
def peers(home: Path, wait_ms: int, as_json: bool) -> None:
    """Ask every validator of the settings for its height, its clock, and whom it is connected to.

    Ends with 1 when fewer than a quorum answer.
    """
    with as_user_error(HomeError, ConfigError, ClientError):
        device = load_device(home)
        reports = loops.run(survey(device, peer_addresses(device), wait_ms))
    if as_json:
        click.echo(json.dumps([_peer_json(report) for report in reports], indent=2))
    else:
        _show_peers(device, reports)
    up = sum(report.status is not None for report in reports)
    faults = (len(reports) - 1) // 3
    if up < len(reports) - faults:
        sys.exit(NO_ANSWER_EXIT_CODE)


def _peer_json(report: Report) -> dict[str, Any]:
    return {
        "participant_id": report.peer.hex(),
        "address": address_text(*report.address),
        "problem": report.problem or None,
        "round_trip_ms": round(report.round_trip_ms, 3),
        "clock_offset_ms": round(report.clock_offset_ms, 3),
        "status": report.status,
    }


def _show_peers(device: Device, reports: list[Report]) -> None:
    # Nothing of it may be cut or broken in a terminal of 80 columns: hence no frame, and problems below.
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("participant", "address", "height", "view", "nodes", "round trip", "clock"):
        justify: JustifyMethod = "left" if heading in ("participant", "address") else "right"
        table.add_column(heading, justify=justify, no_wrap=True, overflow="fold")
    problems = []
    for report in reports:
        me = "*" if report.peer == device.signer.participant_id else ""
        name, address = report.peer.hex()[:12] + me, address_text(*report.address)
        if report.status is None:
            table.add_row(name, address, *["-"] * 5)
            problems.append(f"{name}, {address}: {report.problem}.")
            continue
        said = report.status
        figures = (said["height"], said["view"], len(said["connected"]))
        times = f"{report.round_trip_ms:.1f} ms", f"{report.clock_offset_ms:+.1f} ms"
        table.add_row(name, address, *map(str, figures), *times)
    Console(highlight=False).print(table)
    for problem in problems:
        click.echo(problem)
    if device.signer.participant_id in {report.peer for report in reports}:
        click.echo("* is this node.")
