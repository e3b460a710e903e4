"""What newcomers and verifiers send goes into the pool and on to both committees, again if need be."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_network import NAMES, FakeMesh

from p2penergy.ledger import PoolResult
from p2penergy.messages import Refused, Request
from p2penergy.requests import Requests

TAKEN, PENDING = PoolResult(True), PoolResult(False, "pending", "pending already")
PEER, *AUDIENCE = NAMES[:4]


class Pool:
    """Says of each transaction what the test says."""

    def __init__(self, said: dict[bytes, PoolResult]) -> None:
        self.pool = self
        self.said = said

    def add(self, transaction: bytes) -> PoolResult:
        return self.said[transaction]

    def transaction_id(self, transaction: bytes) -> bytes:
        return transaction.ljust(32, b".")


async def gossip(said: dict[bytes, PoolResult], peer: bytes | None) -> tuple[FakeMesh, list[str], Any]:
    mesh, woken = FakeMesh(NAMES[:4]), []
    parts: tuple[Any, ...] = (Pool(said), None, mesh, lambda: AUDIENCE[:1], lambda: AUDIENCE)
    requests = Requests(*parts, lambda: woken.append("woken"), lambda _peer, _key: False)
    requests.gossip(tuple(said), peer)
    await asyncio.sleep(0)
    return mesh, woken, requests


async def test_what_is_new_or_pending_is_told_to_both_committees() -> None:
    mesh, woken, _ = await gossip({b"request": PENDING, b"verdict": TAKEN}, None)
    assert mesh.sent == [(who, Request((b"request", b"verdict"), relayed=True)) for who in AUDIENCE]
    assert woken == ["woken"]


async def test_what_is_refused_goes_nowhere_and_its_sender_is_told() -> None:
    full = PoolResult(False, "pool_full", "too many")
    mesh, woken, requests = await gossip({b"request": full}, PEER)
    assert mesh.sent == [(PEER, Refused(b"request".ljust(32, b"."), "pool_full", "too many"))]
    mesh, woken, requests = await gossip({b"request": full, b"verdict": TAKEN}, None)
    assert mesh.sent == [(who, Request((b"verdict",), relayed=True)) for who in AUDIENCE]
    assert requests.refused == {"pool_full": 1}
    assert woken == ["woken"]
