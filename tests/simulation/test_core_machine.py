"""Hypothesis looks for schedules by itself: rules are what a network, a disk and a liar may do."""

from collections.abc import Callable

import msgspec
import mutants
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from p2penergy.consensus.rules import Rules
from p2penergy.messages import Commit, Prepare, PrePrepare, ViewChange, decode_message, encode
from p2penergy.simulation.counter import ADD, transaction
from p2penergy.simulation.node import CrashOrder, SimNode
from p2penergy.simulation.oracle import ViolationError
from p2penergy.simulation.plans import CRASH_ACTIONS
from p2penergy.simulation.settings import Settings
from p2penergy.simulation.world import World

MEMBERS = 4
LIAR = 3
FRAMES_HELD_MAX = 400

members = st.integers(0, MEMBERS - 1)
correct = st.integers(0, MEMBERS - 2)


class CoreMachine(RuleBasedStateMachine):
    """Four cores; every frame lies in a bag until Hypothesis delivers, copies or loses it."""

    wrong: type[Rules] = Rules

    def __init__(self) -> None:
        super().__init__()
        factory = mutants.factory(self.wrong)
        self.world = World(0, Settings(members=MEMBERS), {LIAR: [SimNode]}, factory)
        self.bag: list[tuple[int, int, bytes]] = []
        self.world.network._post = self._post
        self.number = 0

    def _post(self, source: int, target: int, delay_ms: int, raw: bytes) -> None:
        if len(self.bag) < FRAMES_HELD_MAX:
            self.bag.append((source, target, raw))

    @initialize()
    def begin(self) -> None:
        for node in self.world.nodes:
            node.start()
        self._pass(1_000)

    def _pass(self, wait_ms: int) -> None:
        self.world.run_until(self.world.now_ms + wait_ms)

    def _deliver(self, index: int) -> None:
        source, target, raw = self.bag.pop(index % len(self.bag))
        self.world.nodes[target].deliver(self.world.nodes[source], raw)

    @rule(wait_ms=st.sampled_from([1, 30, 100, 400, 960, 1000, 1040]))
    def time_passes(self, wait_ms: int) -> None:
        self._pass(wait_ms)

    @rule(count=st.integers(1, 60), last_first=st.booleans())
    def frames_arrive(self, count: int, last_first: bool) -> None:
        for _ in range(min(count, len(self.bag))):
            self._deliver(-1 if last_first else 0)

    @rule(index=st.integers(0, FRAMES_HELD_MAX))
    def one_frame_arrives(self, index: int) -> None:
        if self.bag:
            self._deliver(index)

    @rule(index=st.integers(0, FRAMES_HELD_MAX))
    def a_frame_is_doubled(self, index: int) -> None:
        if self.bag:
            self.bag.append(self.bag[index % len(self.bag)])

    @rule(index=st.integers(0, FRAMES_HELD_MAX), count=st.integers(1, 20))
    def frames_are_lost(self, index: int, count: int) -> None:
        del self.bag[index : index + count]

    @rule(member=correct, kind=st.sampled_from([PrePrepare, Prepare, Commit, ViewChange]))
    def a_link_is_dead_for_one_type(self, member: int, kind: type) -> None:
        self.bag = [
            frame
            for frame in self.bag
            if frame[1] != member or not isinstance(decode_message(frame[2]), kind)
        ]

    @rule(member=members)
    def a_client_asks(self, member: int) -> None:
        self.number += 1
        raw = transaction(ADD, self.number)
        self.world.submitted.append(raw)
        self.world.nodes[member].request((raw,))

    @rule(member=members)
    def a_process_ends(self, member: int) -> None:
        self.world.nodes[member].crash(None)

    @rule(member=members, action=st.sampled_from(CRASH_ACTIONS), survives=st.booleans())
    def a_process_will_end_at_a_boundary(self, member: int, action: str, survives: bool) -> None:
        self.world.nodes[member].crash_order = CrashOrder(action, 1, 50, survives)

    @rule(member=members)
    def a_process_comes_back(self, member: int) -> None:
        self.world.nodes[member].start()

    @rule(
        view=st.integers(0, 2),
        digest=st.sampled_from([b"\1" * 32, None]),
        make=st.sampled_from([Prepare, Commit]),
        to=st.sets(correct, min_size=1),
    )
    def the_liar_votes(
        self, view: int, digest: bytes | None, make: Callable[..., Prepare | Commit], to: set[int]
    ) -> None:
        height, at, known = self._heard()
        signer = self.world.signer(LIAR)
        vote = make(signer.participant_id, height, at + view, digest or known, bytes(64))
        signed = msgspec.structs.replace(vote, signature=signer.sign(vote.signed_bytes(self.world.chain_id)))
        self.bag.extend((LIAR, target, encode(signed)) for target in sorted(to))

    @rule(view=st.integers(0, 2), to=st.sets(correct, min_size=1))
    def the_liar_denies_what_it_prepared(self, view: int, to: set[int]) -> None:
        height, at, _ = self._heard()
        signer = self.world.signer(LIAR)
        change = ViewChange(signer.participant_id, height, at + view, None, None, bytes(64))
        signed = msgspec.structs.replace(
            change, signature=signer.sign(change.signed_bytes(self.world.chain_id))
        )
        self.bag.extend((LIAR, target, encode(signed)) for target in sorted(to))

    def _heard(self) -> tuple[int, int, bytes]:
        """Height and view of the liveliest node, and a digest that is in the air."""
        cores = [node.replica for node in self.world.nodes if node.replica is not None]
        height = max((core.height for core in cores), default=1)
        view = max((core.view for core in cores if core.height == height), default=1)
        for _, _, raw in self.bag:
            message = decode_message(raw)
            if isinstance(message, PrePrepare | Prepare | Commit) and message.height == height:
                return height, view, message.digest
        return height, view, b"\2" * 32

    @invariant()
    def nobody_holds_more_than_the_bound(self) -> None:
        for node in self.world.nodes:
            if node.replica is not None:
                assert all(held.is_within for held in node.replica.held), node.replica.held


class WrongQuorumMachine(CoreMachine):
    wrong = mutants.QuorumLessOne


SEARCH = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_schedule_of_the_machine_breaks_an_invariant() -> None:
    # The judges of the world raise `ViolationError` from within a rule.
    run_state_machine_as_test(CoreMachine, settings=SEARCH)


def test_the_machine_finds_a_wrong_quorum_by_itself() -> None:
    with pytest.raises(ViolationError):
        run_state_machine_as_test(WrongQuorumMachine, settings=settings(SEARCH, phases=[Phase.generate]))
