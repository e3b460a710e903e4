"""Requests: looked at as far as there is room, into the pool, and on to the committee when it is time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_network import NAMES, FakeMesh

from p2penergy import requests as module
from p2penergy.ledger import PoolResult
from p2penergy.messages import Refused, Request
from p2penergy.request_relay import preference
from p2penergy.requests import PENDING_ENOUGH, Requests

TAKEN, PENDING = PoolResult(True), PoolResult(False, "pending", "pending already")
PEER, *AUDIENCE = NAMES[:4]


class Pool:
    """Says of each transaction what the test says."""

    def __init__(self, said: dict[bytes, PoolResult]) -> None:
        self.pool = self
        self.said = said
        self.height = 5

    def add(self, transaction: bytes) -> PoolResult:
        return self.said[transaction]

    def transaction_id(self, transaction: bytes) -> bytes:
        return transaction.ljust(32, b".")


async def gossip(said: dict[bytes, PoolResult], peer: bytes | None) -> tuple[FakeMesh, list[str], Any]:
    mesh, woken = FakeMesh(NAMES[:4]), []
    parts: tuple[Any, ...] = (NAMES[3], Pool(said), None, mesh, lambda: AUDIENCE[:1], lambda: AUDIENCE)
    requests = Requests(*parts, lambda: woken.append("woken"), lambda *_: False)
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


# ---- what clients send ------------------------------------------------------------------------------


class Waiting(Pool):
    """A pool that takes everything once, and counts as full as the test says."""

    def __init__(self) -> None:
        super().__init__({})
        self.taken: list[bytes] = []
        self.others = 0

    @property
    def ready(self) -> int:
        return len(self.taken) + self.others

    def holds(self, transaction: bytes) -> bool:
        return transaction in self.taken

    def check(self, transaction: bytes) -> PoolResult:
        return PENDING if self.holds(transaction) else TAKEN

    def add(self, transaction: bytes) -> PoolResult:
        result = self.check(transaction)
        if result.accepted:
            self.taken.append(transaction)
        return result

    def signature_items(self, transaction: bytes) -> list[Any]:
        return []


class Member:
    """A member of a committee of four whose clients a test speaks for."""

    def __init__(self) -> None:
        self.me, *self.others = NAMES[:4]
        self.mesh, self.pool = FakeMesh(NAMES[:4]), Waiting()
        self.woken = asyncio.Event()
        parts: tuple[Any, ...] = (
            self.me,
            self.pool,
            None,
            self.mesh,
            lambda: self.others,
            lambda: self.others,
        )
        self.deciding = False
        self.requests = Requests(*parts, self.woken.set, lambda *_: False, lambda: self.deciding)

    def client(self, turn: int) -> bytes:
        """A client in whose order this member has that turn."""
        names = (bytes([number]) * 20 for number in range(256))
        return next(
            name
            for name in names
            if sorted(NAMES[:4], key=lambda who: preference(name, who)).index(self.me) == turn
        )

    async def admits(self, peer: bytes, *transactions: bytes, relayed: bool = False) -> None:
        self.requests.on_request(peer, Request(transactions, relayed))
        self.woken.clear()
        await self.woken.wait()

    def relayed(self) -> list[tuple[bytes, ...]]:
        """What the first of the others was sent."""
        return [request.transactions for who, request in self.mesh.sent if who == self.others[0]]


async def test_a_clients_first_member_relays_at_once() -> None:
    member = Member()
    await member.admits(member.client(0), b"one", b"two")
    assert member.mesh.sent == [(who, Request((b"one", b"two"), relayed=True)) for who in member.others]
    member.requests.stop()


async def test_the_others_relay_when_the_first_does_not() -> None:
    member = Member()
    await member.admits(member.client(1), b"one")
    assert member.mesh.sent == []
    member.mesh.wrote.clear()
    await member.mesh.wrote.wait()
    assert member.relayed() == [(b"one",)]
    member.requests.stop()


@pytest.mark.parametrize("heard_first", [True, False])
async def test_one_copy_of_what_a_member_relayed_is_enough(heard_first: bool) -> None:
    member = Member()
    client = member.client(1)
    copy, own = (member.others[1], True), (client, False)
    for peer, relayed in (copy, own) if heard_first else (own, copy):
        member.requests.on_request(peer, Request((b"one",), relayed))
    # What came later waits for a later turn, and so shows that the other's has passed.
    await member.admits(member.client(2), b"later")
    await member.mesh.wrote.wait()
    assert member.relayed() == [(b"later",)]
    member.requests.stop()


async def test_only_members_are_heard_of_what_they_relay() -> None:
    member = Member()
    await member.admits(member.client(1), b"one")
    member.requests.on_request(b"s" * 20, Request((b"one",), relayed=True))
    await member.mesh.wrote.wait()
    assert member.relayed() == [(b"one",)]
    member.requests.stop()


async def test_while_enough_is_pending_no_more_is_looked_at() -> None:
    member = Member()
    member.pool.others = PENDING_ENOUGH - 1
    await member.admits(member.client(0), b"one", b"two")
    assert member.pool.taken == [b"one"]
    member.pool.others = 0
    member.woken.clear()
    member.requests.decided([], [])
    member.requests.go_on()
    await member.woken.wait()
    assert member.pool.taken == [b"one", b"two"]
    member.requests.stop()


async def test_while_a_proposal_is_being_decided_no_request_is_looked_at() -> None:
    member = Member()
    member.deciding = True
    member.requests.on_request(member.client(0), Request((b"one", b"two"), relayed=False))
    member.requests.go_on()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert member.pool.taken == []
    member.deciding = False
    member.requests.decided([b"one"], [b"1" * 32])
    member.requests.go_on()
    await member.woken.wait()
    assert member.pool.taken == [b"two"], "what was decided meanwhile needs no look"
    member.requests.stop()


async def test_what_was_held_up_is_looked_at_when_its_time_has_come_though_nothing_happens() -> None:
    member = Member()
    member.deciding = True
    member.requests.on_request(member.client(0), Request((b"one",), relayed=False))
    member.deciding = False
    await member.woken.wait()
    assert member.pool.taken == [b"one"]
    member.requests.stop()


async def test_what_members_relay_is_looked_at_before_what_clients_bring() -> None:
    member = Member()
    member.deciding = True
    member.requests.on_request(member.client(0), Request((b"own 1", b"own 2"), relayed=False))
    for number, other in enumerate(member.others):
        member.requests.on_request(other, Request((b"%d a" % number, b"%d b" % number), relayed=True))
    # Only members relay: whoever else says so is a client like any other.
    member.requests.on_request(b"s" * 20, Request((b"stranger",), relayed=True))
    member.deciding = False
    member.requests.go_on()
    await member.woken.wait()
    assert member.pool.taken == [
        *(b"%d a" % number for number in range(3)),
        b"own 1",
        b"0 b",
        b"1 b",
        b"stranger",
        b"2 b",
        b"own 2",
    ]
    member.requests.stop()


async def test_what_is_with_the_verifier_counts_and_leaves_room_when_it_is_done() -> None:
    member = Member()
    member.pool.others = PENDING_ENOUGH - 1
    asked: list[Any] = []

    class Slow:
        def submit(self, items: Any, done: Any) -> bool:
            asked.append(done)
            return True

    member.requests._verifier = Slow()  # type: ignore[assignment]
    member.pool.signature_items = lambda _: ["item"]  # type: ignore[method-assign]
    member.requests.on_request(member.client(0), Request((b"bad", b"good"), relayed=False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asked) == 1
    asked[0](False)
    await asyncio.sleep(0)
    assert len(asked) == 2
    asked[1](True)
    assert member.pool.taken == [b"good"]
    assert member.requests.refused == {"bad_signature": 1}
    member.requests.stop()


async def test_large_blocks_are_reason_to_look_at_more() -> None:
    member = Member()
    member.requests.decided([b"."] * PENDING_ENOUGH, [])
    member.pool.others = PENDING_ENOUGH
    await member.admits(member.client(0), b"one")
    assert member.pool.taken == [b"one"]
    member.requests.stop()


async def test_requests_leave_the_loop_to_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 1e-9)
    member = Member()
    transactions = tuple(b"%d" % number for number in range(20))
    member.requests.on_request(member.client(0), Request(transactions, relayed=False))
    seen = []
    while len(member.pool.taken) < len(transactions):
        seen.append(len(member.pool.taken))
        await asyncio.sleep(0)
    assert len(set(seen)) > 10
    member.requests.stop()


async def test_what_finds_no_room_to_wait_is_counted_and_forgotten() -> None:
    member = Member()
    member.pool.others = PENDING_ENOUGH
    half = tuple(b"%d" % number + b"." * 60_000 for number in range(100))
    for number in range(4):
        member.requests.on_request(bytes([number]) * 20, Request(half, relayed=False))
    assert member.requests.refused == {}
    for number in range(4):
        member.requests.on_request(bytes([number]) * 20, Request(half, relayed=False))
    assert member.requests.refused["overload"] > 100
    member.requests.stop()
    assert member.requests._waiting.size_bytes == 0
