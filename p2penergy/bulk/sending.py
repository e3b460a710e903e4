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
from p2penergy.client import ClientError
from p2penergy.home import Device
from p2penergy.household import book
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network, named, require_enough
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
async def _networks(devices: Mapping[str, Device], nodes: Sequence[str]) -> AsyncIterator[dict[str, Network]]:
    """A connected client for each household; `nodes` are HOST:PORT, none: each folder's settings.

    Raises:
        ClientError: the network can't be reached.
        ConfigError: a node is not HOST:PORT.
    """
    async with contextlib.AsyncExitStack() as stack:
        at = await named(next(iter(devices.values())), nodes) if nodes and devices else None
        networks = {}
        for name, device in devices.items():
            addresses = peer_addresses(device) if at is None else at
            client, _ = await stack.enter_async_context(dialling(device, addresses))
            require_enough(client, addresses)
            networks[name] = Network(device, client, tuple(addresses))
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                for network in networks.values():
                    await network.client.connected(network.client.fault_limit + 1)
        except TimeoutError:
            raise ClientError(
                f"the network did not answer within {CONNECT_S_MAX:g} s: `p2penergy peers` shows who is there"
            ) from None
        yield networks


async def send_packets(
    devices: Mapping[str, Device], nodes: Sequence[str], packets: Sequence[Packet], told: Told
) -> None:
    """Sign each reading once and send it; `devices` has every household of `packets`.

    `nodes` are HOST:PORT of validators; without any each folder's settings say where they are.

    Raises:
        ClientError: the network can't be reached.
        ConfigError: a node is not HOST:PORT.
        SourceError: a household's memory is in use, or not its own.
    """
    with contextlib.ExitStack() as stack:
        memories = {}
        for name, device in devices.items():
            memories[name] = Memory(device.path, device.genesis.chain_id)
            stack.callback(memories[name].close)
        async with _networks(devices, nodes) as networks:
            ordered = sorted(packets, key=lambda packet: packet.energy.period)
            for _, of_period in groupby(ordered, key=lambda packet: packet.energy.period):
                sending = [
                    _send_packet(networks[packet.household], memories[packet.household], packet)
                    for packet in of_period
                ]
                for outcome in asyncio.as_completed(sending):
                    told(await outcome)


async def _send_packet(network: Network, memory: Memory, packet: Packet) -> RowOutcome:
    device = network.device
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
            outcome = await deliver(network.client, device.genesis.chain_id, reading, TRIES_MAX)
    except TimeoutError:
        said = f"no answer within {ANSWER_S_MAX:g} s: import the file again, what was accepted stays"
        return RowOutcome(packet.line, False, said, None)
    memory.settle(reading.period, outcome.state, outcome.sentence)
    accepted = outcome.state is ReadingState.ACCEPTED
    return RowOutcome(packet.line, accepted, outcome.sentence, outcome.height)


async def send_orders(
    devices: Mapping[str, Device], nodes: Sequence[str], orders: Sequence[BulkOrder], told: Told
) -> None:
    """Place all orders, those of one household in their order; nodes and errors as above."""
    by_household: dict[str, list[BulkOrder]] = {}
    for order in orders:
        by_household.setdefault(order.household, []).append(order)

    async def place_all(network: Network, wanted: Sequence[BulkOrder]) -> None:
        for order in wanted:
            told(await _place(network, order))

    async with _networks(devices, nodes) as networks:
        await asyncio.gather(*(place_all(networks[name], wanted) for name, wanted in by_household.items()))


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
