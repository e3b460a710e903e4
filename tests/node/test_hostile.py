"""Hostile bytes to a live node: refused, counted by their code, and the heights keep coming."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import msgspec
import pytest
from node_network import FIRST_PERIOD, PATIENCE_S, Listener, Village, eventually

from p2penergy import verifier
from p2penergy.ledger.transactions import sign_reading
from p2penergy.messages import (
    Answer,
    BlockRequest,
    BlockResponse,
    Certificate,
    Commit,
    Decided,
    Evidence,
    HeadersResponse,
    Prepare,
    PrePrepare,
    Query,
    Refused,
    Reply,
    Request,
    SignedStatement,
    Status,
    SyncRequest,
    SyncResponse,
    ViewChange,
    VoteKind,
    decode_message,
    encode,
)
from transport import TcpMesh

DIGEST = b"d" * 32
NO_SIGNATURE = bytes(64)
BIN32 = b"\xc6"


class Attacker:
    """A household's device in bad hands: authenticated, connected to H001, and free in what it sends."""

    def __init__(self, village: Village, mesh: TcpMesh, listener: Listener, peer: bytes) -> None:
        self.village = village
        self.mesh = mesh
        self.listener = listener
        self.peer = peer
        self.node = village.nodes["H001"].node
        self.chain_id = village.community.genesis.chain_id

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            assert self.mesh.send(self.peer, payload)

    async def refused(self, code: str, *payloads: bytes) -> None:
        """Send, and wait until one refusal with this code is counted for each."""
        before = self.counted(code)
        self.send(*payloads)
        await eventually(lambda: self.counted(code) >= before + len(payloads), f"{code} {self.counted()}")

    def counted(self, code: str | None = None) -> Any:
        told = self.node.status()["refused"]
        return told if code is None else told.get(code, 0)

    def id_of(self, name: str) -> bytes:
        return self.village.community.meters[name].participant_id

    def now(self) -> tuple[int, int]:
        """Height and view that the node is in."""
        replica = self.node.replica
        return replica.height, max(replica.view, replica.first)

    def vote(self, sender: str = "H002", digest: bytes = DIGEST) -> Prepare:
        return Prepare(self.id_of(sender), *self.now(), digest, NO_SIGNATURE)

    async def nothing_stopped(self) -> None:
        """The network goes on, and what the node holds is bounded."""
        await self.village.grown(2)
        assert self.node.replica.buffered_messages <= 200
        assert self.node.outbox.waiting < 100
        assert len(self.node.verifier._waiting) <= verifier.WAITING_SIGNATURES_MAX
        assert len(self.node.inbox._allowances) <= len(self.village.community.meters) + 1


@pytest.fixture
async def attacker(village: Village) -> Attacker:
    await village.start()
    await village.grown(1)
    return Attacker(village, *await village.dial_as("H006", "H001"))


# ---- bytes that are no message --------------------------------------------------------------------


def deep(levels: int) -> bytes:
    return b"\x91" * levels + b"\x90"


def deep_where_a_list_is_expected() -> bytes:
    # A SYNC response whose list of blocks holds lists that hold lists ...
    return b"\x93\x09\x01" + deep(100_000)


async def test_what_is_no_message_is_malformed(attacker: Attacker) -> None:
    good = encode(attacker.vote())
    sync = encode(SyncRequest(1, 1))
    await attacker.refused(
        "malformed",
        b"\xc1",
        b"\x00",
        b"\xff" * 1000,
        *(good[:end] for end in (1, 2, 10, len(good) - 1)),
        good + b"\x00",
        deep(100_000),
        deep_where_a_list_is_expected(),
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        BIN32 + b"\xff\xff\xff\xff",
        b"\x83\x01\x02\x03\x04\x05\x06",  # a map
        msgpack.packb([99, 1, 2]),  # an unknown tag
        msgpack.packb([-1, 1, 2]),
        msgpack.packb([8, -1, 1]),
        msgpack.packb([8, 1, 0]),
        msgpack.packb([8, 2**63, 1]),
        msgpack.packb([8, 1, 1, 1]),
        msgpack.packb([8, 1]),
        msgpack.packb([8, "1", 1]),
        msgpack.packb([8, True, 1]),
        msgpack.packb([8, 1.0, 1]),
        msgpack.packb([8, None, 1]),
        msgpack.packb([3, b"s" * 19, 1, 1, DIGEST, NO_SIGNATURE]),
        msgpack.packb([16, 1, "t" * 257, b""]),
        sync.replace(b"\x08", b"\xd4\x00\x08", 1),  # an extension type for a tag
    )
    await attacker.nothing_stopped()


async def test_another_encoding_of_a_message_is_refused(attacker: Attacker) -> None:
    vote = encode(attacker.vote())
    await attacker.refused(
        "not_canonical",
        b"\xdc\x00\x03\x08\x01\x01",  # a longer array header than needed
        b"\x93\xcc\x08\x01\x01",  # longer numbers than needed
        b"\x93\x08\xcd\x00\x01\x01",
        b"\x93\x08\x01\xd3" + struct.pack(">q", 1),
        vote.replace(b"\xc4\x14", b"\xc5\x00\x14", 1),
    )
    await attacker.nothing_stopped()


async def test_frames_beyond_the_limit_cut_the_link(attacker: Attacker) -> None:
    village = attacker.village
    host, port = village.community.addresses[attacker.peer]
    context = village.community.tls("H005").client_context
    counters = attacker.node.mesh.counters

    async def raw(*pieces: bytes) -> None:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="")
        hello = [b"\x93" + msgpack.packb("p2penergy/1"), msgpack.packb(attacker.chain_id)]
        payload = b"".join([*hello, msgpack.packb(attacker.id_of("H005"))])
        writer.write(msgpack.packb(payload))
        await reader.readexactly(10)
        for piece in pieces:
            writer.write(piece)
        try:
            await writer.drain()
            while await reader.read(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def refusals() -> int:
        return sum(count for code, count in counters().items() if code.startswith("refused_"))

    for pieces in (
        (BIN32 + struct.pack(">I", 5 * 1024 * 1024),),
        (BIN32 + b"\xff\xff\xff\xff", b"x" * 1000),
        (b"\x91\x91\x91",),
        (b"\xa5hello",),
        (b"\xc5\x00\x05hello",),
    ):
        before = refusals()
        async with asyncio.timeout(PATIENCE_S):
            await raw(*pieces)
        await eventually(lambda n=before: refusals() > n, f"{pieces[0][:8]!r} {counters()}")
    told = attacker.node.status()["transport"]
    assert told["refused_oversize"] >= 2
    await attacker.nothing_stopped()


async def test_who_does_not_speak_tls_gets_nowhere(attacker: Attacker) -> None:
    host, port = attacker.village.community.addresses[attacker.peer]
    before = dict(attacker.node.mesh.counters())
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 300, b"\0" * 5000, b""):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(words)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            try:
                while await reader.read(4096):
                    pass
            except ConnectionError:
                pass
        writer.transport.abort()
    # Cut off in the middle of a handshake, with a reset.
    for _ in range(5):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(1, 13, linger)  # SO_LINGER 0: closing resets
        writer.transport.abort()

    def refused() -> int:
        now = attacker.node.mesh.counters()
        return sum(now[code] - before.get(code, 0) for code in now if code.startswith("refused_tls"))

    await eventually(lambda: refused() >= 3, f"{attacker.node.mesh.counters()}")
    await attacker.nothing_stopped()


# ---- messages that say what they may not ----------------------------------------------------------


async def test_votes_that_are_not_signed_by_their_sender(attacker: Attacker) -> None:
    other = attacker.village.community.meters["H006"].signer
    real = attacker.village.community.meters["H002"].signer

    def resigned(by: Any, chain_id: bytes) -> bytes:
        vote = attacker.vote()
        return encode(msgspec.structs.replace(vote, signature=by.sign(vote.signed_bytes(chain_id))))

    forged: list[Callable[[], bytes]] = [
        lambda: encode(attacker.vote()),
        lambda: resigned(other, attacker.chain_id),
        # The right key for another chain: what was signed there counts for nothing here.
        lambda: resigned(real, b"x" * 32),
        lambda: encode(msgspec.structs.replace(attacker.vote(), signature=b"\xff" * 64)),
        lambda: encode(Commit(attacker.id_of("H003"), *attacker.now(), DIGEST, NO_SIGNATURE)),
        lambda: encode(ViewChange(attacker.id_of("H003"), *attacker.now(), None, None, NO_SIGNATURE)),
    ]
    for make in forged:
        await attacker.refused("bad_signature", make())
    assert attacker.node.replica.counters["evidence"] == 0
    await attacker.nothing_stopped()


async def test_votes_out_of_place(attacker: Attacker) -> None:
    def vote(sender: str, height: int, view: int) -> bytes:
        return encode(Prepare(attacker.id_of(sender), height, view, DIGEST, NO_SIGNATURE))

    height, view = attacker.now()
    await attacker.refused("own_message", vote("H001", height, view))
    await attacker.refused("height_window", vote("H002", 0, view), vote("H002", 1, view))
    await attacker.refused("view_window", vote("H002", attacker.now()[0], attacker.now()[1] + 1000))
    # A household that is no validator votes, in its own name and rightly signed.
    await attacker.refused("not_member", vote("H006", *attacker.now()))
    await attacker.nothing_stopped()


async def test_replayed_votes_and_decisions(attacker: Attacker) -> None:
    store = attacker.village.nodes["H001"].store
    block, certificate = store.blocks(1, 1, 1 << 22)[0]
    votes = store.votes(1)
    assert votes
    await attacker.refused("own_message", votes[0].message)
    others = attacker.village.nodes["H002"].store.votes(1)
    replayed = next(v.message for v in others if v.kind in (VoteKind.PREPARE, VoteKind.COMMIT))
    await attacker.refused("height_window", replayed, replayed)
    decided = Decided(block, msgspec.msgpack.decode(certificate, type=Certificate))
    await attacker.refused("height_window", encode(decided))
    await attacker.nothing_stopped()


async def test_what_nobody_asked_for(attacker: Attacker) -> None:
    height, _ = attacker.now()
    certificate = Certificate(10**6, 10**6, DIGEST, ())
    block = attacker.village.nodes["H001"].store.blocks(1, 1, 1 << 22)[0][0]
    await attacker.refused(
        "not_for_nodes",
        encode(Reply(attacker.id_of("H002"), 1, DIGEST, DIGEST, 0, NO_SIGNATURE, b"r")),
        encode(Answer(1, True, b"")),
        encode(Refused(DIGEST, "code", "sentence")),
        encode(HeadersResponse(())),
    )
    # Blocks that nobody asked for, with a certificate that nobody signed.
    unasked = SyncResponse(10**6, (Decided(block, certificate),) * 3)
    await attacker.refused("unrequested", encode(BlockResponse(height, block)), encode(unasked))
    # A claim is heard once; it is asked for, and forgotten when nothing comes.
    attacker.send(encode(Decided(block, certificate)))
    await attacker.refused("duplicate", encode(Decided(b"no block", certificate)))
    await attacker.refused("height_window", encode(BlockRequest(2**62, DIGEST)))
    attacker.send(encode(Status(2**62, 2**62)), encode(SyncRequest(2**62, 256)))
    await attacker.nothing_stopped()
    assert max(attacker.village.heights()) < 10**6


async def test_an_answer_to_a_question_that_was_asked_must_still_prove_itself(attacker: Attacker) -> None:
    # The attacker claims a tip, is asked for blocks, and makes some up.
    listener, height = attacker.listener, attacker.now()[0]
    block = attacker.village.nodes["H001"].store.blocks(1, 1, 1 << 22)[0][0]
    attacker.send(encode(Decided(block, Certificate(height + 10, 1, DIGEST, ()))))
    await eventually(lambda: any(isinstance(decode_message(f), SyncRequest) for _, f in listener.frames))

    def made_up() -> bytes:
        height = attacker.now()[0]
        forged = Certificate(height, height, DIGEST, ((attacker.id_of("H002"), NO_SIGNATURE),))
        return encode(SyncResponse(height + 10, (Decided(block, forged), Decided(b"\xc1", forged))))

    # The height may end meanwhile: then the block is an old one, which is refused, too.
    before = sum(attacker.counted().values())
    attacker.send(made_up())
    await eventually(lambda: sum(attacker.counted().values()) >= before + 2, f"{attacker.counted()}")
    await attacker.nothing_stopped()


async def test_proposals_and_evidence_out_of_nothing(attacker: Attacker) -> None:
    height, view = attacker.now()
    side = SignedStatement(VoteKind.PREPARE, height, view, DIGEST, None, None, NO_SIGNATURE)
    before = sum(attacker.counted().values())
    block = attacker.village.nodes["H001"].store.blocks(1, 1, 1 << 22)[0][0]
    for body in (b"\xc1", block, b"x" * 100_000):
        attacker.send(
            encode(PrePrepare(attacker.id_of("H002"), *attacker.now(), DIGEST, NO_SIGNATURE, body, (), None))
        )
    attacker.send(encode(Evidence(attacker.id_of("H002"), side, side)))
    await eventually(lambda: sum(attacker.counted().values()) >= before + 4, f"{attacker.counted()}")
    assert attacker.node.replica.counters["evidence"] == 0
    await attacker.nothing_stopped()


# ---- floods ---------------------------------------------------------------------------------------


async def test_requests_that_no_pool_takes(attacker: Attacker) -> None:
    signer = attacker.village.community.meters["H006"].signer
    stranger = attacker.village.community.meters["H005"].signer
    good = sign_reading(signer, attacker.chain_id, FIRST_PERIOD, 5, 0)
    forged = msgspec.structs.replace(good, signature=NO_SIGNATURE)
    await attacker.refused("malformed", encode(Request((b"\xc1",), relayed=True)))
    await attacker.refused("bad_signature", encode(Request((encode(forged),), relayed=False)))
    elsewhere = sign_reading(stranger, b"x" * 32, FIRST_PERIOD, 5, 0)
    await attacker.refused("bad_signature", encode(Request((encode(elsewhere),), relayed=False)))
    far = sign_reading(signer, attacker.chain_id, FIRST_PERIOD + 10**6, 5, 0)
    await attacker.refused("period_too_far", encode(Request((encode(far),), relayed=False)))
    # Forged ones by the thousand, in a few frames.
    many = [
        encode(msgspec.structs.replace(good, period=FIRST_PERIOD + i % 50, signature=i.to_bytes(64, "big")))
        for i in range(2_000)
    ]
    before = attacker.counted("bad_signature")
    attacker.send(*(encode(Request(tuple(many[i : i + 500]), relayed=True)) for i in range(0, 2_000, 500)))
    await eventually(lambda: attacker.counted("bad_signature") >= before + 2_000)
    assert len(attacker.node.ledger.pool) == 0
    await attacker.nothing_stopped()


def _more_than(heights: Callable[[], set[int]], count: int) -> bool:
    return len(heights()) > count


async def test_a_bad_reading_sent_again_is_declined_again(attacker: Attacker) -> None:
    # A declined reading is not answered for ever: what is stored of it must not be unique.
    signer = attacker.village.community.meters["H006"].signer
    not_netted = encode(sign_reading(signer, attacker.chain_id, FIRST_PERIOD, 5, 5))

    def heights_told() -> set[int]:
        messages = [decode_message(frame) for _, frame in attacker.listener.frames]
        return {message.height for message in messages if isinstance(message, Reply)}

    while len(told := heights_told()) < 3:
        attacker.send(encode(Request((not_netted,), relayed=False)))
        await eventually(partial(_more_than, heights_told, len(told)), f"another reply than {told}")
    await attacker.nothing_stopped()


async def test_a_flood_is_cut_to_the_rate_and_hurts_nobody_else(village: Village) -> None:
    home = village.community.homes["H001"] / "config.toml"
    text = home.read_text("utf-8")
    assert "frames_per_s_max = 20000" in text
    home.write_text(text.replace("frames_per_s_max = 20000", "frames_per_s_max = 300"), "utf-8")
    await village.start()
    await village.grown(1)
    mesh, listener, peer = await village.dial_as("H006", "H001")
    attacker = Attacker(village, mesh, listener, peer)
    noise = encode(Query(1, "status", b""))
    for _ in range(5_000):
        mesh.send(peer, noise)
    await eventually(lambda: attacker.counted("rate") > 100, f"{attacker.counted()}")
    # What passed was answered; all others are served as before.
    await eventually(lambda: listener.frames)
    assert isinstance(decode_message(listener.frames[0][1]), Answer)
    await village.connect()
    async with asyncio.timeout(PATIENCE_S):
        await village.household(5).report(FIRST_PERIOD, 0, 10)
    await attacker.nothing_stopped()


async def test_a_client_that_does_not_read_is_dropped_and_the_others_are_not(attacker: Attacker) -> None:
    # It asks for much and reads nothing: the queue to it is bounded in bytes, not in hope.
    running = attacker.village.nodes["H001"]
    big = encode(SyncRequest(1, 256))
    for link in tuple(attacker.mesh._links.values()):
        link._transport.pause_reading()
    for _ in range(2_000):
        attacker.send(big)
    await attacker.nothing_stopped()
    assert all(link.queued_bytes <= 33 * 1024 * 1024 for link in running.mesh._links.values())
