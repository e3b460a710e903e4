"""The bad network: same seed, same faults; masks, partitions, delays, over memory and TCP."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transport import (
    FaultPlan,
    FaultyMesh,
    FrameTooLong,
    LinkFaults,
    LoopClock,
    MemoryNetwork,
    run_now,
)

NAMES = (b"a", b"b", b"c")


class Heard:
    """A handler that writes down what arrives, and when."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.clock = network.clock
        self.frames: list[tuple[int, bytes, bytes]] = []

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        self.frames.append((self.clock.now_ms, peer, payload))

    def on_peer_up(self, peer: bytes) -> None:
        pass

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        pass

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, _, payload in self.frames]


class World:
    """Three linked meshes with one plan, on a virtual clock that stands at 10 ms."""

    def __init__(self, plan: FaultPlan) -> None:
        self.network = MemoryNetwork()
        self.meshes, self.heard = {}, {}
        for name in NAMES:
            mesh = FaultyMesh(self.network.mesh(name), plan, self.network.clock)
            self.meshes[name], self.heard[name] = mesh, Heard(self.network)
            run_now(mesh.start(self.heard[name]))
            for other in self.meshes:
                if other != name:
                    mesh.set_address(other, "anywhere", 0)
        self.network.run_until(10)

    def run(self, until_ms: int = 100_000) -> None:
        self.network.run_until(until_ms)


def numbered(count: int) -> list[bytes]:
    return [b"payload %d" % number for number in range(count)]


ALL_FAULTS = LinkFaults(
    loss=0.1,
    duplicate=0.1,
    reorder=0.1,
    corrupt=0.1,
    truncate=0.1,
    delay_ms=20,
    jitter_ms=10,
    bandwidth_bytes_per_s=100_000,
)


def story(seed: int) -> list[list[tuple[int, bytes, bytes]]]:
    world = World(FaultPlan(seed, everywhere=ALL_FAULTS))
    for payload in numbered(200):
        world.meshes[b"a"].broadcast([b"b", b"c"], payload)
        world.meshes[b"b"].send(b"a", payload)
    world.run()
    return [heard.frames for heard in world.heard.values()]


def test_the_same_seed_tells_the_same_story():
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_other_links_have_no_say():
    def heard_by_b(also_c: bool) -> list[bytes]:
        world = World(FaultPlan(3, everywhere=LinkFaults(loss=0.5)))
        for payload in numbered(100):
            world.meshes[b"a"].send(b"b", payload)
            if also_c:
                world.meshes[b"a"].send(b"c", payload)
        world.run()
        return world.heard[b"b"].payloads

    assert heard_by_b(True) == heard_by_b(False)


def test_one_fault_does_not_move_the_others():
    def lost_with(**more: float) -> set[bytes]:
        world = World(FaultPlan(3, everywhere=LinkFaults(loss=0.3, **more)))
        for payload in numbered(100):
            world.meshes[b"a"].send(b"b", payload)
        world.run()
        return set(numbered(100)) - set(world.heard[b"b"].payloads)

    assert lost_with() == lost_with(duplicate=0.5, reorder=0.5, jitter_ms=30)


def test_without_faults_nothing_changes():
    world = World(FaultPlan())
    a = world.meshes[b"a"]
    assert a.name == b"a"
    assert a.connected() == {b"b", b"c"}
    assert a.broadcast([b"b", b"c", b"nobody"], b"x") == 2
    assert not a.send(b"nobody", b"x")
    world.run(20)
    assert world.heard[b"b"].frames == [(11, b"a", b"x")]
    with pytest.raises(FrameTooLong):
        a.send(b"b", bytes(5_000_000))
    a.forget(b"b")
    assert a.connected() == {b"c"}


@pytest.mark.parametrize(
    ("faults", "counter"),
    [
        ({"loss": 0.2}, "fault_lost"),
        ({"duplicate": 0.2}, "fault_duplicated"),
        ({"reorder": 0.2}, "fault_reordered"),
        ({"corrupt": 0.2}, "fault_corrupted"),
        ({"truncate": 0.2}, "fault_truncated"),
    ],
)
def test_each_fault_happens_about_as_often_as_asked(faults, counter):
    world = World(FaultPlan(5, everywhere=LinkFaults(**faults)))
    sent = numbered(1_000)
    assert all(world.meshes[b"a"].send(b"b", payload) for payload in sent)
    world.run()
    happened = world.meshes[b"a"].counters()[counter]
    assert 130 < happened < 270
    got = world.heard[b"b"].payloads
    match counter:
        case "fault_lost":
            assert len(got) == 1_000 - happened
            assert got == [payload for payload in sent if payload in set(got)]
        case "fault_duplicated":
            assert len(got) == 1_000 + happened
            assert list(dict.fromkeys(got)) == sent
        case "fault_reordered":
            assert got != sent
            assert sorted(got) == sorted(sent)
        case "fault_corrupted":
            changed = [(a, b) for a, b in zip(sent, got, strict=True) if a != b]
            assert len(changed) == happened
            for before, after in changed:
                flipped = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
                assert len(before) == len(after)
                assert flipped.bit_count() == 1
        case "fault_truncated":
            shorter = [(a, b) for a, b in zip(sent, got, strict=True) if a != b]
            assert len(shorter) == happened
            assert all(before.startswith(after) and after for before, after in shorter)


def test_a_reordered_payload_is_overtaken():
    world = World(FaultPlan())
    plan = world.meshes[b"a"]._plan
    plan.everywhere = LinkFaults(reorder=1.0, reorder_ms=50)
    world.meshes[b"a"].send(b"b", b"first")
    plan.everywhere = LinkFaults()
    world.meshes[b"a"].send(b"b", b"second")
    world.run(200)
    assert world.heard[b"b"].frames == [(11, b"a", b"second"), (61, b"a", b"first")]


@settings(max_examples=25)
@given(st.integers(), st.floats(0, 50), st.floats(0, 100), st.sampled_from([0, 5_000, 10**6]))
def test_delays_keep_the_order(seed, delay_ms, jitter_ms, bandwidth):
    faults = LinkFaults(delay_ms=delay_ms, jitter_ms=jitter_ms, bandwidth_bytes_per_s=bandwidth)
    world = World(FaultPlan(seed, everywhere=faults))
    for number, payload in enumerate(numbered(30)):
        world.meshes[b"a"].send(b"b", payload)
        if number % 7 == 0:
            world.run(world.network.clock.now_ms + 13)
    world.run()
    assert world.heard[b"b"].payloads == numbered(30)


def test_delay_and_bandwidth_add_up():
    faults = LinkFaults(delay_ms=40, bandwidth_bytes_per_s=1_000)
    world = World(FaultPlan(everywhere=faults))
    for _ in range(3):
        world.meshes[b"a"].send(b"b", b"x" * 10)
    world.run()
    # 10 ms each on the wire, one after the other, then 40 ms and the network's own 1 ms.
    assert [at_ms for at_ms, _, _ in world.heard[b"b"].frames] == [61, 71, 81]
    assert world.meshes[b"a"].counters()["fault_delayed"] == 3


def test_a_slow_links_queue_is_limited():
    faults = LinkFaults(bandwidth_bytes_per_s=1_000, queue_bytes_max=25)
    world = World(FaultPlan(everywhere=faults))
    sent = [world.meshes[b"a"].send(b"b", b"x" * 10) for _ in range(4)]
    assert sent == [True, True, False, False]
    assert world.meshes[b"a"].counters()["fault_queue_full"] == 2
    world.run()
    assert world.meshes[b"a"].send(b"b", b"x" * 10)


def reached(world: World) -> set[str]:
    """Send one payload over each of the six directions; return those that arrive."""
    for heard in world.heard.values():
        heard.frames.clear()
    for name, mesh in world.meshes.items():
        mesh.broadcast([other for other in NAMES if other != name], b"x")
    world.run(world.network.clock.now_ms + 10)
    return {(source + name).decode() for name, heard in world.heard.items() for _, source, _ in heard.frames}


def test_partitions_isolation_and_one_way_blocks():
    plan = FaultPlan()
    world = World(plan)
    everything = {"ab", "ac", "ba", "bc", "ca", "cb"}
    assert reached(world) == everything
    plan.partition([b"a", b"b"], [b"c"])
    assert reached(world) == {"ab", "ba"}
    plan.partition([b"c"])
    assert reached(world) == {"ab", "ba"}
    plan.heal()
    plan.block(b"a", b"b")
    assert reached(world) == everything - {"ab"}
    plan.heal()
    plan.isolate(b"b")
    assert reached(world) == {"ac", "ca"}
    plan.heal()
    assert reached(world) == everything
    assert world.meshes[b"a"].counters()["fault_partitioned"] == 4


def test_one_link_may_have_its_own_faults():
    plan = FaultPlan()
    plan.set_link(b"a", b"b", LinkFaults(loss=1.0))
    world = World(plan)
    assert reached(world) == {"ac", "ba", "bc", "ca", "cb"}


def test_masks_see_source_destination_kind_and_slot():
    def classify(payload: bytes) -> tuple[str, int] | None:
        kind, _, slot = payload.partition(b" ")
        return (kind.decode(), int(slot)) if slot else None

    asked = []

    def mask(source: bytes, destination: bytes, kind: str, slot: int) -> bool:
        asked.append((source, destination, kind, slot))
        return kind == "vote" and slot == 7 and destination == b"b"

    world = World(FaultPlan(classify=classify, mask=mask))
    for payload in (b"vote 6", b"vote 7", b"block 7", b"other"):
        world.meshes[b"a"].broadcast([b"b", b"c"], payload)
    world.run(50)
    assert world.heard[b"b"].payloads == [b"vote 6", b"block 7", b"other"]
    assert world.heard[b"c"].payloads == [b"vote 6", b"vote 7", b"block 7", b"other"]
    assert asked[:2] == [(b"a", b"b", "vote", 6), (b"a", b"c", "vote", 6)]
    assert len(asked) == 6
    assert world.meshes[b"a"].counters()["fault_masked"] == 1


def test_stop_drops_what_is_held_back():
    world = World(FaultPlan(everywhere=LinkFaults(delay_ms=20)))
    world.meshes[b"a"].send(b"b", b"x")
    run_now(world.meshes[b"a"].stop())
    world.run(100)
    assert not world.heard[b"b"].frames
    assert not world.meshes[b"a"]._held


def test_nothing_overtakes_what_is_due_at_this_very_moment():
    plan = FaultPlan(everywhere=LinkFaults(delay_ms=20))
    world = World(plan)

    def send_without_delay() -> None:
        plan.everywhere = LinkFaults()
        world.meshes[b"a"].send(b"b", b"second")

    world.network.clock.call_at(30, send_without_delay)
    world.meshes[b"a"].send(b"b", b"first")
    world.run(100)
    assert world.heard[b"b"].payloads == [b"first", b"second"]


def test_a_later_payload_that_is_due_earlier_moves_the_timer():
    plan = FaultPlan()
    plan.set_link(b"a", b"b", LinkFaults(delay_ms=500))
    plan.set_link(b"a", b"c", LinkFaults(delay_ms=100))
    world = World(plan)
    world.meshes[b"a"].send(b"b", b"late")
    world.meshes[b"a"].send(b"c", b"soon")
    world.run(120)
    assert world.heard[b"c"].frames == [(111, b"a", b"soon")]
    world.run(1_000)
    assert world.heard[b"b"].frames == [(511, b"a", b"late")]


@pytest.mark.parametrize(
    "impossible", [{"loss": 1.1}, {"corrupt": -0.1}, {"delay_ms": -1}, {"bandwidth_bytes_per_s": -1}]
)
def test_impossible_figures(impossible):
    with pytest.raises(ValueError, match=next(iter(impossible))):
        LinkFaults(**impossible)


async def test_over_tcp_payloads_are_delayed_in_real_time(meshes, eventually):
    b, at_b = await meshes.start(b"b")
    plan = FaultPlan(everywhere=LinkFaults(delay_ms=15, jitter_ms=10))
    clock = LoopClock()
    a = FaultyMesh(meshes.make(b"a"), plan, clock)
    a.set_address(b"b", *b.address)
    await a.start(at_b)
    await eventually(a.connected)
    sent_at_ms = clock.now_ms
    assert all(a.send(b"b", payload) for payload in numbered(200))
    await eventually(lambda: at_b.frames)
    assert clock.now_ms - sent_at_ms >= 14
    await eventually(lambda: len(at_b.frames) == 200)
    assert [payload for _, payload in at_b.frames] == numbered(200)
    assert a.counters()["fault_delayed"] == a.counters()["frames_out"] == 200
    a.send(b"b", b"never sent")
    await a.stop()
