"""TcpMesh over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import pytest

from transport import (
    AddressInUse,
    FrameTooLong,
    Limits,
    NotListening,
    TooManyPeers,
    encode_frame,
)
from transport.hello import Hello, encode_hello

QUICK = Limits(dial_backoff_ms_min=5, dial_backoff_ms_max=20)


def greeting(name: bytes) -> bytes:
    return encode_frame(encode_hello(Hello("p2penergy/1", b"net", name)))


async def linked(meshes, eventually, **options):
    """Return two meshes and their handlers, linked: a dialled b."""
    a, at_a = await meshes.start(b"a", **options)
    b, at_b = await meshes.start(b"b", **options)
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_a.ups and at_b.ups)
    return a, at_a, b, at_b


async def test_two_meshes_exchange_frames_over_tls(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", tls=authority.identity(b"b"))
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_a.ups and at_b.ups)
    big = b"x" * 1_000_000
    assert a.send(b"b", b"one")
    assert a.send(b"b", big)
    assert b.send(b"a", b"three")
    await eventually(lambda: at_a.frames and len(at_b.frames) == 2)
    assert at_b.frames == [(b"a", b"one"), (b"a", big)]
    assert at_a.frames == [(b"b", b"three")]
    assert a.connected() == {b"b"}
    assert b.connected() == {b"a"}
    assert a.counters()["frames_out"] == b.counters()["frames_in"] == 2
    assert a.counters()["bytes_out"] > len(big)


async def test_frames_keep_their_order(meshes, eventually):
    a, _, _, at_b = await linked(meshes, eventually)
    sent = [n.to_bytes(4, "big") for n in range(1, 5001)]
    assert all(a.send(b"b", payload) for payload in sent)
    await eventually(lambda: len(at_b.frames) == len(sent))
    assert [payload for _, payload in at_b.frames] == sent


async def test_a_frame_sent_on_peer_up_arrives(meshes, eventually):
    a = meshes.make(b"a")
    heard = []
    handler = SimpleNamespace(
        on_frame=lambda peer, payload: heard.append(payload),
        on_peer_up=lambda peer: a.send(peer, b"welcome"),
        on_peer_down=lambda peer, reason: None,
    )
    await a.start(handler)
    b, at_b = await meshes.start(b"b", listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: at_b.frames == [(b"a", b"welcome")])


async def test_broadcast_counts_and_encodes_once(meshes, eventually, monkeypatch):
    encoded = []

    def encode(payload: bytes) -> bytes:
        encoded.append(payload)
        return encode_frame(payload)

    monkeypatch.setattr("transport.mesh.encode_frame", encode)
    hub, _ = await meshes.start(b"hub")
    others = {name: await meshes.start(name, listen=None) for name in (b"x", b"y", b"z")}
    for mesh, _ in others.values():
        mesh.set_address(b"hub", *hub.address)
    await eventually(lambda: hub.connected() == set(others))
    assert hub.broadcast([b"x", b"y", b"nobody"], b"news") == 2
    await eventually(lambda: all(others[name][1].frames for name in (b"x", b"y")))
    assert hub.counters()["dropped_not_connected"] == 1
    assert encoded == [b"news"]
    assert not others[b"z"][1].frames


async def test_what_may_not_be_sent(meshes, eventually):
    a, _, _, _ = await linked(meshes, eventually, limits=Limits(frame_bytes_max=1000))
    assert a.send(b"b", b"x" * 1000)
    with pytest.raises(FrameTooLong, match="1001"):
        a.send(b"b", b"x" * 1001)
    with pytest.raises(ValueError, match="empty"):
        a.broadcast([b"b"], b"")
    assert not a.send(b"nobody", b"x")
    assert not a.send(b"a", b"to ourselves")


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize(
    ("options", "code"),
    [({"network": b"ten"}, "wrong_network"), ({"protocol": "p2penergy/9"}, "wrong_protocol")],
)
async def test_another_network_or_protocol_is_refused_by_both(
    meshes, authority, eventually, options, code, over_tls
):
    identities = {name: authority.identity(name) if over_tls else None for name in (b"a", b"b")}
    a, at_a = await meshes.start(b"a", tls=identities[b"a"])
    b, at_b = await meshes.start(b"b", tls=identities[b"b"], **options)
    b.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get(f"refused_{code}"))
    await eventually(lambda: b.counters().get(f"refused_{code}"))
    assert not at_a.ups + at_b.ups


async def test_an_address_of_somebody_else_is_refused(meshes, eventually):
    a, at_a = await meshes.start(b"a")
    b, _ = await meshes.start(b"b")
    a.set_address(b"c", *b.address)
    await eventually(lambda: a.counters().get("refused_wrong_name"))
    assert not at_a.ups


async def test_dialling_ourselves(meshes, eventually):
    a, at_a = await meshes.start(b"a")
    with pytest.raises(ValueError, match="itself"):
        a.set_address(b"a", *a.address)
    with pytest.raises(ValueError, match="0 is no port"):
        a.set_address(b"b", "127.0.0.1", 0)
    a.set_address(b"b", *a.address)
    await eventually(lambda: a.counters().get("refused_self_dial"))
    assert not at_a.ups


# -- one link per peer --------------------------------------------------------------------------


@pytest.mark.parametrize("round_number", range(4))
async def test_peers_that_dial_each_other_keep_one_link(meshes, eventually, round_number):
    a, at_a = await meshes.start(b"a", limits=QUICK, seed=round_number)
    b, at_b = await meshes.start(b"b", limits=QUICK, seed=round_number)
    a.set_address(b"b", *b.address)
    b.set_address(b"a", *a.address)

    def settled() -> bool:
        return (
            a.connected() == {b"b"}
            and b.connected() == {b"a"}
            and len(a._open_links) == len(b._open_links) == 1
        )

    await eventually(settled)
    assert a._links[b"b"].dialler == b._links[b"a"].dialler
    a.send(b"b", b"to b")
    b.send(b"a", b"to a")
    await eventually(lambda: at_a.frames and at_b.frames)
    for recorder in (at_a, at_b):
        assert len(recorder.ups) - len(recorder.downs) == 1


def fake_link(dialler: bytes, up_at_s: float, *, is_up: bool = True) -> SimpleNamespace:
    return SimpleNamespace(dialler=dialler, up_at_s=up_at_s, is_up=is_up)


async def test_the_link_dialled_by_the_smaller_name_stays(meshes):
    mesh = meshes.make(b"m", limits=Limits(handshake_ms_max=1000))

    def gives_way(current, newcomer) -> bool:
        return mesh._gives_way(fake_link(*current), fake_link(*newcomer))

    assert gives_way((b"z", 1.0), (b"m", 1.5))
    assert not gives_way((b"m", 1.0), (b"z", 1.5))
    assert gives_way((b"a", 1.0), (b"a", 1.5)), "it dials again: it lost the former link"
    assert gives_way((b"m", 1.0), (b"z", 2.5)), "nobody who has a link dials"
    assert mesh._gives_way(fake_link(b"m", 1.0, is_up=False), fake_link(b"z", 1.1))


@pytest.mark.parametrize(
    ("peer", "ours_stays"), [(b"z", True), (b"a", False)], ids=["larger peer", "smaller peer"]
)
async def test_of_two_links_dialled_at_once_one_stays(meshes, eventually, peer, ours_stays):
    m, at_m = await meshes.start(b"m")
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        m.set_address(peer, *listener.getsockname())
        dialled, _ = await loop.sock_accept(listener)
        await loop.sock_sendall(dialled, greeting(peer))
        await eventually(lambda: at_m.ups)
        _, writer = await asyncio.open_connection(*m.address)
        writer.write(greeting(peer))
        reason = "duplicate" if ours_stays else "replaced"
        await eventually(lambda: m.counters().get(f"lost_{reason}"))
        assert m.connected() == {peer}
        assert m._links[peer].dialler == (b"m" if ours_stays else peer)
        assert at_m.downs == ([] if ours_stays else [(peer, "replaced")])
        dialled.close()
        writer.transport.abort()
        m.forget(peer)


async def test_a_peer_that_dials_again_replaces_its_link(meshes, eventually):
    a, at_a = await meshes.start(b"a")
    _, first = await asyncio.open_connection(*a.address)
    first.write(greeting(b"peer"))
    await eventually(lambda: at_a.ups)
    second_in, second = await asyncio.open_connection(*a.address)
    second.write(greeting(b"peer") + encode_frame(b"from the second"))
    await eventually(lambda: at_a.frames)
    assert at_a.ups == [b"peer", b"peer"]
    assert at_a.downs == [(b"peer", "replaced")]
    assert a.send(b"peer", b"hi")
    await second_in.readexactly(len(greeting(b"a")) + 4)
    for writer in (first, second):
        writer.transport.abort()


# -- peers that come and go ---------------------------------------------------------------------


async def test_it_reconnects_after_the_peer_restarts(meshes, eventually):
    a, at_a = await meshes.start(b"a", limits=QUICK)
    b, _ = await meshes.start(b"b")
    address = b.address
    a.set_address(b"b", *address)
    await eventually(lambda: at_a.ups)
    await b.stop()
    await eventually(lambda: at_a.downs == [(b"b", "closed")])
    assert a.connected() == frozenset()
    again, at_again = await meshes.start(b"b", listen=address)
    await eventually(lambda: at_again.ups == [b"a"])
    await eventually(lambda: at_a.ups == [b"b", b"b"])
    assert a.counters()["reconnects"] == 1
    assert a.send(b"b", b"welcome back")
    await eventually(lambda: at_again.frames)
    assert again.connected() == {b"a"}


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_a_name_that_no_host_has_is_a_failed_dial_and_no_more(meshes, eventually, host):
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    a, _ = await meshes.start(b"a", limits=QUICK)
    a.set_address(b"b", host, 7440)
    await eventually(lambda: a.counters().get("refused_unreachable", 0) > 1)
    assert not errors


async def test_it_dials_until_the_peer_is_there(meshes, eventually):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = reserved.getsockname()
    a, at_a = await meshes.start(b"a", limits=QUICK)
    a.set_address(b"b", *address)
    await eventually(lambda: a.counters().get("refused_unreachable", 0) > 2)
    await meshes.start(b"b", listen=address)
    await eventually(lambda: at_a.ups == [b"b"])


async def test_addresses_given_before_the_start_are_dialled(meshes, eventually):
    b, at_b = await meshes.start(b"b")
    a = meshes.make(b"a", listen=None)
    a.set_address(b"b", *b.address)
    await a.start(at_b)
    await eventually(lambda: a.connected() == {b"b"})


async def test_a_new_address_replaces_the_old(meshes, eventually):
    a, at_a = await meshes.start(b"a", limits=QUICK)
    wrong, _ = await meshes.start(b"wrong")
    b, _ = await meshes.start(b"b")
    a.set_address(b"b", *wrong.address)
    await eventually(lambda: a.counters().get("refused_wrong_name"))
    a.set_address(b"b", *b.address)
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_a.ups == [b"b"])
    await eventually(lambda: len(a._seekers) == 2), "one accepts, one dials"


async def test_forget_closes_and_does_not_dial_again(meshes, eventually):
    a, at_a, b, at_b = await linked(meshes, eventually, limits=QUICK)
    a.forget(b"b")
    a.forget(b"nobody")
    assert at_a.downs == [(b"b", "forgotten")]
    assert not a.send(b"b", b"x")
    await eventually(lambda: at_b.downs)
    dials = a.counters()["dials"]
    c, at_c = await meshes.start(b"c", limits=QUICK)
    c.set_address(b"b", *b.address)
    await eventually(lambda: at_c.ups)
    assert a.counters()["dials"] == dials
    assert not a._seekers._tasks - {t for t in a._seekers._tasks if "accept" in repr(t)}


async def test_no_more_peers_than_allowed(meshes):
    a, _ = await meshes.start(b"a", limits=Limits(dialled_peers_max=1, dial_backoff_ms_min=9_000))
    a.set_address(b"b", "127.0.0.1", 1)
    a.set_address(b"b", "127.0.0.1", 2)
    with pytest.raises(TooManyPeers, match="dialled_peers_max is 1"):
        a.set_address(b"c", "127.0.0.1", 1)
    a.forget(b"b")
    a.set_address(b"c", "127.0.0.1", 1)


# -- hostile and slow peers ---------------------------------------------------------------------


async def test_one_that_never_reads_is_dropped_while_others_go_on(meshes, eventually):
    limits = Limits(
        frame_bytes_max=100_000,
        outbound_bytes_max=1_000_000,
        write_high_water_bytes=100_000,
        write_low_water_bytes=50_000,
        stall_ms_max=50,
    )
    hub, at_hub = await meshes.start(b"hub", limits=limits)
    good, at_good = await meshes.start(b"good", listen=None)
    good.set_address(b"hub", *hub.address)
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stuck.connect(hub.address)
    stuck.sendall(greeting(b"stuck"))
    await eventually(lambda: hub.connected() == {b"good", b"stuck"})
    sent = 0
    async with asyncio.timeout(30):
        while not at_hub.downs:
            hub.send(b"stuck", b"x" * 90_000)
            sent += hub.send(b"good", b"y" * 1_000)
            await asyncio.sleep(0)
    assert at_hub.downs == [(b"stuck", "stalled")]
    assert hub.counters()["refused_stalled"] == 1
    assert hub.counters()["dropped_queue_full"] > 0
    await eventually(lambda: len(at_good.frames) == sent)
    assert hub.connected() == {b"good"}
    stuck.close()


async def test_one_that_says_nothing_is_cut_off(meshes, authority, eventually):
    for tls in (None, authority.identity(b"a")):
        a, at_a = await meshes.start(b"a", tls=tls, limits=Limits(handshake_ms_max=30))
        _, writer = await asyncio.open_connection(*a.address)
        writer.write(b"\x16" if tls else greeting(b"slow")[:3])
        await eventually(lambda a=a: a.counters().get("refused_handshake_timeout"))
        writer.transport.abort()
        assert not at_a.ups


async def test_a_dialled_one_that_says_nothing_is_dialled_again(meshes, eventually):
    limits = Limits(handshake_ms_max=30, dial_backoff_ms_min=1, dial_backoff_ms_max=2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        a, at_a = await meshes.start(b"a", limits=limits)
        a.set_address(b"b", *mute.getsockname())
        await eventually(lambda: a.counters().get("refused_handshake_timeout", 0) > 1)
        a.forget(b"b")
    assert not at_a.ups


async def test_forget_ends_a_dial_under_way(meshes, eventually):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        a, at_a = await meshes.start(b"a")
        a.set_address(b"b", *mute.getsockname())
        loop = asyncio.get_running_loop()
        mute.setblocking(False)
        accepted, _ = await loop.sock_accept(mute)
        assert await loop.sock_recv(accepted, 100) == greeting(b"a")
        a.forget(b"b")
        assert await loop.sock_recv(accepted, 100) == b""
        await eventually(lambda: not a._open_links)
        accepted.close()
    assert not at_a.ups + at_a.downs


async def test_a_flood_of_connections_is_capped(meshes, eventually):
    limits = Limits(inbound_links_max=6, handshaking_links_per_host_max=4)
    a, _ = await meshes.start(b"a", limits=limits)
    flood = [socket.create_connection(a.address) for _ in range(20)]
    await eventually(lambda: a.counters().get("refused_handshaking_host_full") == 16)
    assert len(a._open_links) == 4
    for sock in flood:
        sock.close()
    await eventually(lambda: not a._open_links)
    named = []
    for number in range(8):
        named.append(socket.create_connection(a.address))
        named[-1].sendall(greeting(b"meter %d" % number))
        await eventually(
            lambda number=number: (
                len(a.connected()) == min(number + 1, 6)
                and (number < 6 or a.counters().get("refused_inbound_full") == number - 5)
            )
        )
    b, at_b = await meshes.start(b"b")
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_b.ups), "our own dials are not in the cap"
    for sock in named:
        sock.close()


async def test_one_device_holds_no_more_links_than_allowed(meshes, authority, eventually):
    limits = Limits(links_per_device_max=2)
    a, _ = await meshes.start(b"a", tls=authority.identity(b"a"), limits=limits)
    identity = authority.identity(b"b")
    held = []
    for label in (b"", b"1"):
        mesh, recorder = await meshes.start(b"b" + label, tls=identity)
        mesh.set_address(b"a", *a.address)
        await eventually(lambda recorder=recorder: recorder.ups)
        held.append(mesh)
    third, _ = await meshes.start(b"b2", tls=identity)
    third.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_device_full"))
    assert a.connected() == {b"b", b"b1"}
    # Another device is let in, a link that is dialled again takes its own place, and room comes back.
    other, at_other = await meshes.start(b"c", tls=authority.identity(b"c"))
    other.set_address(b"a", *a.address)
    await eventually(lambda: at_other.ups)
    again, at_again = await meshes.start(b"b1", tls=identity)
    again.set_address(b"a", *a.address)
    await eventually(lambda: at_again.ups)
    await held[0].stop()
    await eventually(lambda: b"b2" in a.connected())


async def test_a_device_that_never_reads_has_one_queue_on_all_its_links(meshes, authority, eventually):
    limits = Limits(
        frame_bytes_max=100_000,
        outbound_bytes_max=1_000_000,
        write_high_water_bytes=100_000,
        write_low_water_bytes=50_000,
        stall_ms_max=50,
    )
    hub, at_hub = await meshes.start(b"hub", tls=authority.identity(b"hub"), limits=limits)
    identity, deaf = authority.identity(b"b"), {b"b", b"b1", b"b2"}
    for name in sorted(deaf):
        mesh, recorder = await meshes.start(name, listen=None, tls=identity)
        mesh.set_address(b"hub", *hub.address)
        await eventually(lambda recorder=recorder: recorder.ups)
        mesh._links[b"hub"]._transport.pause_reading()
    good, at_good = await meshes.start(b"good", listen=None, tls=authority.identity(b"good"))
    good.set_address(b"hub", *hub.address)
    await eventually(lambda: len(hub.connected()) == 4)
    sent, held_bytes_max = 0, 0
    async with asyncio.timeout(60):
        while len(at_hub.downs) < len(deaf):
            for name in deaf:
                while hub.send(name, b"x" * 90_000):
                    pass
            links = [link for link in hub._links.values() if link.peer in deaf]
            held_bytes_max = max(held_bytes_max, sum(link.queued_bytes for link in links))
            sent += hub.send(b"good", b"y" * 1_000)
            await asyncio.sleep(0)
    assert 900_000 < held_bytes_max <= limits.outbound_bytes_max
    assert sorted(at_hub.downs) == [(name, "stalled") for name in sorted(deaf)]
    # Another device is not held back by it.
    await eventually(lambda: len(at_good.frames) == sent)
    assert hub.connected() == {b"good"}


async def test_garbage_and_resets_leave_the_mesh_serving(meshes, eventually):
    a, at_a, b, at_b = await linked(meshes, eventually)
    for hostile in (b"\xc1", b"GET / HTTP/1.1\r\n\r\n", b"\xc6\xff\xff\xff\xff", b"\x91" * 999):
        sock = socket.create_connection(b.address)
        sock.sendall(greeting(b"mallory") + hostile)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        sock.close()
    await eventually(lambda: len(b._open_links) == 1)
    assert a.send(b"b", b"still there")
    await eventually(lambda: at_b.frames == [(b"a", b"still there")])
    assert not at_a.downs


async def test_a_failing_handler_ends_that_link_and_is_reported(meshes, eventually):
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))

    def fail(peer: bytes, payload: bytes) -> None:
        raise ZeroDivisionError

    ignore = SimpleNamespace(
        on_frame=fail, on_peer_up=lambda peer: None, on_peer_down=lambda peer, reason: None
    )
    b = meshes.make(b"b")
    await b.start(ignore)
    a, at_a = await meshes.start(b"a", limits=QUICK)
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_a.ups)
    a.send(b"b", b"boom")
    await eventually(lambda: len(at_a.ups) == 2)
    assert any(isinstance(report["exception"], ZeroDivisionError) for report in reports)


async def test_a_handler_may_forget_the_peer_while_frames_come(meshes, eventually):
    a = meshes.make(b"a")
    heard = []

    def once(peer: bytes, payload: bytes) -> None:
        heard.append(payload)
        a.forget(peer)

    downs = []
    await a.start(
        SimpleNamespace(
            on_frame=once,
            on_peer_up=lambda peer: None,
            on_peer_down=lambda peer, reason: downs.append(reason),
        )
    )
    with socket.create_connection(a.address) as raw:
        raw.sendall(greeting(b"peer") + encode_frame(b"one") + encode_frame(b"two"))
        await eventually(lambda: downs == ["forgotten"])
    assert heard == [b"one"]


# -- life ---------------------------------------------------------------------------------------


async def test_stop_releases_everything_and_may_be_called_twice(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", tls=authority.identity(b"b"))
    a.set_address(b"b", *b.address)
    a.set_address(b"absent", "127.0.0.1", 1)
    await eventually(lambda: at_a.ups and at_b.ups)
    half_open = socket.create_connection(a.address)
    await eventually(lambda: len(a._open_links) == 2)
    address = a.address
    a.send(b"b", b"last words")
    await a.stop()
    await a.stop()
    assert at_a.downs == [(b"b", "stopped")]
    assert not a._open_links and not a._links
    assert not len(a._seekers) + len(a._servants)
    await eventually(lambda: at_b.frames == [(b"a", b"last words")] and at_b.downs)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    half_open.close()


async def test_a_mesh_that_never_started_stops(meshes):
    await meshes.make(b"a").stop()


async def test_the_address_is_known_once_it_listens(meshes):
    a = meshes.make(b"a")
    with pytest.raises(NotListening):
        _ = a.address
    b, _ = await meshes.start(b"b", listen=None)
    with pytest.raises(NotListening):
        _ = b.address


async def test_a_port_in_use_is_said_in_one_sentence(meshes):
    a, at_a = await meshes.start(b"a")
    b = meshes.make(b"b", listen=a.address)
    with pytest.raises(AddressInUse, match="is in use"):
        await b.start(at_a)


async def test_it_listens_on_a_bound_socket(meshes, eventually):
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    a, _ = await meshes.start(b"a", listen=bound)
    assert a.address == bound.getsockname()
    b, at_b = await meshes.start(b"b", listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: at_b.ups)


async def test_a_name_that_no_peer_would_take(meshes):
    with pytest.raises(ValueError, match="cannot be used"):
        meshes.make(b"")
