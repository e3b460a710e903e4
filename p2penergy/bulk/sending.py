"""Readings and orders of many households, each sent with its own key.

Lives here: one client per household, the order of sending, and what became of each row. Never here: tables.
Owns the invariants that readings go period by period, all households of one before the next (a replay
network's clock moves with them), and that a period is signed once (`meters.memory`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from p2penergy.bulk.tables import BulkOrder, Packet
from p2penergy.client import Client, ClientError
from p2penergy.home import Device
from p2penergy.household import book
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger.receipts import sentence
from p2penergy.meters.memory import Memory, ReadingState
from p2penergy.meters.reader import deliver, sign_energy
from p2penergy.operations.asking import dialling, peer_addresses

HOUSEHOLDS_MAX = 1_000
"""Each holds a link to every validator."""
CONNECT_S_MAX = 60.0
ANSWER_S_MAX = 120.0
"""For one row; the network is slow or gone beyond it."""
TRIES_MAX = 3
"""For a reading of a period so far ahead that nobody takes it yet."""


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row of the table."""

    line: int
    accepted: bool
    sentence: str
    height: int | None


Told = Callable[[RowOutcome], None]


@contextlib.asynccontextmanager
async def _clients(devices: Mapping[str, Device]) -> AsyncIterator[dict[str, Client]]:
    """A connected client for each household; raises `ClientError` when the network can't be reached."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for name, device in devices.items():
            clients[name], _ = await stack.enter_async_context(dialling(device, peer_addresses(device)))
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                for client in clients.values():
                    await client.connected(client.fault_limit + 1)
        except TimeoutError:
            raise ClientError(
                f"the network did not answer within {CONNECT_S_MAX:g} s: `p2penergy peers` shows who is there"
            ) from None
        yield clients


async def send_packets(devices: Mapping[str, Device], packets: Sequence[Packet], told: Told) -> None:
    """Sign each reading once and send it; `devices` has every household of `packets`.

    Raises:
        ClientError: the network can't be reached.
        SourceError: a household's memory is in use, or not its own.
    """
    with contextlib.ExitStack() as stack:
        memories = {}
        for name, device in devices.items():
            memories[name] = Memory(device.path, device.genesis.chain_id)
            stack.callback(memories[name].close)
        async with _clients(devices) as clients:
            ordered = sorted(packets, key=lambda packet: packet.energy.period)
            for _, of_period in groupby(ordered, key=lambda packet: packet.energy.period):
                sending = [_send_packet(devices, memories, clients, packet) for packet in of_period]
                for outcome in asyncio.as_completed(sending):
                    told(await outcome)


async def _send_packet(
    devices: Mapping[str, Device],
    memories: Mapping[str, Memory],
    clients: Mapping[str, Client],
    packet: Packet,
) -> RowOutcome:
    device, memory = devices[packet.household], memories[packet.household]
    before = memory.find(packet.energy.period)
    if before is None:
        reading = sign_energy(device, packet.energy)
        memory.keep([reading], memory.frontier, "")
    else:
        # Begun before and broken off: the same bytes again. Other figures are never signed.
        reading, state = before
        if (reading.import_wh, reading.export_wh) != (packet.energy.import_wh, packet.energy.export_wh):
            return RowOutcome(packet.line, False, "this meter has signed other figures for the period", None)
        if state is ReadingState.ACCEPTED:
            return RowOutcome(packet.line, True, "accepted before", None)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            outcome = await deliver(clients[packet.household], device.genesis.chain_id, reading, TRIES_MAX)
    except TimeoutError:
        said = f"no answer within {ANSWER_S_MAX:g} s: import the file again, what was accepted stays"
        return RowOutcome(packet.line, False, said, None)
    memory.settle(reading.period, outcome.state, outcome.sentence)
    accepted = outcome.state is ReadingState.ACCEPTED
    return RowOutcome(packet.line, accepted, outcome.sentence, outcome.height)


async def send_orders(devices: Mapping[str, Device], orders: Sequence[BulkOrder], told: Told) -> None:
    """Place all orders, those of one household in their order; raises `ClientError` as above."""
    by_household: dict[str, list[BulkOrder]] = {}
    for order in orders:
        by_household.setdefault(order.household, []).append(order)

    async def place_all(name: str, client: Client) -> None:
        network = Network(devices[name], client, tuple(peer_addresses(devices[name])))
        for order in by_household[name]:
            told(await _place(network, order))

    async with _clients(devices) as clients:
        await asyncio.gather(*(place_all(name, client) for name, client in clients.items()))


async def _place(network: Network, order: BulkOrder) -> RowOutcome:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            _, receipt, height = await book.place(
                network, order.side, order.energy_wh, order.price_micro_per_kwh, order.period
            )
    except TimeoutError:
        said = f"no answer within {ANSWER_S_MAX:g} s: `p2penergy order list` shows whether it was taken"
        return RowOutcome(order.line, False, said, None)
    except (HouseholdError, ClientError) as error:
        return RowOutcome(order.line, False, str(error), None)
    return RowOutcome(order.line, receipt.accepted, sentence(receipt), height)
