"""`p2penergy start`: run the node of one home until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import get_args

import click

from p2penergy import home as homes
from p2penergy import logs, loops
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import home_option
from p2penergy.collector import spare_collector
from p2penergy.config import ConfigError, Role
from p2penergy.consensus import cautions
from p2penergy.home import Home, HomeError
from p2penergy.messages import Stage
from p2penergy.node import Node, NodeHaltedError, make_mesh
from p2penergy.operations import gateway
from p2penergy.starting import open_store
from p2penergy.store import StoreError
from transport import TcpMesh, TransportError

READY_LINE = "ready"
log = logging.getLogger(__name__)


async def _stdin_closed(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop.set()


async def serve(node: Node, mesh: TcpMesh, until_stdin_closes: bool) -> None:
    """Run `node` until a signal, or until standard input closes; says when and where `mesh` listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    watching = loop.create_task(_stdin_closed(stop)) if until_stdin_closes else None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def announce() -> None:
        host, port = mesh.address
        click.echo(f"{READY_LINE} {host}:{port}")
        sys.stdout.flush()

    try:
        await node.run(stop, announce)
    finally:
        if watching is not None:
            watching.cancel()


async def _run(home: Home, votes_lost: bool, until_stdin_closes: bool) -> None:
    with contextlib.closing(await open_store(home, votes_lost)) as store:
        mesh = make_mesh(home)
        node = Node(home, store, mesh)
        volunteers = node.ledger.volunteers(Stage.VALIDATION, node.ledger.height)
        for sentence in cautions.about(home.genesis.consensus, len(volunteers)):
            log.warning("committees", extra={"caution": sentence})
        async with gateway.serving(node):
            await serve(node, mesh, until_stdin_closes)


@click.command(short_help="Run a node until it is told to stop.")
@home_option
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    help="observer: follow and re-execute, sign no vote.  [default: that of the settings]",
)
@click.option(
    "--votes-lost",
    is_flag=True,
    help="The vote store was lost: sign nothing until no vote of before can matter any more.",
)
@click.option("--until-stdin-closes", is_flag=True, help="End, too, when standard input is closed.")
def start(home: Path, role: Role | None, votes_lost: bool, until_stdin_closes: bool) -> None:
    """Run the node of a home until it is told to stop; prints `ready HOST:PORT` once it listens."""
    with as_user_error(HomeError, ConfigError, StoreError, TransportError, NodeHaltedError):
        opened = homes.load(home)
        if role is not None:
            opened = homes.in_role(opened, role)
        logs.switch_on(opened.config.log.level, opened.config.log.format)
        spare_collector()
        loops.run(_run(opened, votes_lost, until_stdin_closes))
