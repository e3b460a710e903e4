"""What abuse of its ports costs a real validator's process: its memory is measured, and trade goes on.

Each attack lasts until a trade that began after it did is proven by every validator, the attacked one too.
The bounds come of transport/limits.py, with room for the rest of the process: connections beyond the limits
are refused, frames beyond them end their link, and who does not read is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgpack
import pytest
from operating_net import Net, make_net

from p2penergy import home as homes
from p2penergy.config import parse_address
from p2penergy.home import Device
from p2penergy.messages import PROTOCOL, SyncRequest, encode
from p2penergy.operations.trial import trade
from p2penergy.processes import Validator

FAST = ("--alpha-ms", "400", "--eps-ms", "10", "--delta-ms", "25")
PATIENCE_S = 180
PAUSE_S = 0.01
MIB = 1024
"""In the KiB of /proc."""
BIN32 = b"\xc6"
FRAME_BYTES_MAX = 4 * 1024 * 1024
LINKS = 16
TRADES = 4
"""During each attack, one after the other."""
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Target:
    """The attacked validator, as whoever reaches it sees it; `device` is the attacker's certified meter."""

    def __init__(self, net: Net, node: Validator, device: Device) -> None:
        self.address = parse_address(net.figures["validators"][0]["address"])
        self.gateway = parse_address(net.gateway())
        self.node = node
        self.device = device
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(
        self, address: tuple[str, int], tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = None if tls is None else ""
        reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname=name)
        self._writers.append(writer)
        return reader, writer

    async def link(self, label: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A link of the meter under a label of its own, greeted."""
        reader, writer = await self.connect(self.address, self.device.tls.client_context)
        name = self.device.signer.participant_id + label
        said = (b"\x93", *map(msgpack.packb, (PROTOCOL, self.device.genesis.chain_id, name)))
        writer.write(msgpack.packb(b"".join(said)))
        await reader.readexactly(10)
        return reader, writer

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
        self._writers.clear()

    def peak_kib(self, begin: bool = False) -> int:
        """The process's largest resident memory since the last call with `begin`."""
        process = Path("/proc", str(self.node.pid))
        if begin:
            (process / "clear_refs").write_text("5")
        lines = (process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


Attack = Callable[[Target], Awaitable[None]]


async def silent_connections(target: Target) -> None:
    """Many that say nothing at all."""
    while True:
        for _ in range(50):
            with contextlib.suppress(OSError):
                await target.connect(target.address)
        if len(target._writers) > 600:
            await target.hang_up()
        await asyncio.sleep(PAUSE_S)


async def byte_by_byte(target: Target) -> None:
    """A handshake and an HTTP request that never come to their ends."""
    writers = []
    for address, words in ((target.address, CLIENT_HELLO), (target.gateway, b"GET /metrics HTTP/1.1")):
        for _ in range(100):
            _, writer = await target.connect(address)
            writers.append((writer, words))
    number = 0
    while True:
        for writer, words in writers:
            with contextlib.suppress(OSError):
                writer.write(words[number : number + 1] or b"x")
        number += 1
        await asyncio.sleep(PAUSE_S)


async def no_tls(target: Target) -> None:
    """What is no handshake, again and again."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await target.connect(target.address)
            writer.write(b"\x16\x03\x01\xff\xff" + bytes(20_000))
            await writer.drain()
        if len(target._writers) > 100:
            await target.hang_up()


async def oversize_frames(target: Target) -> None:
    """A certified device that announces four gigabytes."""
    while True:
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            reader, writer = await target.link(b"big")
            writer.write(BIN32 + b"\xff\xff\xff\xff" + bytes(100_000))
            await reader.read()
        await target.hang_up()


async def unfinished_frames(target: Target) -> None:
    """The longest frame allowed, but for its last byte, on as many links as one device may hold."""
    for number in range(LINKS):
        _, writer = await target.link(b"half%d" % number)
        writer.write(BIN32 + struct.pack(">I", FRAME_BYTES_MAX) + bytes(FRAME_BYTES_MAX - 1))
        await writer.drain()
    await asyncio.Event().wait()


async def never_reads(target: Target) -> None:
    """Asks for much on as many links as one device may hold, and reads nothing."""
    question = msgpack.packb(encode(SyncRequest(1, 256)))
    writers = []
    for number in range(LINKS):
        reader, writer = await target.link(b"deaf%d" % number)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writers.append(writer)
    while True:
        for writer in writers:
            if not writer.transport.is_closing():
                writer.write(question * 50)
        await asyncio.sleep(PAUSE_S)


ATTACKS: dict[Attack, int] = {
    never_reads: 64,
    silent_connections: 96,
    byte_by_byte: 96,
    no_tls: 96,
    oversize_frames: 96,
    unfinished_frames: 2 * LINKS * 4 + 96,
}
"""Each attack, and by how many MiB it may raise the peak of the process."""


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[tuple[Net, list[Validator]]]:
    made = await asyncio.to_thread(make_net, tmp_path / "net", 4, *FAST, "--meters", "3")
    nodes = [Validator(home.name, home) for home in made.homes]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield made, nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


@pytest.mark.timeout(900)
async def test_abuse_costs_bounded_memory_and_stops_no_trade(net: tuple[Net, list[Validator]]) -> None:
    made, nodes = net
    seller, buyer, attacker = map(homes.load_device, made.meters)
    assert (await trade(seller, buyer, 1, 200_000, PATIENCE_S)).receipt.accepted
    measured = {}
    for attack, growth_mib_max in ATTACKS.items():
        target = Target(made, nodes[0], attacker)
        before_kib = target.peak_kib(begin=True)
        under_way = asyncio.ensure_future(attack(target))
        try:
            for _ in range(TRADES):
                done = await trade(seller, buyer, 1, 200_000, PATIENCE_S, seen_s=PATIENCE_S)
                assert done.receipt.accepted, attack.__name__
                assert all(done.seen.values()), f"{attack.__name__}: {done.seen}"
            assert not under_way.done() or under_way.result()
            measured[attack.__name__] = (target.peak_kib() - before_kib) / MIB
        finally:
            under_way.cancel()
            await asyncio.gather(under_way, return_exceptions=True)
            await target.hang_up()
        assert measured[attack.__name__] < growth_mib_max, measured
        assert all(node.running for node in nodes)
    print({name: f"{growth:.0f} MiB" for name, growth in measured.items()})
