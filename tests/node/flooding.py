"""Validators in bad hands that send as much as they can, and what a node may hold of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgpack
import msgspec
from node_network import FIRST_PERIOD, Running, Village, eventually

from p2penergy import outbox, rate, replies, request_relay, signing, turns, verifier, waiting_requests
from p2penergy.consensus.bounds import Held
from p2penergy.ledger import pool
from p2penergy.ledger.transactions import sign_reading
from p2penergy.messages import (
    Block,
    BlockRequest,
    Commit,
    Prepare,
    PrePrepare,
    Query,
    Request,
    Status,
    SyncRequest,
    ViewChange,
    Vote,
    decode_block,
    encode,
    header_digest,
)
from p2penergy.store import limits as store_limits
from transport import TcpMesh
from transport.limits import Limits

NO_SIGNATURE = bytes(64)
LIMITS = Limits()


def held_by(running: Running) -> list[Held]:
    """Every buffer of a running node with its named bound: the core's, and those around it."""
    node, mesh, store = running.node, running.mesh, running.store
    transactions, writer = node.ledger.pool, store._writer
    assert isinstance(mesh, TcpMesh)
    assert isinstance(transactions, pool.Pool)
    shares = transactions._shares.values()
    links = tuple(mesh._open_links)
    questions = node.turns._waiting.values()
    return [
        *node.replica.held,
        Held("steps_waiting", node.outbox.waiting, outbox.WAITING_EFFECTS_MAX),
        Held("urgent_signatures", len(node.verifier._urgent), verifier.WAITING_SIGNATURES_MAX),
        Held("other_signatures", len(node.verifier._waiting), verifier.WAITING_SIGNATURES_MAX),
        Held("good_signatures", node.verifier.checker.remembered, signing.CACHE_SIGNATURES_MAX),
        Held("allowances", len(node.inbox._allowances), rate.PARTICIPANTS_REMEMBERED_MAX),
        Held("questions", len(node.turns), turns.WAITING_MAX),
        Held("questions_bytes", node.turns._waiting_bytes, turns.WAITING_BYTES_MAX),
        Held("questions_of_one", max(map(len, questions), default=0), turns.WAITING_PER_PARTICIPANT_MAX),
        Held("pool", len(transactions), pool.POOL_TRANSACTIONS_MAX),
        Held("pool_bytes", transactions.size_bytes, pool.POOL_BYTES_MAX),
        Held("pool_of_one", max((s.count for s in shares), default=0), pool.SUBMITTER_TRANSACTIONS_MAX),
        Held("pool_of_one_bytes", max((s.size_bytes for s in shares), default=0), pool.SUBMITTER_BYTES_MAX),
        Held("to_relay", len(node.requests._to_relay), pool.POOL_TRANSACTIONS_MAX),
        Held("requests_bytes", node.requests._waiting.size_bytes, waiting_requests.WAITING_BYTES_MAX),
        Held("to_relay_in_turn", node.requests._book.waiting, request_relay.WAITING_TRANSACTIONS_MAX),
        Held("replies", len(node.replies._told), replies.BLOCKS_REMEMBERED_MAX),
        Held("writes", len(writer._waiting), store_limits.QUEUE_SUBMISSIONS_MAX),
        Held("writes_bytes", writer._waiting_bytes, store_limits.QUEUE_BYTES_MAX),
        Held("links", len(links), LIMITS.inbound_links_max + LIMITS.dialled_peers_max),
        Held("link_bytes", max((one.queued_bytes for one in links), default=0), LIMITS.outbound_bytes_max),
    ]


class Flooder:
    """A validator's device whose owner runs another program: it holds the key, and sends to every node.

    One that equivocates says something else each time, and is expelled for it as soon as a block holds the
    evidence; one that does not may go on for ever.
    """

    def __init__(self, village: Village, name: str, equivocates: bool) -> None:
        self.village = village
        self.name = name
        self.equivocates = equivocates
        self.signer = village.community.meters[name].signer
        self.chain_id = village.community.genesis.chain_id
        self.sent = 0
        self.cut_off = 0
        self._lines: list[tuple[Running, TcpMesh]] = []
        self._numbers = count()

    async def connect(self) -> None:
        """To every running node."""
        for name, running in self.village.nodes.items():
            mesh, _, _ = await self.village.dial_as(self.name, name)
            self._lines.append((running, mesh))

    def burst(self) -> None:
        """Some of every kind of message to every node, made for the moment that the node is in."""
        for running, mesh in self._lines:
            for payload in self._payloads(running):
                self.sent += mesh.send(running.participant_id, payload)

    def _payloads(self, running: Running) -> Iterator[bytes]:
        replica, number = running.node.replica, next(self._numbers)
        height, view = replica.height, max(replica.view, replica.first)
        me, said = self.signer.participant_id, number if self.equivocates else 0
        digest = said.to_bytes(32, "big")
        # Votes for future views, and for the next height: rightly signed, for blocks that nobody made.
        for ahead in range(4):
            for above in (0, 1):
                at = (me, height + above, view + ahead)
                yield self._signed(Prepare(*at, digest, NO_SIGNATURE))
                yield self._signed(Commit(*at, digest, NO_SIGNATURE))
                yield self._signed(ViewChange(*at, None, None, NO_SIGNATURE))
        # The same in other members' names, with a signature of nobody.
        for other in self.village.nodes.values():
            if other is not running:
                yield encode(Prepare(other.participant_id, height, view + 1, digest, NO_SIGNATURE))
                yield encode(ViewChange(other.participant_id, height, view + 1, None, None, NO_SIGNATURE))
        # Proposals that execute nothing, or what was decided long ago, another one each time.
        if self.equivocates or view % 2:
            yield self._signed(PrePrepare(me, height, view, digest, NO_SIGNATURE, b"x" * 1000, (), None))
        if self.equivocates or not view % 2:
            yield self._old_block(running, height, view, said)
        # Valid, and of no use to anybody.
        reading = sign_reading(self.signer, self.chain_id, FIRST_PERIOD + 1 + number % 3, number, 0)
        yield encode(Request((encode(reading),), relayed=True))
        yield encode(Status(height + 1 + number % 7, view))
        yield encode(SyncRequest(1, 256))
        yield encode(BlockRequest(height, number.to_bytes(32, "big")))
        yield encode(Query(number, "status", b""))

    def _old_block(self, running: Running, height: int, view: int, number: int) -> bytes:
        raw = running.store.blocks(1, 1, 1 << 22)[0][0]
        block = decode_block(raw)
        header = msgspec.structs.replace(block.header, height=height, slot=view, period=number)
        changed = encode(Block(header, block.transactions, block.parent_certificate))
        me, digest = self.signer.participant_id, header_digest(header)
        return self._signed(PrePrepare(me, height, view, digest, NO_SIGNATURE, changed, (), None))

    def _signed(self, vote: Vote) -> bytes:
        signature = self.signer.sign(vote.signed_bytes(self.chain_id))
        return encode(msgspec.structs.replace(vote, signature=signature))

    async def oversize(self, target: str) -> None:
        """A link of its own that announces a frame of four thousand million bytes; it is cut."""
        community = self.village.community
        host, port = community.addresses[community.meters[target].participant_id]
        context = community.tls(self.name).client_context
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="")
        hello = (b"\x93" + msgpack.packb("p2penergy/1"), msgpack.packb(self.chain_id))
        writer.write(msgpack.packb(b"".join((*hello, msgpack.packb(self.signer.participant_id)))))
        writer.write(b"\xc6" + struct.pack(">I", 0xFFFFFFFF) + b"x" * 1000)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while await reader.read(65536):
                pass
        self.cut_off += 1
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def flood_until(flooders: list[Flooder], village: Village, goal: int, most: dict[str, Any]) -> None:
    """Bursts of all, one after the other, until every node has that height; notes the fullest buffers."""

    def reached() -> bool:
        for running in village.nodes.values():
            for held in held_by(running):
                assert held.is_within, f"{running.name}: {held}"
                most[held.name] = max(held.now, most.get(held.name, 0))
        for flooder in flooders:
            flooder.burst()
        return min(village.heights()) >= goal

    await eventually(reached, f"height {goal} in the flood: {village.heights()}")
