"""One connection: a real socket pair, a Link at one end and raw bytes at the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from transport import Limits, PeerFault, encode_frame
from transport.framing import PING_FRAME
from transport.hello import Hello, encode_hello
from transport.link import Link

OWN = Hello("p/1", b"net", b"own")
GREETING = encode_frame(encode_hello(Hello("p/1", b"net", b"peer")))
OWN_GREETING = encode_frame(encode_hello(OWN))


class Owner:
    """A LinkOwner that remembers."""

    def __init__(self) -> None:
        self.named: list[Link] = []
        self.payloads: list[bytes] = []
        self.lost: list[str] = []
        self.refused: list[str] = []
        self.counters: Counter[str] = Counter()
        self.close_when_named = False
        self.close_at: bytes | None = None

    def link_named(self, link: Link) -> None:
        self.named.append(link)
        if self.close_when_named:
            link.close("duplicate")

    def link_payloads(self, link: Link, payloads: list[bytes]) -> None:
        self.payloads += payloads

    def link_lost(self, link: Link, reason: str) -> None:
        self.lost.append(reason)

    def link_refused(self, link: Link, fault: PeerFault) -> None:
        self.refused.append(fault.code)

    def count(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] += amount


class Raw:
    """The other end: bytes, as hostile as wanted."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = await self._loop.sock_recv(self.sock, length - len(data))
            if not more:
                break
            data += more
        return data

    async def read_to_end(self) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := await self._loop.sock_recv(self.sock, 65_536):
                data += more
        return data


@contextlib.asynccontextmanager
async def connection(
    owner: Owner, *, dialled: bytes | None = None, **limits: Any
) -> AsyncIterator[tuple[Link, Raw]]:
    """Yield a link over a real TCP connection, and its raw other end."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.socket()
        # Small buffers in the kernel, so that what waits waits in the link.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    theirs.setblocking(False)
    link = Link(owner, own=OWN, dialled=dialled, identify=None, limits=Limits(**limits))
    await loop.connect_accepted_socket(lambda: link, ours)
    try:
        yield link, Raw(theirs)
    finally:
        link.abort("test over")
        await link.closed.wait()
        theirs.close()


async def test_greets_is_greeted_and_delivers_in_order(eventually):
    owner = Owner()
    async with connection(owner) as (link, raw):
        assert not link.send(encode_frame(b"too early"))
        await raw.write(GREETING + encode_frame(b"in the same chunk"))
        await raw.write(encode_frame(b"x" * 70_000) + encode_frame(b"last"))
        await eventually(lambda: len(owner.payloads) == 3)
        assert [len(payload) for payload in owner.payloads] == [17, 70_000, 4]
        assert owner.named == [link]
        assert link.peer == link.dialler == b"peer"
        assert link.send(encode_frame(b"out")) and link.send(encode_frame(b"going"))
        expected = OWN_GREETING + encode_frame(b"out") + encode_frame(b"going")
        assert await raw.read(len(expected)) == expected


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (encode_frame(b"no hello"), "hello_malformed"),
        (PING_FRAME, "hello_malformed"),
        (encode_frame(b"x" * 600), "hello_oversize"),
        (encode_frame(b"x" * 60_000)[:1000], "hello_oversize"),
        (encode_frame(encode_hello(Hello("p/2", b"net", b"peer"))), "wrong_protocol"),
        (encode_frame(encode_hello(Hello("p/1", b"ten", b"peer"))), "wrong_network"),
        (encode_frame(encode_hello(Hello("p/1", b"net", b"else"))), "wrong_name"),
        (encode_frame(encode_hello(OWN)), "self_dial"),
        (b"GET / HTTP/1.1\r\n\r\n", "not_bin"),
        (b"\xc6\xff\xff\xff\xff", "oversize"),
        (b"\xc1", "garbage"),
    ],
)
async def test_a_wrong_first_frame_ends_the_link(first, code):
    owner = Owner()
    async with connection(owner, dialled=b"peer") as (link, raw):
        await raw.write(first + encode_frame(b"never delivered"))
        await raw.read_to_end()
        await link.closed.wait()
    assert owner.refused == owner.lost == [code]
    assert not owner.named + owner.payloads


async def test_the_peer_sees_our_hello_when_its_own_does_not_fit():
    async with connection(Owner()) as (_, raw):
        await raw.write(encode_frame(encode_hello(Hello("p/2", b"net", b"peer"))))
        assert await raw.read_to_end() == OWN_GREETING


async def test_our_hello_is_flushed_even_if_the_wrong_one_is_there_already():
    calls = []

    class Transport:
        """One that has not yet sent what it was given."""

        def __getattr__(self, method):
            return lambda *args, **options: calls.append(method)

    link = Link(Owner(), own=OWN, dialled=None, identify=None, limits=Limits())
    link.connection_made(Transport())
    link.data_received(encode_frame(encode_hello(Hello("p/2", b"net", b"peer"))))
    assert calls == ["set_write_buffer_limits", "write", "close"]
    link.connection_lost(None)


@pytest.mark.parametrize(
    ("hostile", "code"),
    [
        (b"\xc6\x7f\xff\xff\xff", "oversize"),
        (b"\xc5\x00\x01a", "non_minimal"),
        (b"\x91\xc4\x01a", "not_bin"),
        (b"\xc1", "garbage"),
    ],
)
async def test_hostile_bytes_after_the_hello_end_the_link(eventually, hostile, code):
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING + encode_frame(b"good"))
        await eventually(lambda: owner.payloads)
        await raw.write(hostile + encode_frame(b"never delivered"))
        await link.closed.wait()
    assert owner.payloads == [b"good"]
    assert owner.refused == owner.lost == [code]


async def test_an_end_inside_a_frame_is_truncated():
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING + encode_frame(b"x" * 100)[:50])
        raw.sock.shutdown(socket.SHUT_WR)
        await link.closed.wait()
    assert owner.refused == ["truncated"]
    assert not owner.payloads


async def test_a_reset_inside_a_frame_ends_the_link(eventually):
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING + encode_frame(b"x" * 100)[:50])
        await eventually(lambda: owner.named)
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        raw.sock.close()
        await link.closed.wait()
    assert owner.lost == ["reset"]
    assert not owner.payloads


async def test_a_clean_end_is_no_fault(eventually):
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        raw.sock.shutdown(socket.SHUT_WR)
        await link.closed.wait()
    assert owner.lost == ["closed"]
    assert not owner.refused


async def test_a_peer_that_hangs_up_before_its_hello_may_refuse_us():
    owner = Owner()
    async with connection(owner) as (link, raw):
        raw.sock.shutdown(socket.SHUT_WR)
        await link.closed.wait()
    assert owner.lost == ["hung_up"]


async def test_nothing_is_delivered_after_the_owner_closed():
    owner = Owner()
    owner.close_when_named = True
    async with connection(owner) as (link, raw):
        await raw.write(GREETING + encode_frame(b"late"))
        await link.closed.wait()
    assert owner.lost == ["duplicate"]
    assert not owner.payloads


async def test_pings_go_out_and_are_not_delivered(eventually):
    owner = Owner()
    async with connection(owner, idle_ms_max=3_000_000) as (link, raw):
        await raw.write(GREETING + PING_FRAME * 3 + encode_frame(b"one") + PING_FRAME)
        await eventually(lambda: owner.counters["pings_in"] == 4)
        assert owner.payloads == [b"one"]
        link._pulse()
        assert await raw.read(len(OWN_GREETING) + 2) == OWN_GREETING + PING_FRAME
        link.send(encode_frame(b"two"))
        await raw.read(5)
        link._pulse()
        assert owner.counters["pings_out"] == 1, "what was just written needs no ping"


async def test_pings_keep_a_link_that_says_nothing_else(eventually):
    owner, other = Owner(), Owner()
    async with connection(owner, idle_ms_max=60) as (link, raw):
        peer = Link(
            other,
            own=Hello("p/1", b"net", b"peer"),
            dialled=b"own",
            identify=None,
            limits=Limits(idle_ms_max=60),
        )
        theirs = raw.sock.dup()
        await asyncio.get_running_loop().create_connection(lambda: peer, sock=theirs)
        await eventually(lambda: owner.counters["pings_in"] > 5)
        assert link.is_up and peer.is_up
        assert peer.dialler == b"peer"
        peer.abort("over")
        await peer.closed.wait()


async def test_silence_is_counted_in_pulses_so_our_own_pause_drops_nobody(eventually):
    owner = Owner()
    async with connection(owner, idle_ms_max=3_000_000) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        link._pulse()
        link._pulse()
        await raw.write(PING_FRAME)
        await eventually(lambda: owner.counters["pings_in"])
        link._pulse()
        for _ in range(2):
            link._pulse()
            assert link.is_up
        link._pulse()
        assert not link.is_up
    assert owner.refused == ["idle"]


async def test_a_silent_peer_is_dropped(eventually):
    owner = Owner()
    async with connection(owner, idle_ms_max=30) as (link, raw):
        await raw.write(GREETING)
        await link.closed.wait()
    assert owner.refused == owner.lost == ["idle"]


SMALL = {
    "frame_bytes_max": 100_000,
    "outbound_bytes_max": 1_000_000,
    "write_batch_bytes": 50_000,
    "write_high_water_bytes": 100_000,
    "write_low_water_bytes": 50_000,
}
BIG_FRAME = encode_frame(b"x" * 90_000)


async def fill(link: Link) -> int:
    """Send until the queue refuses and the kernel takes no more; return the frames queued."""
    sent = 0
    for _ in range(1_000):
        while link.send(BIG_FRAME):
            sent += 1
        before = link.queued_bytes
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if link.queued_bytes == before:
            return sent
    raise AssertionError("the queue never filled")


async def test_a_peer_that_never_reads_is_dropped(eventually):
    owner = Owner()
    async with connection(owner, stall_ms_max=50, **SMALL) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        await fill(link)
        assert link.queued_bytes <= SMALL["outbound_bytes_max"]
        assert not link.send(BIG_FRAME)
        await link.closed.wait()
        assert link.queued_bytes == 0
    assert owner.refused == owner.lost == ["stalled"]


async def test_a_peer_that_reads_again_is_kept(eventually):
    owner = Owner()
    async with connection(owner, stall_ms_max=3_600_000, **SMALL) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        sent = await fill(link)
        assert link.backlog.is_watched
        expected = len(OWN_GREETING) + sent * len(BIG_FRAME)
        assert len(await raw.read(expected)) == expected
        await eventually(lambda: link.queued_bytes == 0)
        assert not link.backlog.is_watched
        assert link.send(BIG_FRAME)
        assert await raw.read(len(BIG_FRAME)) == BIG_FRAME


async def test_half_a_queue_must_drain_before_the_watch_ends(eventually):
    owner = Owner()
    async with connection(owner, stall_ms_max=3_600_000, **SMALL) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        await fill(link)
        while link.queued_bytes > 0.7 * SMALL["outbound_bytes_max"]:
            await raw.read(10_000)
        assert link.backlog.is_watched


async def test_close_flushes_what_is_queued(eventually):
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        for _ in range(20):
            assert link.send(BIG_FRAME)
        link.close("done")
        assert not link.send(BIG_FRAME)
        assert await raw.read_to_end() == OWN_GREETING + 20 * BIG_FRAME
    assert owner.lost == ["done"]


async def test_what_a_closing_link_flushes_counts_until_it_is_closed(eventually):
    owner = Owner()
    async with connection(owner, close_ms_max=50, **SMALL) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        await fill(link)
        waiting = link.queued_bytes
        link.close("enough")
        assert link.backlog.queued_bytes == link.queued_bytes == waiting > 0
        await link.closed.wait()
        assert link.backlog.queued_bytes == link.queued_bytes == 0
        assert not link.backlog.is_watched


async def test_close_waits_for_a_peer_that_never_reads_no_longer_than_allowed(eventually):
    owner = Owner()
    async with connection(owner, close_ms_max=20, **SMALL) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        await fill(link)
        link.close("done")
        await link.closed.wait()
    assert owner.lost == ["done"]


async def test_frames_of_one_turn_share_a_write(eventually):
    owner = Owner()
    async with connection(owner) as (link, raw):
        await raw.write(GREETING)
        await eventually(lambda: owner.named)
        writes = []
        transport, link._transport = link._transport, None

        class Spy:
            def write(self, data: bytes) -> None:
                writes.append(data)
                transport.write(data)

        link._transport = Spy()
        for _ in range(100):
            link.send(encode_frame(b"small"))
        await raw.read(len(OWN_GREETING) + 700)
        link._transport = transport
    assert len(writes) == 1


async def test_the_water_marks_are_ours():
    async with connection(Owner(), **SMALL) as (link, _):
        assert link._transport.get_write_buffer_limits() == (50_000, 100_000)


async def test_a_link_given_up_before_it_connects_never_comes_up():
    owner = Owner()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = Link(owner, own=OWN, dialled=b"peer", identify=None, limits=Limits())
        link.close("stopped")
        assert link.settled.is_set() and link.closed.is_set()
        transport, _ = await loop.create_connection(lambda: link, *listener.getsockname())
        await asyncio.sleep(0)
        assert transport.is_closing()
        while not owner.lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not link.is_up
