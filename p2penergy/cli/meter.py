"""`p2penergy meter`: read this household's meter, sign each period, and hand it to the network.

Lives here: options, lines, the end by Ctrl-C. Never here: the reading (`meters`).
"""

import asyncio
import contextlib
import json
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from p2penergy import loops
from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.client import ClientError
from p2penergy.config import ConfigError, parse_address
from p2penergy.grid.periods import period_start_text
from p2penergy.home import Device, HomeError, load_device
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.private_files import read_private, write_atomically
from p2penergy.meters import mqtt
from p2penergy.meters.csv_file import CsvFile
from p2penergy.meters.folder import Folder
from p2penergy.meters.http_push import PATH, HttpPush
from p2penergy.meters.memory import Memory, ReadingState
from p2penergy.meters.reader import MeterReader, Outcome, outcome_text, rated_w, watch_links
from p2penergy.meters.registers import Limits
from p2penergy.meters.samples import Source, SourceError
from p2penergy.operations.asking import dialling, peer_addresses

TOKEN_FILE = "meter.token"
DECLINED_EXIT_CODE = 1
Kind = Literal["csv", "folder", "http", "mqtt"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the command line says of the source."""

    kind: Kind
    path: Path | None
    listen: str
    broker: str
    topic: str
    username: str | None
    password_file: Path | None
    tls: bool


@click.command()
@home_option
@click.option(
    "--source",
    "kind",
    required=True,
    type=click.Choice(["csv", "folder", "http", "mqtt"]),
    help="Where readings come from.",
)
@click.option("--path", type=click.Path(path_type=Path), help="csv: the file. folder: the folder.")
@click.option("--listen", default="127.0.0.1:8450", show_default=True, help="http: HOST:PORT.")
@click.option("--broker", default="127.0.0.1:1883", show_default=True, help="mqtt: HOST:PORT.")
@click.option("--topic", default="meter/readings", show_default=True, help="mqtt: what to subscribe to.")
@click.option("--username", help="mqtt: the user at the broker.")
@click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False), help="mqtt: a file with the password."
)
@click.option("--tls", is_flag=True, help="mqtt: dial the broker over TLS.")
@click.option(
    "--register-digits",
    type=click.IntRange(4, 12),
    help="Digits of kWh after which the registers begin again from 0.  [default: they never do]",
)
@json_option
def meter(
    home: Path,
    kind: Kind,
    path: Path | None,
    listen: str,
    broker: str,
    topic: str,
    username: str | None,
    password_file: Path | None,
    tls: bool,
    register_digits: int | None,
    as_json: bool,
) -> None:
    """Turn the registers of a meter (OBIS 1.8.0, 2.8.0) into one signed reading per period, and submit them.

    What was signed is remembered in meter.sqlite3: it may be stopped at any moment and goes on from there.
    Of a file it ends when all is answered, with 1 when a reading was declined; else it runs until Ctrl-C.
    """
    with as_user_error(HomeError, ConfigError, ClientError, SourceError, MembershipError):
        device = load_device(home)
        register_wh = 10**register_digits * 1000 if register_digits else 0
        limits = Limits(rated_w(device), register_wh)
        chosen = Chosen(kind, path, listen, broker, topic, username, password_file, tls)
        memory = Memory(home, device.genesis.chain_id)
        try:
            loops.run(_until_ended(device, memory, chosen, limits, as_json))
            counts = memory.counts()
        finally:
            memory.close()
    said = ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items())
    click.echo(f"Readings of this meter: {said}.", err=as_json)
    if kind == "csv" and counts[ReadingState.DECLINED]:
        sys.exit(DECLINED_EXIT_CODE)


async def _until_ended(device: Device, memory: Memory, chosen: Chosen, limits: Limits, as_json: bool) -> None:
    """Run until the source ends, or somebody ends it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await _run(device, memory, chosen, limits, as_json)
    except asyncio.CancelledError:
        if not ended:
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _run(device: Device, memory: Memory, chosen: Chosen, limits: Limits, as_json: bool) -> None:
    def told(outcome: Outcome) -> None:
        click.echo(json.dumps(_figures(outcome)) if as_json else outcome_text(outcome))

    async with (
        _source(device, memory, chosen) as source,
        dialling(device, peer_addresses(device)) as (client, _),
    ):
        watch = asyncio.ensure_future(watch_links(client, client.fault_limit + 1, _say))
        try:
            await MeterReader(device, memory, source, limits, _now_s, told, _say).run(client)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


def _say(sentence: str) -> None:
    click.echo(f"{sentence[:1].upper()}{sentence[1:]}.", err=True)


def _now_s() -> int:
    return int(time.time())


def _figures(outcome: Outcome) -> dict[str, Any]:
    reading = outcome.reading
    return {
        "period_start": period_start_text(reading.period),
        "period": reading.period,
        "import_wh": reading.import_wh,
        "export_wh": reading.export_wh,
        "state": outcome.state.name.lower(),
        "outcome": outcome.sentence,
        "height": outcome.height,
    }


@contextlib.asynccontextmanager
async def _source(device: Device, memory: Memory, chosen: Chosen) -> AsyncIterator[Source]:
    if chosen.kind in ("csv", "folder"):
        if chosen.path is None:
            raise UserError(f"--source {chosen.kind} needs --path.")
        yield CsvFile(chosen.path) if chosen.kind == "csv" else Folder(chosen.path, memory.has_mark)
    elif chosen.kind == "http":
        push = HttpPush(*parse_address(chosen.listen, "--listen"), _token(device.path), _now_s)
        await push.start()
        try:
            host, port = push.address
            _say(f"POST to http://{host}:{port}{PATH} with the token in {device.path / TOKEN_FILE}")
            yield push
        finally:
            await push.stop()
    else:
        yield mqtt.Mqtt(_broker(device, chosen), _now_s, _say)


def _broker(device: Device, chosen: Chosen) -> mqtt.Broker:
    host, port = parse_address(chosen.broker, "--broker")
    password = None
    if chosen.password_file is not None:
        password = read_private(chosen.password_file, "password").decode("utf-8", "replace").strip()
    client_id = f"p2penergy-{device.signer.participant_id.hex()[:12]}"
    return mqtt.Broker(host, port, chosen.topic, client_id, chosen.username, password, chosen.tls)


def _token(home: Path) -> str:
    """The secret of whoever pushes; made at the first start."""
    path = home / TOKEN_FILE
    if not path.exists():
        write_atomically(path, secrets.token_hex(24).encode() + b"\n", replace=False)
    return read_private(path, "token").decode("ascii", "replace").strip()
