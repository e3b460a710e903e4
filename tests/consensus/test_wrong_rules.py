"""CONSENSUS section 12: whole networks under one wrong rule lose an invariant that the right rules keep."""

import msgspec
import pytest
from consensus_bench import Bench
from consensus_harness import Network

from p2penergy.consensus import Rules
from p2penergy.messages import Block


class TwoFPlusOne(Rules):
    def quorum(self, n: int) -> int:
        return 2 * self.faulty_max(n) + 1


class QuorumLessOne(Rules):
    def quorum(self, n: int) -> int:
        return super().quorum(n) - 1


class FirstFromLocalCommit(Rules):
    def first_slot(self, parent_slot: int, commit_slot: int) -> int:
        return max(parent_slot, commit_slot) + 1


class Rewrites(Rules):
    def reproposed(self, block: Block, slot: int, proposer: bytes) -> Block:
        header = msgspec.structs.replace(block.header, slot=slot, proposer=proposer)
        return msgspec.structs.replace(block, header=header)


def halves(n: int, rules: Rules) -> Network:
    """Both halves of a network at work, with no link between them."""
    network = Network(n, rules=rules)
    side = {node.id: i < n // 2 for i, node in enumerate(network.nodes)}
    network.policy = lambda source, target, _: (10,) if side[source] == side[target] else ()
    network.start()
    for slot in range(1, 13):
        network.run_to_slot(slot)
        for node in network.nodes:
            node.submit(b"tx %d of %d" % (slot, side[node.id]))
    return network


@pytest.mark.parametrize(("n", "wrong"), [(6, TwoFPlusOne()), (4, QuorumLessOne()), (2, QuorumLessOne())])
def test_a_smaller_quorum_forks_a_halved_network(n: int, wrong: Rules) -> None:
    assert halves(n, Rules()).heights == [0] * n
    with pytest.raises(AssertionError, match="AGREEMENT"):
        halves(n, wrong)


def test_first_from_the_local_commit_lets_nodes_disagree_about_views() -> None:
    for rules, agree in ((Rules(), True), (FirstFromLocalCommit(), False)):
        firsts = set()
        for slot in (2, 5):
            bench = Bench(leads=4, rules=rules).at(slot)
            bench.decide(2)
            firsts.add(bench.node.replica.first)
        assert (len(firsts) == 1) is agree


def prepared_but_not_decided(rules: Rules) -> Network:
    """Everybody prepares in view 1, no COMMIT arrives; view 2 must bring that very block."""
    network = Network(4, rules=rules)
    network.policy = lambda _s, _t, message: (
        () if type(message).__name__ == "Commit" and network.slot == 1 else (10,)
    )
    network.start()
    network.run_to_slot(1)
    network.submit_everywhere(b"tx")
    network.run_to_slot(3)
    return network


def test_a_prepared_block_is_decided_as_it_was() -> None:
    network = prepared_but_not_decided(Rules())
    decision = network.nodes[0].decisions[0]
    assert (decision.view, decision.block.header.slot) == (2, 1)
    assert network.heights == [1] * 4
    assert prepared_but_not_decided(Rewrites()).heights == [0] * 4
