"""One trade between two devices whose folders are both at hand, to see that a new network works.

Lives here: readings and a contract signed by both, sent as their owners would, and the look at every
validator afterwards. Never here: how neighbours find each other (`market`). Real households never give away
their folders; a testnet's founder has them all.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from p2penergy.client import Client, ClientError, Result
from p2penergy.coordinator import wall_clock_ms
from p2penergy.home import Device
from p2penergy.ledger.receipts import TradeReceipt, decode_receipt
from p2penergy.ledger.transactions import (
    Contract,
    Reading,
    Terms,
    sign_contract,
    sign_reading,
    sign_terms,
    transaction_id,
)
from p2penergy.messages import encode
from p2penergy.operations.asking import dialling, peer_addresses

PERIOD_MS = 900_000
READING_WH = 5_000
"""What both meters report, once per settlement period: enough for many small trades."""
LIFE_PERIODS = 8
SEEN_POLL_MS = 50
SEEN_S = 3.0
"""By then a validator that is up has the block and its connection, unless somebody floods its port."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went."""

    receipt: TradeReceipt
    height: int
    took_ms: float
    """From sending the contract to f + 1 equal replies."""
    seen: Mapping[bytes, bool]
    """Every validator: whether it proves the trade from its own ledger."""


async def trade(
    seller: Device,
    buyer: Device,
    energy_wh: int,
    price_micro_per_kwh: int,
    wait_s: int,
    seen_s: float = SEEN_S,
) -> Trial:
    """Report, agree, trade, and look for it at every validator for up to `seen_s`; all within `wait_s`.

    Raises:
        ClientError: fewer than f + 1 validators answered in time, or they refused.
    """
    try:
        async with asyncio.timeout(wait_s):
            addresses = peer_addresses(seller)
            async with dialling(seller, addresses) as (sells, _), dialling(buyer, addresses) as (buys, _):
                for client in (sells, buys):
                    await client.connected(client.fault_limit + 1)
                    await client.follow()
                return await _trade(seller, buyer, sells, buys, (energy_wh, price_micro_per_kwh), seen_s)
    except TimeoutError:
        raise ClientError(f"no {wait_s} s were enough: `p2penergy peers` shows who answers") from None


async def _trade(
    seller: Device, buyer: Device, sells: Client, buys: Client, deal: tuple[int, int], seen_s: float
) -> Trial:
    energy_wh, price_micro_per_kwh = deal
    chain_id, number = seller.genesis.chain_id, wall_clock_ms()
    period = number // PERIOD_MS - 1
    # Declined when the period has one already, which is as good.
    await asyncio.gather(
        _send(sells, chain_id, sign_reading(seller.signer, chain_id, period, 0, READING_WH)),
        _send(buys, chain_id, sign_reading(buyer.signer, chain_id, period, READING_WH, 0)),
    )
    names = seller.signer.participant_id, buyer.signer.participant_id
    expires = period + LIFE_PERIODS
    terms = Terms(*names, period, energy_wh, price_micro_per_kwh, expires, number)
    agreed = sign_terms(buyer.signer, chain_id, terms)
    contract = sign_contract(seller.signer, chain_id, terms, agreed, number, expires)
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await _send(sells, chain_id, contract)
    took_ms = (loop.time() - began) * 1000
    receipt = decode_receipt(result.receipt)
    assert isinstance(receipt, TradeReceipt), "the receipt of a contract"
    peers = peer_addresses(seller)
    seen = await asyncio.gather(
        *(_is_seen(sells, peer, receipt.transaction_id, loop.time() + seen_s) for peer in peers)
    )
    return Trial(receipt, result.height, took_ms, dict(zip(peers, seen, strict=True)))


async def _send(client: Client, chain_id: bytes, transaction: Reading | Contract) -> Result:
    (result,) = await client.results([(transaction_id(transaction, chain_id), encode(transaction))])
    return result


async def _is_seen(client: Client, peer: bytes, key: bytes, until_s: float) -> bool:
    # It may be a block behind those that replied first, or not be connected yet.
    loop = asyncio.get_running_loop()
    while True:
        try:
            await client.query(peer, "proof", key)
        except ClientError:
            if loop.time() >= until_s:
                return False
            await asyncio.sleep(SEEN_POLL_MS / 1000)
        else:
            return True
