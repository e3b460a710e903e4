"""The mesh in memory: the manners of TcpMesh on a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from transport import FrameTooLong, Limits, MemoryNetwork, VirtualClock, run_now


class Log:
    """A handler that writes down everything with its time."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.clock = network.clock
        self.lines: list[tuple[object, ...]] = []

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        self.lines.append((self.clock.now_ms, "frame", peer, payload))

    def on_peer_up(self, peer: bytes) -> None:
        self.lines.append((self.clock.now_ms, "up", peer))

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        self.lines.append((self.clock.now_ms, "down", peer, reason))

    def take(self) -> list[tuple[object, ...]]:
        lines, self.lines = self.lines, []
        return lines


def started(network: MemoryNetwork, name: bytes):
    mesh, log = network.mesh(name), Log(network)
    run_now(mesh.start(log))
    return mesh, log


def linked(**options):
    """Return a network with two meshes, a dialling b, and their logs, after 100 ms."""
    network = MemoryNetwork(**options)
    a, at_a = started(network, b"a")
    b, at_b = started(network, b"b")
    a.set_address(b"b", "anywhere", 0)
    network.run_until(100)
    at_a.take()
    at_b.take()
    return network, a, at_a, b, at_b


def test_a_link_comes_up_after_the_latency_and_frames_arrive_after_it():
    network = MemoryNetwork(latency_ms=lambda a, b, n: 7 if a == b"a" else 3)
    a, at_a = started(network, b"a")
    b, at_b = started(network, b"b")
    a.set_address(b"b", "anywhere", 0)
    assert not a.send(b"b", b"too early")
    network.run_until(10)
    assert at_a.take() == [(7, "up", b"b")]
    assert at_b.take() == [(7, "up", b"a")]
    assert a.connected() == {b"b"}
    assert b.connected() == {b"a"}
    assert a.send(b"b", b"one")
    assert b.send(b"a", b"two")
    assert a.broadcast([b"b", b"nobody"], b"three") == 1
    network.run_until(20)
    assert at_b.take() == [(17, "frame", b"a", b"one"), (17, "frame", b"a", b"three")]
    assert at_a.take() == [(13, "frame", b"b", b"two")]
    assert a.counters()["frames_out"] == b.counters()["frames_in"] == 2
    assert a.counters()["dropped_not_connected"] == 2


def test_order_holds_whatever_the_latency():
    latencies_ms = iter([1, 1, 9, 2, 5, 1])
    network, a, _, _, at_b = linked(latency_ms=lambda *_: next(latencies_ms))
    for payload in (b"1", b"2", b"3"):
        a.send(b"b", payload)
    network.run_until(200)
    assert at_b.take() == [
        (109, "frame", b"a", b"1"),
        (109, "frame", b"a", b"2"),
        (109, "frame", b"a", b"3"),
    ]


def test_what_is_under_way_arrives_before_the_end_does():
    network, a, at_a, b, at_b = linked(latency_ms=lambda *_: 5)
    a.send(b"b", b"last words")
    run_now(a.stop())
    run_now(a.stop())
    assert at_a.take() == [(100, "down", b"b", "stopped")]
    assert not a.send(b"b", b"from the grave")
    assert b.send(b"a", b"into the void")
    network.run_until(200)
    assert at_b.take() == [(105, "frame", b"a", b"last words"), (105, "down", b"a", "closed")]
    assert not at_a.take()
    assert not b.connected()


def test_a_peer_that_restarts_is_linked_again():
    network, a, at_a, b, _ = linked()
    run_now(b.stop())
    network.run_until(500)
    assert at_a.take() == [(101, "down", b"b", "closed")]
    again, at_again = started(network, b"b")
    network.run_until(600)
    assert at_again.take() == [(501, "up", b"a")]
    assert at_a.take() == [(501, "up", b"b")]
    assert again.connected() == {b"a"}
    assert a.counters()["links_up"] == 2


def test_two_of_one_name_cannot_run():
    network, *_ = linked()
    with pytest.raises(ValueError, match="runs already"):
        started(network, b"a")


def test_forget_closes_for_good_unless_the_peer_dials():
    network, a, at_a, b, at_b = linked()
    a.forget(b"b")
    a.forget(b"nobody")
    network.run_until(5_000)
    assert at_a.take() == [(100, "down", b"b", "forgotten")]
    assert at_b.take() == [(101, "down", b"a", "closed")]
    b.set_address(b"a", "anywhere", 0)
    network.run_until(6_000)
    assert at_a.take() == [(5_001, "up", b"b")]


def test_peers_that_dial_each_other_have_one_link():
    network, a, at_a, b, at_b = linked()
    b.set_address(b"a", "anywhere", 0)
    a.set_address(b"b", "elsewhere", 0)
    network.run_until(1_000)
    assert not at_a.take() + at_b.take()
    with pytest.raises(ValueError, match="itself"):
        a.set_address(b"a", "anywhere", 0)


def test_a_link_closed_before_it_is_up_never_comes_up():
    network = MemoryNetwork(latency_ms=lambda *_: 10)
    a, at_a = started(network, b"a")
    _, at_b = started(network, b"b")
    a.set_address(b"b", "anywhere", 0)
    network.run_until(5)
    a.forget(b"b")
    network.run_until(1_000)
    assert not at_a.take() + at_b.take()


def test_a_handler_may_close_the_link_as_it_comes_up():
    network = MemoryNetwork()
    a, b = network.mesh(b"a"), network.mesh(b"b")
    at_a, at_b = Log(network), Log(network)
    at_a.on_peer_up = a.forget
    run_now(a.start(at_a))
    run_now(b.start(at_b))
    a.set_address(b"b", "anywhere", 0)
    network.run_until(1_000)
    assert at_a.take() == [(1, "down", b"b", "forgotten")]
    assert not any(line[1] == "frame" for line in at_b.take())
    assert not a.connected() | b.connected()


def test_limits_hold():
    limits = Limits(frame_bytes_max=1_000, outbound_bytes_max=2_005)
    network, a, _, _, _ = linked(limits=limits)
    with pytest.raises(FrameTooLong):
        a.send(b"b", b"x" * 1_001)
    assert a.send(b"b", b"x" * 1_000)
    assert a.send(b"b", b"x" * 1_000)
    assert not a.send(b"b", b"x" * 6)
    assert a.counters()["dropped_queue_full"] == 1
    network.run_until(200)
    assert a.send(b"b", b"x" * 6)


def test_a_clock_may_be_shared():
    clock = VirtualClock(5)
    network = MemoryNetwork(clock)
    assert network.clock is clock
    network.run_until(9)
    assert clock.now_ms == 9


def test_run_now_runs_what_does_not_wait():
    async def seven() -> int:
        return 7

    assert run_now(seven()) == 7
    with pytest.raises(RuntimeError, match="event loop"):
        run_now(asyncio.sleep(0))
