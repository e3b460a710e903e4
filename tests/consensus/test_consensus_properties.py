"""Random schedules: agreement, one chain, monotone votes, COMMIT only after PC, progress after healing.

The harness' `Judge` asserts the invariants of CONSENSUS section 10 at every step; here are the
adversaries and the demand for progress.
"""

from collections.abc import Iterable
from random import Random

import pytest
from consensus_harness import DELTA_MS, Network, participant
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy.messages import Message

SLOTS_OF_TROUBLE = 12
HEALED_SLOTS = 30


class Trouble:
    """Masks per (slot, message type, link), random loss, delay and copies."""

    def __init__(self, network: Network, random: Random) -> None:
        self.network, self.random = network, random
        self.masked = random.choice([0.0, 0.2, 0.5])
        self.lost = random.choice([0.0, 0.1, 0.3])
        self.delay_ms_max = random.choice([DELTA_MS, 500, 1500])
        self.masks: dict[tuple[int, str, bytes, bytes], bool] = {}

    def __call__(self, source: bytes, target: bytes, message: Message) -> Iterable[int]:
        key = (self.network.slot, type(message).__name__, source, target)
        if self.masks.setdefault(key, self.random.random() < self.masked):
            return ()
        if self.random.random() < self.lost:
            return ()
        copies = 2 if self.random.random() < 0.1 else 1
        return [self.random.randint(1, self.delay_ms_max) for _ in range(copies)]


def trouble(network: Network, random: Random, faulty: int) -> None:
    """Slots of crashes, restarts and clock steps of correct nodes, under a bad network."""
    network.policy = Trouble(network, random)
    correct = network.correct
    for slot in range(1, SLOTS_OF_TROUBLE):
        network.run_to_slot(slot, random.randint(0, 900))
        victim = random.choice(correct)
        match random.randint(0, 6):
            case 0 if sum(not node.up for node in correct) < faulty:
                victim.stop()
            case 1:
                victim.crash = random.choice(["before_persist", "before_send"])
            case 2:
                victim.clock_offset_ms = random.choice([-1500, -20, 20, 1500, 4000])
            case 3:
                network.submit_everywhere(b"tx %d" % slot)
            case _:
                victim.submit(b"tx of one %d" % slot)
        for node in correct:
            if not node.up and random.random() < 0.5:
                node.restart()


def heal_and_demand_progress(network: Network) -> None:
    for node in network.nodes:
        node.clock_offset_ms, node.crash = 0, None
    network.policy = lambda *_: (10,)
    for node in network.correct:
        if not node.up:
            node.restart()
    # A clock that ran ahead within a height is not set back: give it time to be caught up with.
    network.run_slots(10)
    before = max(node.replica.tip_height for node in network.correct)
    for step in range(HEALED_SLOTS):
        network.submit_everywhere(b"after %d" % step)
        network.run_slots(1)
    after = [node.replica.tip_height for node in network.correct]
    assert min(after) >= before + HEALED_SLOTS // 4, (before, after)
    assert max(after) - min(after) <= 1
    for node in network.correct:
        assert {b"after %d" % step for step in range(HEALED_SLOTS - 12)} <= node.application.states[-1].done


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_correct_nodes_agree_and_go_on(n: int, seed: int) -> None:
    random = Random(seed)
    network = Network(n)
    network.start()
    trouble(network, random, faulty=(n - 1) // 3)
    heal_and_demand_progress(network)


@pytest.mark.parametrize("n", [4, 7])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_twins_do_not_split_the_chain(n: int, seed: int) -> None:
    random = Random(seed)
    network = Network(n)
    for i in random.sample(range(n), (n - 1) // 3):
        second = {j for j in range(n) if random.random() < 0.5}
        twin = network.add_twin(i, set(range(n)) - second, second)
        twin.application.pending[b"of the twin %d" % i] = None
    network.start()
    trouble(network, random, faulty=0)
    heal_and_demand_progress(network)
    assert participant(0) in network.by_id
