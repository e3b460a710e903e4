from collections.abc import Callable

import pytest

from p2penergy.simulation import faults
from p2penergy.simulation.faults import Atom
from p2penergy.simulation.plans import Plan, profile_named
from p2penergy.simulation.runner import Run
from p2penergy.simulation.settings import Settings
from p2penergy.simulation.world import World

END_MS = 4000
EVERYWHERE = tuple((a, b) for a in range(4) for b in range(4) if a != b)

Seen = Callable[[World], bool]


def _run(atom: Atom) -> Run:
    run = Run(Plan(2, profile_named("calm"), Settings(members=4), (atom,), 4))
    result = run.execute()
    assert result.ok, result.sentence
    return run


@pytest.mark.parametrize(
    "atom",
    [
        faults.Lossy(0, END_MS, 200_000),
        faults.Masked(2, 900_000),
        faults.Mute(2, tuple(("PrePrepare", a, b) for a, b in EVERYWHERE)),
        faults.Storm(1, 3, 300_000),
        faults.Split(0, END_MS, ((0, 1), (2, 3))),
        faults.Deaf(0, END_MS, EVERYWHERE[:5]),
        faults.Reset(2030, (0, 1)),
        faults.IsolateDecider(1, 1500, hears=True),
        faults.IsolateDecider(1, 1500, hears=False),
    ],
    ids=lambda atom: type(atom).__name__,
)
def test_network_faults_lose_frames_and_the_network_recovers(atom: Atom) -> None:
    assert _run(atom).world.network.lost_frames > 0


@pytest.mark.parametrize(
    ("atom", "seen"),
    [
        (faults.Noise(1000, 1, 2, 16), lambda world: world.nodes[1].refused["frame_size"] > 0),
        (faults.Noise(1000, 1, 2, 16), lambda world: world.nodes[1].refused["malformed"] > 0),
        (faults.RestartAll(1500, 50), lambda world: all(node.incarnation == 2 for node in world.nodes)),
        (faults.LoseStore(1, 1500, 10), lambda world: world.nodes[1].disk.amnesia_slot == 1),
        (faults.DiskFails(1, 1000, 2000), lambda world: world.nodes[1].incarnation > 1),
        (faults.Crash(1, 0, "durable", 2, 20), lambda world: world.nodes[1].incarnation == 2),
    ],
    ids=["oversize", "garbage", "restart all", "lose store", "disk fails", "crash"],
)
def test_process_faults_leave_their_mark_and_the_node_comes_back(atom: Atom, seen: Seen) -> None:
    world = _run(atom).world
    assert seen(world)
    assert all(node.up for node in world.nodes)


@pytest.mark.parametrize(
    "atom",
    [
        faults.Late(0, END_MS, 500_000, 900),
        faults.Doubled(0, END_MS, 500_000, 2000),
        faults.Slow(0, END_MS, (0, 1), 600),
        faults.Pause(1, 1000, 1500),
        faults.SlowDisk(1, 60),
        faults.ClockStep(1, 1500, 6000),
        faults.ClockStep(1, 1500, -3000),
        faults.Drift(1, 1000, 1_600_000),
        faults.Drift(1, 1000, 0),
    ],
    ids=lambda atom: type(atom).__name__,
)
def test_what_only_costs_time_changes_the_trace_and_breaks_nothing(atom: Atom) -> None:
    changed = _run(atom).world.trace.digest()
    calm = Run(Plan(2, profile_named("calm"), Settings(members=4), (), 4)).execute().trace_hash
    assert changed != calm


def test_a_skewed_clock_is_off_until_the_network_heals() -> None:
    world = World(0, Settings(members=4))
    faults.Skew(1, -20).install(world)
    assert world.nodes[1].now_ms() == world.now_ms - 20
    assert world.nodes[0].now_ms() == world.now_ms
