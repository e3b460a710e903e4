"""Every judge must speak up when what it watches over is broken: drivers and applications that cheat."""

from collections.abc import Sequence

import pytest

from p2penergy.consensus.effects import Effects
from p2penergy.messages import (
    Evidence,
    Message,
    Prepare,
    PrePrepare,
    SignedStatement,
    VoteKind,
    encode,
)
from p2penergy.simulation.counter import CounterApplication, CounterOutcome
from p2penergy.simulation.faults import Crash, Deaf
from p2penergy.simulation.node import SimNode
from p2penergy.simulation.plans import Plan, draw_plan, profile_named
from p2penergy.simulation.runner import Result, Run
from p2penergy.simulation.settings import Settings
from p2penergy.simulation.world import World

CALM = profile_named("calm")


def _run_with(node: type[SimNode], monkeypatch: pytest.MonkeyPatch, plan: Plan | None = None) -> Result:
    monkeypatch.setattr("p2penergy.simulation.world.SimNode", node)
    return Run(plan or draw_plan(1, 4, CALM)).execute()


class SendsFirst(SimNode):
    def _perform(self, effects: Effects) -> None:
        for send in effects.send:
            self.transmit(send)
        super()._perform(effects)


def test_sending_before_the_disk_has_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(SendsFirst, monkeypatch).violation == "durable first"


class ForgetsBlocks(SimNode):
    def _perform(self, effects: Effects) -> None:
        super()._perform(effects)
        self.disk.blocks.clear()


def test_voting_for_a_block_that_is_not_durable_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(ForgetsBlocks, monkeypatch).violation == "durable first"


class PutsWordsInMouths(SimNode):
    """Delivers its own PREPAREs under other members' names, with their true signatures."""

    def _consensus(self, message: Message, raw: bytes, source: SimNode) -> None:
        if isinstance(message, Prepare):
            other = (source.member + 1) % 4
            signer = self.world.signer(other)
            forged = Prepare(signer.participant_id, message.height, message.view + 1, b"\7" * 32, bytes(64))
            signature = signer.sign(forged.signed_bytes(self.world.chain_id))
            forged = Prepare(forged.sender, forged.height, forged.view, forged.digest, signature)
            super()._consensus(forged, encode(forged), self.world.nodes[other])
        super()._consensus(message, raw, source)


def test_words_that_a_correct_member_never_said_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(PutsWordsInMouths, monkeypatch).violation == "forgery"


class Accuses(SimNode):
    def _run(self, step, cause=None, starts=False):  # type: ignore[no-untyped-def]
        super()._run(step, cause, starts)
        if self.member == 0 and self.replica is not None and self.replica.height == 2:
            victim = self.world.signer(1).participant_id
            sides = [
                SignedStatement(VoteKind.PREPARE, 1, 1, bytes([n]) * 32, None, None, bytes(64))
                for n in (1, 2)
            ]
            self.world.watch.evidence(self, Evidence(victim, sides[0], sides[1]))


def test_an_accusation_of_a_correct_member_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(Accuses, monkeypatch).violation == "evidence"


class Halts(SimNode):
    """Stops working on its height for good once something was decided."""

    def _consensus(self, message: Message, raw: bytes, source: SimNode) -> None:
        if self.replica is not None and self.replica.height < 2:
            super()._consensus(message, raw, source)


def test_a_network_that_stops_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(Halts, monkeypatch).violation == "progress"


class RefusesProposals(SimNode):
    def _consensus(self, message: Message, raw: bytes, source: SimNode) -> None:
        if isinstance(message, PrePrepare):
            self.world.watch.refused(self, source, message, raw, "block_state_root")
        super()._consensus(message, raw, source)


def test_refusing_a_correct_leader_s_proposal_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run_with(RefusesProposals, monkeypatch).violation == "justified"


# ---- applications --------------------------------------------------------------------------------


class Repeats(CounterApplication):
    """Executes the same transaction in every block."""

    def executed(self, outcome: object) -> Sequence[bytes]:
        assert isinstance(outcome, CounterOutcome)
        return (b"the same again",)


class Unbalanced(CounterApplication):
    def conserved(self) -> str | None:
        return "one watt-hour too many" if self.height > 1 else None


class Forks(CounterApplication):
    """Gives another state root every time it is made: nodes and oracle disagree."""

    made = 0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        Forks.made += 1
        if Forks.made == 1:
            self._root = b"\1" * 32


@pytest.mark.parametrize(
    ("application", "violation"), [(Repeats, "once"), (Unbalanced, "conservation"), (Forks, "state root")]
)
def test_an_application_that_breaks_the_books_is_seen(
    application: type[CounterApplication], violation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2penergy.simulation.world.CounterApplication", application)
    assert Run(draw_plan(1, 4, CALM)).execute().violation == violation


# ---- runs ----------------------------------------------------------------------------------------


def test_a_run_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2penergy.simulation.world.EVENTS_MAX", 200)
    assert Run(draw_plan(1, 4, CALM)).execute().violation == "bounds"


def test_buffers_above_their_bound_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2penergy.consensus.bounds.PROPOSALS_MAX", 0)
    assert Run(draw_plan(1, 4, CALM)).execute().violation == "bounds"


@pytest.mark.parametrize("action", ["commit", "durable", "send", "sent", "decided"])
def test_a_process_ends_at_the_boundary_it_was_told_and_comes_back(action: str) -> None:
    run = Run(Plan(1, CALM, Settings(members=4), (Crash(2, 0, action, 1, 30),), 3))
    result = run.execute()
    assert result.ok, result.sentence
    assert run.world.nodes[2].incarnation == 2
    assert run.world.nodes[2].up


def test_a_member_that_nobody_hears_is_told_what_it_missed() -> None:
    links = tuple((2, seat) for seat in range(4)) + tuple((seat, 2) for seat in range(4))
    run = Run(Plan(1, CALM, Settings(members=4), (Deaf(0, 4000, links),), 3))
    result = run.execute()
    assert result.ok, result.sentence
    assert len(run.world.nodes[2].disk.decided) >= result.height - 1


def test_contracts_of_the_real_ledger_are_executed_in_simulated_blocks() -> None:
    run = Run(draw_plan(4, 4, profile_named("ledger")))
    result = run.execute()
    assert result.ok, result.sentence
    assert run.world.watch.oracle._executed


def test_a_world_counts_its_frames_and_knows_its_members() -> None:
    world = World(0, Settings(members=4))
    assert world.name_of(world.signer(3).participant_id) == "3"
    assert world.key_of(b"\xee" * 20) is None
    assert [node.name for node in world.correct_nodes()] == ["0", "1", "2", "3"]
