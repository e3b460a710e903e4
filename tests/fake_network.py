"""Validators that a test speaks for, a mesh that connects whom it is told to, and a household's client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from samples import signers, small_genesis

from p2penergy.client import Client, Result
from p2penergy.digests import MerkleTree
from p2penergy.genesis import Genesis
from p2penergy.messages import ProvenReceipts, Reply, decode_message, encode
from p2penergy.signing import EcdsaChecker

GENESIS = small_genesis(4)
NAMES = [signer.participant_id for signer in signers()]
BLOCK = b"b" * 32


class FakeMesh:
    """A mesh that connects whom it is told to, and keeps what is sent."""

    def __init__(self, peers: Iterable[bytes] = NAMES[:4]) -> None:
        self.name = b"h" * 20
        self.peers = set(peers)
        self.sent: list[tuple[bytes, Any]] = []
        self.addresses: dict[bytes, tuple[str, int]] = {}
        self.handler: Any = None
        self.rechecks = 0
        self.wrote = asyncio.Event()

    async def start(self, handler: Any) -> None:
        self.handler = handler

    async def stop(self) -> None:
        for peer in sorted(self.peers):
            self.drop(peer)

    def send(self, peer: bytes, payload: bytes) -> bool:
        if peer not in self.peers:
            return False
        self.sent.append((peer, decode_message(payload)))
        self.wrote.set()
        return True

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        return sum(self.send(peer, payload) for peer in peers)

    def connected(self) -> frozenset[bytes]:
        return frozenset(self.peers)

    def set_address(self, peer: bytes, host: str, port: int) -> None:
        self.addresses[peer] = (host, port)

    def forget(self, peer: bytes) -> None:
        self.drop(peer)

    def recheck(self) -> None:
        self.rechecks += 1

    def counters(self) -> Mapping[str, int]:
        return {}

    def connect(self, peer: bytes) -> None:
        self.peers.add(peer)
        self.handler.on_peer_up(peer)

    def drop(self, peer: bytes) -> None:
        self.peers.discard(peer)
        self.handler.on_peer_down(peer, "closed")

    def deliver(self, peer: bytes, message: msgspec.Struct) -> None:
        self.handler.on_frame(peer, encode(message))

    async def written(self, count: int) -> list[tuple[bytes, Any]]:
        """The messages sent, once there are `count`."""
        async with asyncio.timeout(60):
            while len(self.sent) < count:
                self.wrote.clear()
                await self.wrote.wait()
        return self.sent


class Household:
    """A client on a fake mesh, and what it was noticed of. A receipt is `r:` and its transaction's id."""

    def __init__(self, genesis: Genesis = GENESIS, peers: Iterable[bytes] = NAMES[:4]) -> None:
        self.mesh = FakeMesh(peers)
        self.notices: list[Result] = []
        self.client = Client(self.mesh, genesis, EcdsaChecker(), lambda r: r[2:34], self.notices.append)
        self.mesh.handler = self.client

    def reply(self, by: int, *transactions: bytes, peer: int | None = None, **changes: Any) -> None:
        self.mesh.deliver(NAMES[by if peer is None else peer], reply(by, *transactions, **changes))


def reply(
    by: int,
    *transactions: bytes,
    height: int = 5,
    block: bytes = BLOCK,
    suffix: bytes = b"",
    chain_id: bytes = GENESIS.chain_id,
) -> Reply:
    """Member `by` tells the receipts of a block that holds these transactions, and others."""
    receipts = [b"r:" + transaction + suffix for transaction in transactions]
    tree = MerkleTree([*receipts, b"r:another"])
    indices = tuple(range(len(receipts)))
    proven = encode(ProvenReceipts(indices, tuple(receipts), tree.siblings(indices)))
    signer = signers()[by]
    plain = Reply(signer.participant_id, height, block, tree.root, tree.count, bytes(64), proven)
    return msgspec.structs.replace(plain, signature=signer.sign(plain.signed_bytes(chain_id)))


def transaction_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


ONE, TWO, THREE = (transaction_id(i) for i in (1, 2, 3))
FIRST = Result(5, BLOCK, 0, b"r:" + ONE)
