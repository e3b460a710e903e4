"""Replies: whole blocks in frames that fit, one look into the store for many repeats, none for a flood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from samples import CHAIN_ID, full, public_keys, signers

from p2penergy import replies as module
from p2penergy.blocks import Draft
from p2penergy.consensus.effects import Decision
from p2penergy.digests import merkle_siblings_lead_to
from p2penergy.messages import (
    BLOCK_TRANSACTIONS_MAX,
    Block,
    Certificate,
    Header,
    Reply,
    Stage,
    decode_message,
    decode_receipts,
    encode,
)
from p2penergy.replies import BLOCKS_READ_BURST, Replies
from p2penergy.signing import EcdsaChecker, check_message
from transport import Limits

SELLER, BUYER, NODE = b"s" * 20, b"b" * 20, b"n" * 20


class World:
    """A mesh that keeps what is sent, and a store of many blocks."""

    def __init__(self, receipts: int = 3, receipt_bytes: int = 100) -> None:
        self.links = {SELLER, SELLER + b"agent", BUYER, NODE}
        self.sent: list[tuple[bytes, bytes]] = []
        self.reads: list[int] = []
        self.held = [number.to_bytes(4, "big") * (receipt_bytes // 4) for number in range(receipts)]
        nodes = frozenset({NODE})
        parts: tuple[Any, ...] = (signers()[0], CHAIN_ID, self, self, nodes, self.concerned)
        self.replies = Replies(*parts)

    def concerned(self, transaction: bytes) -> Iterable[bytes]:
        return (SELLER, NODE, b"x" * 20)

    # The mesh.
    def connected(self) -> frozenset[bytes]:
        return frozenset(self.links)

    def send(self, peer: bytes, payload: bytes) -> bool:
        assert len(payload) <= Limits().frame_bytes_max
        self.sent.append((peer, payload))
        return True

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        return sum(self.send(peer, payload) for peer in peers)

    # The store: a transaction's id tells its height and index.
    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        height, index = transaction_id[0], transaction_id[1]
        return (height, index) if height else None

    def headers(self, height: int, count: int) -> list[tuple[Header, None]]:
        return [(full(Header), None)]

    def receipts(self, height: int) -> list[bytes]:
        self.reads.append(height)
        return self.held

    def decide(self) -> None:
        transactions = tuple(b"t" for _ in self.held)
        header = full(Header)
        draft = Draft(1, 1, NODE, 1, Stage.VALIDATION, Stage.VALIDATION, bytes(32), transactions, None)
        outcome: Any = type("Outcome", (), {"receipts": self.held, "draft": draft})
        block = Block(header, transactions, None)
        decision = Decision(1, 1, b"d" * 32, block, full(Certificate), (), outcome, caught_up=False)
        self.replies.publish(decision)

    def told(self, peer: bytes) -> list[Reply]:
        found = [decode_message(payload) for to, payload in self.sent if to == peer]
        assert all(isinstance(message, Reply) for message in found)
        return found  # type: ignore[return-value]


def checked(reply: Reply) -> list[int]:
    """The indices of a reply all of which holds."""
    check_message(reply, encode(reply), CHAIN_ID, public_keys().get, EcdsaChecker())
    told = decode_receipts(reply.receipts)
    proof = (told.receipts, told.indices, reply.receipts_count, told.siblings)
    assert merkle_siblings_lead_to(reply.receipts_root, *proof)
    return list(told.indices)


def test_a_party_is_told_on_all_its_links_and_a_node_on_none() -> None:
    world = World()
    world.decide()
    assert {peer for peer, _ in world.sent} == {SELLER, SELLER + b"agent"}
    for peer in (SELLER, SELLER + b"agent"):
        assert [checked(reply) for reply in world.told(peer)] == [[0, 1, 2]]
    # Encoded once, however many links the device holds.
    assert len({id(payload) for _, payload in world.sent}) == 1


def test_a_block_full_of_one_partys_transactions_is_told_in_frames_that_fit() -> None:
    # More than one frame may carry: sent whole, it would have halted every validator at once.
    world = World(receipts=12_000, receipt_bytes=400)
    assert len(world.held) < BLOCK_TRANSACTIONS_MAX
    world.decide()
    replies = world.told(SELLER)
    assert len(replies) > 4
    assert sum(len(encode(reply)) for reply in replies) > Limits().frame_bytes_max
    assert [index for reply in replies for index in checked(reply)] == list(range(12_000))


async def test_many_repeats_of_one_block_cost_one_look_into_the_store() -> None:
    world = World()
    for index in (0, 1, 2, 0):
        assert world.replies.answer_again(BUYER, bytes([1, index]), 99)
    assert world.reads == [1]
    assert [checked(reply) for reply in world.told(BUYER)] == [[0], [1], [2], [0]]


async def test_what_was_decided_since_it_was_asked_for_is_not_told_twice() -> None:
    world = World()
    assert world.replies.answer_again(BUYER, bytes([5, 0]), 4)
    assert (world.reads, world.sent) == ([], [])
    assert world.replies.answer_again(BUYER, bytes([5, 0]), 5)
    assert len(world.told(BUYER)) == 1


async def test_what_was_never_decided_is_not_answered() -> None:
    world = World()
    assert not world.replies.answer_again(BUYER, bytes(2), 99)
    assert (world.reads, world.sent) == ([], [])


async def test_nobody_has_the_whole_chain_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCKS_REMEMBERED_MAX", 2)
    world = World()
    for height in range(1, 2 * BLOCKS_READ_BURST):
        # Not a refusal: the transaction was decided, and may be asked for again.
        assert world.replies.answer_again(SELLER + b"agent", bytes([height, 0]), 999)
    # Slow machines may have earned one or the other more.
    assert BLOCKS_READ_BURST <= len(world.reads) < 2 * BLOCKS_READ_BURST - 1
    assert len(world.told(SELLER + b"agent")) == len(world.reads)
    assert len(world.replies._told) == 2
    # Another participant has an allowance of its own.
    assert world.replies.answer_again(BUYER, bytes([200, 0]), 999)
    assert world.reads[-1] == 200
