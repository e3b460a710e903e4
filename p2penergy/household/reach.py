"""Reaching a running network in a household's name, and believing f+1 equal answers only.

Lives here: which nodes to dial, one state that enough of them know, typed questions, sending something
signed. Never here: what the answers mean. Owns the invariant that all of one answer stands in the state
after one block that f+1 correct validators have. Implements a client's side of CONSENSUS section 8.

The block asked about is the highest that a quorum of the answering nodes has reached: f+1 correct ones
among them have it, and no f liars can name one that does not exist yet.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from p2penergy.client import Client, ClientError
from p2penergy.config import parse_address
from p2penergy.home import Device
from p2penergy.ledger.receipts import Receipt, decode_receipt
from p2penergy.ledger.transactions import Transaction, transaction_id
from p2penergy.messages import encode
from p2penergy.operations.asking import Address, dialling, peer_addresses
from p2penergy.questions import (
    ENTRIES,
    HISTORY,
    HISTORY_KEYS_MAX,
    HistoryQuestion,
    Past,
    decode_entries,
    decode_history,
)

T = TypeVar("T")

STRAGGLERS_S = 0.5
"""How long to wait for the rest of the validators once f+1 are connected."""
STATUS_S_MAX = 2.0
ATTEMPTS = 5
"""Validators a block apart may answer differently; the next time they do not."""
AGAIN_S = 0.1


class Network:
    """Questions to the validators that are connected, and what this household sends them."""

    def __init__(self, device: Device, client: Client, nodes: Sequence[bytes]) -> None:
        self.device = device
        self.client = client
        self._nodes = nodes

    @property
    def participant_id(self) -> bytes:
        """This household."""
        return self.device.signer.participant_id

    @property
    def nodes(self) -> Sequence[bytes]:
        """The validators that were named."""
        return self._nodes

    async def height(self) -> int:
        """A block that f+1 correct validators have, and hardly an older one than the last."""
        heights = [
            height
            for height in await asyncio.gather(*map(self._height_of, self._nodes))
            if height is not None
        ]
        if len(heights) <= self.client.fault_limit:
            raise ClientError(f"{len(heights)} validators told their height, {self._needed} are needed")
        heights.sort(reverse=True)
        return heights[min(2 * self.client.fault_limit, len(heights) - 1)]

    @property
    def _needed(self) -> int:
        return self.client.fault_limit + 1

    async def _height_of(self, node: bytes) -> int | None:
        with contextlib.suppress(ClientError, TimeoutError, ValueError, KeyError, TypeError):
            async with asyncio.timeout(STATUS_S_MAX):
                return int((await self.client.query_json(node, "status"))["height"])
        return None

    async def history(self, key: bytes, count: int) -> tuple[Past, ...]:
        """The newest versions of a key, oldest first."""
        return (await self._histories([key], count))[0]

    async def values(self, wanted: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """What each key holds; up to `HISTORY_KEYS_MAX` of them as of one block."""
        pasts = await self.histories(wanted, 1)
        return {key: past[-1].value if past else None for key, past in pasts.items()}

    async def histories(self, wanted: Sequence[bytes], count: int) -> dict[bytes, tuple[Past, ...]]:
        """The newest versions of many keys, asked for in parts."""
        found: dict[bytes, tuple[Past, ...]] = {}
        for first in range(0, len(wanted), HISTORY_KEYS_MAX):
            part = wanted[first : first + HISTORY_KEYS_MAX]
            found |= zip(part, await self._histories(part, count), strict=True)
        return found

    async def _histories(self, wanted: Sequence[bytes], count: int) -> tuple[tuple[Past, ...], ...]:
        async def ask() -> tuple[tuple[Past, ...], ...]:
            question = encode(HistoryQuestion(await self.height(), count, tuple(wanted)))
            return decode_history(await self.client.agreed(HISTORY, question))

        return await _again(ask)

    async def entries(self, prefix: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Orders, all or one participant's, or what is in escrow, with their keys; at most `ENTRIES_MAX`."""

        async def ask() -> tuple[tuple[bytes, bytes], ...]:
            return decode_entries(await self.client.agreed(ENTRIES, prefix))

        return await _again(ask)

    async def send(self, transaction: Transaction) -> tuple[Receipt, int]:
        """Submit something signed; its receipt by f+1 equal replies, and the block's height."""
        key = transaction_id(transaction, self.device.genesis.chain_id)
        (result,) = await self.client.results([(key, encode(transaction))])
        return decode_receipt(result.receipt), result.height

    async def receipt(self, key: bytes) -> tuple[Receipt, int]:
        """The receipt of a decided transaction, proven by a certificate, and the block's height."""
        result = await self.client.proven(key)
        return decode_receipt(result.receipt), result.height


async def _again(ask: Callable[[], Awaitable[T]]) -> T:
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(ClientError):
            return await ask()
        await asyncio.sleep(AGAIN_S)
    return await ask()


@contextlib.asynccontextmanager
async def reaching(device: Device, nodes: Sequence[str], wait_s: float) -> AsyncIterator[Network]:
    """The network while the block lasts, all of which may take `wait_s`.

    `nodes` are HOST:PORT; without any the settings of the household's folder say where they are.

    Raises:
        ClientError: fewer than f+1 validators can be reached, or there was no answer in time.
        ConfigError: a node is not HOST:PORT.
    """
    try:
        async with asyncio.timeout(wait_s):
            addresses = await named(device, nodes) if nodes else peer_addresses(device)
            async with dialling(device, addresses) as (client, _):
                require_enough(client, addresses)
                await client.connected(client.fault_limit + 1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STRAGGLERS_S):
                        await client.connected(len(addresses))
                await client.follow()
                yield Network(device, client, tuple(addresses))
    except TimeoutError:
        raise ClientError(
            f"the network did not answer within {wait_s:g} s: `p2penergy peers` shows who is there, and "
            "who is no member, or no more, is not answered (`p2penergy join`)"
        ) from None


def require_enough(client: Client, addresses: Mapping[bytes, Address]) -> None:
    """Raises `ClientError` where fewer nodes are named than have to say the same."""
    needed = client.fault_limit + 1
    if len(addresses) < needed:
        raise ClientError(
            f"{len(addresses)} validators are named, and only what {needed} say alike is believed: "
            "name more with --node HOST:PORT"
        )


async def named(device: Device, nodes: Sequence[str]) -> dict[bytes, Address]:
    """Who is at each address (HOST:PORT), by the certificate that it shows.

    Raises:
        ClientError: one can't be reached, or belongs to nobody of this community.
        ConfigError: one is not HOST:PORT.
    """
    parsed = [(text, parse_address(text, "--node")) for text in dict.fromkeys(nodes)]
    names = await asyncio.gather(*(_who_is(device, text, address) for text, address in parsed))
    return {name: address for name, (_, address) in zip(names, parsed, strict=True)}


async def _who_is(device: Device, text: str, address: Address) -> bytes:
    try:
        _, writer = await asyncio.open_connection(*address, ssl=device.tls.client_context)
    except ssl.SSLError as error:
        raise ClientError(f"--node {text} belongs to another community: {error.reason}") from None
    except OSError as error:
        raise ClientError(f"--node {text} can't be reached: {error.strerror or error}") from None
    try:
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        name = device.identify(shown.getpeercert(True) or b"")
    finally:
        writer.transport.abort()
    if name is None:
        raise ClientError(f"--node {text} shows no valid device certificate of this community")
    return name
