"""Asking nodes over the network as any certified device may.

Lives here: a client of one's own name that dials nodes, their status, and what the asking itself measured:
the way there and back, and how far their clock is from ours. Never here: believing it; a status is one
node's word.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from p2penergy.client import Client, ClientError
from p2penergy.config import parse_address
from p2penergy.coordinator import wall_clock_ms
from p2penergy.home import Device
from p2penergy.ledger.receipts import decode_receipt
from p2penergy.messages import PROTOCOL
from p2penergy.peers import operator_of
from p2penergy.signing import EcdsaChecker
from transport import TcpMesh

ASK_MS_MAX = 5_000
CONNECT_POLL_MS = 10
SAMPLES = 5
"""Questions per node: the quickest answer tells most about its clock."""

Address = tuple[str, int]
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Report:
    """What one node said, or why it did not."""

    peer: bytes
    address: Address
    status: dict[str, Any] | None
    problem: str = ""
    round_trip_ms: float = 0.0
    """Of the quickest answer, over a link that is there already."""
    clock_offset_ms: float = 0.0
    """Its clock minus ours; wrong by at most half the way there and back."""


def own_address(device: Device) -> Address:
    """Where the node of this folder listens, as this machine reaches it.

    Raises:
        ClientError: it listens on a port that only the system knows.
    """
    host, port = parse_address(device.config.node.listen)
    if not port:
        raise ClientError(f"[node] listen of {device.path} has port 0: its port is known to the system only")
    return _ANYWHERE.get(host, host), port


def peer_addresses(device: Device) -> dict[bytes, Address]:
    """The validators of the settings, the own node too if it is one of them."""
    return {bytes.fromhex(name): parse_address(text) for name, text in device.config.peers.items()}


@contextlib.asynccontextmanager
async def dialling(
    device: Device, addresses: Mapping[bytes, Address], name: bytes | None = None
) -> AsyncIterator[tuple[Client, TcpMesh]]:
    """A client under a name of its own, or the one given, that dials these nodes while the block lasts."""
    mesh = TcpMesh(
        name=name or operator_of(device.signer.participant_id),
        listen=None,
        tls=device.tls if device.config.node.tls else None,
        identify=device.identify,
        protocol=PROTOCOL,
        network=device.genesis.chain_id,
    )
    client = Client(
        mesh, device.genesis, EcdsaChecker(), lambda receipt: decode_receipt(receipt).transaction_id
    )
    await client.start(addresses)
    try:
        yield client, mesh
    finally:
        await client.stop()


async def survey(
    device: Device, addresses: Mapping[bytes, Address], ask_ms_max: int = ASK_MS_MAX
) -> list[Report]:
    """The status of every node, asked for at the same time; one that is down takes `ask_ms_max`."""
    async with dialling(device, addresses) as (client, mesh):
        return await asyncio.gather(
            *(_ask(client, mesh, peer, address, ask_ms_max) for peer, address in addresses.items())
        )


async def _ask(client: Client, mesh: TcpMesh, peer: bytes, address: Address, ms_max: int) -> Report:
    try:
        async with asyncio.timeout(ms_max / 1000):
            while peer not in mesh.connected():  # noqa: ASYNC110 - dialling has no end to wait for
                await asyncio.sleep(CONNECT_POLL_MS / 1000)
            best: Report | None = None
            for _ in range(SAMPLES):
                report = await _sample(client, peer, address)
                if best is None or report.round_trip_ms < best.round_trip_ms:
                    best = report
            assert best is not None
            return best
    except TimeoutError:
        return Report(peer, address, None, _why(mesh, peer, ms_max))
    except ClientError as error:
        return Report(peer, address, None, str(error))


async def _sample(client: Client, peer: bytes, address: Address) -> Report:
    asked_ms, began = wall_clock_ms(), time.perf_counter()
    status = await client.query_json(peer, "status")
    way_ms = (time.perf_counter() - began) * 1000
    offset_ms = status["now_ms"] - (asked_ms + way_ms / 2)
    return Report(peer, address, status, "", way_ms, offset_ms)


def _why(mesh: TcpMesh, peer: bytes, ms_max: int) -> str:
    if peer in mesh.connected():
        return f"connected, but no answer within {ms_max} ms: nodes answer members of the community only"
    reasons = [name.removeprefix("refused_") for name in mesh.counters() if name.startswith("refused_")]
    said = f" ({', '.join(sorted(reasons))})" if reasons else ""
    return f"no answer within {ms_max} ms{said}"
