"""Whole networks of replicas: the normal case, view changes, healing."""

import pytest
from consensus_bench import Bench
from consensus_harness import Network

from p2penergy.consensus import Rules


@pytest.mark.parametrize("n", range(1, 8))
def test_decides_one_block_per_slot_while_there_is_work(n: int) -> None:
    network = Network(n).start()
    for slot in range(1, 9):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
        network.run_to_slot(slot, 900)
    assert network.heights == [8] * n
    assert [decision.view for decision in network.nodes[0].decisions] == list(range(1, 9))


@pytest.mark.parametrize("n", [4, 7])
def test_decides_while_f_members_are_silent(n: int) -> None:
    network = Network(n)
    for node in network.nodes[: (n - 1) // 3]:
        node.stop()
    network.start()
    for slot in range(1, 31):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    assert network.nodes[-1].replica.tip_height >= 10


def test_a_stalled_network_stretches_its_views_and_recovers() -> None:
    """Messages take longer than a slot can bear: longer views decide nevertheless."""
    network = Network(4)
    network.policy = lambda *_: (700,)
    network.start()
    for slot in range(1, 60):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx")
    assert min(network.heights) >= 1
    assert network.nodes[0].decisions[0].view > 8, "decided in a stretched view"


def test_without_stretch_it_would_stall() -> None:
    class NoStretch(Rules):
        def view_slots(self, _attempt: int, _n: int, _view_slots_max: int) -> int:
            return 1

    network = Network(4, rules=NoStretch())
    network.policy = lambda *_: (700,)
    network.start()
    for slot in range(1, 60):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx")
    assert network.heights == [0] * 4


def test_commits_mixed_over_views_would_fork() -> None:
    """Four views: COMMITs of one digest in several views must never be added up.

    d is committed by one member in view 1 and, proposed again, by another in view 2, each time
    without a quorum; only the certificates' views keep it from being decided early.
    """

    class Mixed(Rules):
        def commit_group(self, _view: int, digest: bytes) -> tuple[int, bytes]:
            return (0, digest)

    outcomes = {}
    for rules in (Rules(), Mixed()):
        bench = Bench(leads=4, rules=rules).at(1)
        known = bench.block(1)
        first, second, third = bench.others
        bench.deliver(bench.pre_prepare(1, known))
        bench.at(2)
        bench.deliver(bench.commit(first, 1, known.digest))
        bench.at(3)
        bench.deliver(bench.commit(second, 2, known.digest))
        bench.at(4)
        bench.deliver(bench.commit(third, 3, known.digest))
        outcomes[type(rules).__name__] = bench.node.replica.tip_height
    assert outcomes == {"Rules": 0, "Mixed": 1}


def test_buffers_stay_within_bounds_under_a_flood() -> None:
    bench = Bench(leads=4).at(1)
    for round_ in range(40):
        for member in bench.others:
            for view in range(1, 6):
                bench.deliver(bench.prepare(member, view, bytes([round_]) * 32))
                bench.deliver(bench.commit(member, view, bytes([round_]) * 32))
                bench.deliver(bench.view_change(member, view))
    per_sender = 3 + 3 + 1
    assert bench.node.replica.buffered_messages <= 4 * per_sender
    assert bench.network.judge.byzantine >= {evidence.sender for evidence in bench.node.evidence}


def test_reading_is_for_the_heights_at_hand() -> None:
    replica = Bench().at(1).node.replica
    assert (replica.height, replica.view, replica.tip_height, replica.first) == (1, 1, 0, 1)
    assert replica.tip is None
    for unknown in (lambda: replica.committee(7), lambda: replica.leader(7, 7), lambda: replica.leader(1, 0)):
        with pytest.raises(KeyError):
            unknown()


def test_one_seed_one_trace() -> None:
    traces = []
    for _ in range(2):
        network = Network(4).start()
        for slot in range(1, 6):
            network.run_to_slot(slot)
            network.submit_everywhere(b"tx %d" % slot)
        traces.append([node.store.decided for node in network.nodes])
    assert traces[0] == traces[1]
