"""Whole networks of replicas: the normal case, view changes, healing."""

import pytest
from consensus_harness import Network


@pytest.mark.parametrize("n", range(1, 8))
def test_decides_one_block_per_slot_while_there_is_work(n: int) -> None:
    network = Network(n).start()
    for slot in range(1, 9):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
        network.run_to_slot(slot, 900)
    assert network.heights == [8] * n
    assert [decision.view for decision in network.nodes[0].decisions] == list(range(1, 9))


def test_one_silent_member_of_four_is_overcome() -> None:
    network = Network(4)
    network.nodes[2].stop()
    network.start()
    for slot in range(1, 41):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    assert min(height for height, node in zip(network.heights, network.nodes, strict=True) if node.up) >= 25
