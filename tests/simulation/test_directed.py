"""Attacks and wrong rules that need a schedule made on purpose (CONSENSUS section 12)."""

from dataclasses import replace
from functools import partial

import msgspec
import mutants
import pytest

from p2penergy.consensus.effects import Effects, Pending, Received, Restored
from p2penergy.consensus.replica import Replica
from p2penergy.consensus.rules import Rules
from p2penergy.messages import Commit, Message, Prepare, PrePrepare, decode_message, encode
from p2penergy.signing import check_message
from p2penergy.simulation.arbiter import Timetable
from p2penergy.simulation.counter import ADD, CounterApplication, hash_chain, transaction
from p2penergy.simulation.network import VirtualNetwork
from p2penergy.simulation.node import SimNode
from p2penergy.simulation.plans import draw_plan, profile_named
from p2penergy.simulation.runner import Run
from p2penergy.simulation.settings import T0_MS, Settings, make_genesis
from p2penergy.simulation.signatures import member_of

SETTINGS = Settings(members=4)
GENESIS = make_genesis(SETTINGS)
RING = SETTINGS.ring()
TABLE = Timetable(GENESIS.consensus)


class Bench:
    """Four cores without a network: the test carries every message itself."""

    def __init__(self, rules: type[Rules] = Rules) -> None:
        self.applications = [CounterApplication(GENESIS) for _ in range(4)]
        self.replicas = [
            Replica(
                RING.signers[member],
                GENESIS,
                self.applications[member],
                hash_chain(member),
                RING.checker,
                Restored(),
                rules=rules(),
            )
            for member in range(4)
        ]
        for replica in self.replicas:
            replica.start(T0_MS + 500)

    def leader(self, view: int) -> int:
        return member_of(self.replicas[0].leader(1, view))

    def others(self, view: int) -> list[int]:
        return [member for member in range(4) if member != self.leader(view)]

    def propose(self, view: int, now_ms: int) -> PrePrepare:
        leader = self.leader(view)
        self.applications[leader].submit(transaction(ADD, 1))
        effects = self.replicas[leader].step(Pending(), now_ms)
        return next(send.message for send in effects.send if isinstance(send.message, PrePrepare))

    def give(self, member: int, message: Message, now_ms: int) -> Effects:
        raw = encode(message)
        checkable, keys = self.replicas[member].checkable(message)
        verified = check_message(checkable, raw, GENESIS.chain_id, keys, RING.checker)
        return self.replicas[member].step(Received(verified, message.sender), now_ms)  # type: ignore[union-attr]

    def sign(self, member: int, message: Commit | Prepare) -> Commit | Prepare:
        signed = RING.signers[member].sign(message.signed_bytes(GENESIS.chain_id))
        return msgspec.structs.replace(message, signature=signed)


def _prepares(effects: Effects) -> list[Prepare]:
    return [send.message for send in effects.send if isinstance(send.message, Prepare)]


@pytest.mark.parametrize(("rules", "votes"), [(Rules, 1), (mutants.NoSecondLook, 0)])
def test_a_proposal_that_comes_before_its_view_is_voted_for_on_entry(rules: type[Rules], votes: int) -> None:
    bench = Bench(rules)
    start_ms = TABLE.starts_ms(1)
    proposal = bench.propose(1, start_ms)
    late_clock_ms = start_ms - SETTINGS.eps_ms // 2
    effects = bench.give(bench.others(1)[0], proposal, late_clock_ms)
    assert len(_prepares(effects)) == votes


@pytest.mark.parametrize(("rules", "decided"), [(Rules, 0), (mutants.CommitsMixedOverViews, 1)])
def test_commits_of_four_views_for_one_block_decide_nothing(rules: type[Rules], decided: int) -> None:
    bench = Bench(rules)
    proposal = bench.propose(1, TABLE.starts_ms(1))
    target = bench.others(1)[0]
    bench.give(target, proposal, TABLE.starts_ms(1) + 1)
    heights = 0
    for view, member in enumerate([m for m in range(4) if m != target], start=1):
        commit = Commit(RING.signers[member].participant_id, 1, view, proposal.digest, bytes(64))
        effects = bench.give(target, bench.sign(member, commit), TABLE.starts_ms(1) + 2)
        heights += len(effects.decided)
    assert heights == decided


class ForgetsToVerifyFirst(SimNode):
    """A driver that takes note of (sender, type, height, view) before it has checked the signature."""

    def _consensus(self, message: Message, raw: bytes, source: SimNode) -> None:
        noted: set[tuple[object, ...]] = self.__dict__.setdefault("noted", set())
        key = (type(message), *(getattr(message, name, None) for name in ("sender", "height", "view")))
        if isinstance(message, PrePrepare | Prepare | Commit):
            if key in noted:
                return
            noted.add(key)
        super()._consensus(message, raw, source)


@pytest.mark.parametrize(("driver", "ok"), [(SimNode, True), (ForgetsToVerifyFirst, False)])
def test_a_forged_copy_hides_nothing_from_a_driver_that_verifies_first(
    driver: type[SimNode], ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2penergy.simulation.world.SimNode", driver)
    plan = replace(draw_plan(2, 4, profile_named("calm")), safety_slots=8)
    run = Run(plan)
    _forge_everything(run)
    result = run.execute()
    assert result.ok is ok, result.sentence


def _forge_everything(run: Run) -> None:
    """Before every genuine vote arrives, the same one arrives with another's signature."""
    world = run.world
    original = VirtualNetwork.send

    def send(
        self: VirtualNetwork, source: int, target: int, kind: str, slot: int, raw: bytes, extra_ms: int = 0
    ) -> None:
        message = decode_message(raw)
        if isinstance(message, PrePrepare | Prepare | Commit):
            forged = encode(msgspec.structs.replace(message, signature=bytes(64)))
            world.nodes[target].deliver(world.nodes[source], forged)
        original(self, source, target, kind, slot, raw, extra_ms)

    world.network.send = send.__get__(world.network)  # type: ignore[method-assign]


@pytest.mark.parametrize("chain_in_signatures", [True, False])
def test_votes_of_another_chain_with_the_same_keys_are_no_votes(chain_in_signatures: bool) -> None:
    frames = _frames_of_another_chain(chain_in_signatures)
    run = Run(draw_plan(3, 4, profile_named("calm")), _factory(chain_in_signatures))
    if not chain_in_signatures:
        _forget_the_chain(run)
    world = run.world
    for moment_ms, source, target, raw in frames:
        world.at(moment_ms, partial(world.nodes[target].deliver, world.nodes[source], raw))
    result = run.execute()
    if chain_in_signatures:
        assert result.ok, result.sentence
        assert sum(node.refused["bad_signature"] for node in world.nodes) > 0
    else:
        assert result.violation == "forgery"


def _factory(chain_in_signatures: bool):  # type: ignore[no-untyped-def]
    return mutants.factory(Rules if chain_in_signatures else mutants.NoChainInSignatures)


def _forget_the_chain(run: Run) -> None:
    """The wrong rule in the drivers and judges as well, so that only its harm is seen."""
    run.world.chain_id = bytes(32)
    run.world.watch.oracle._chain_id = bytes(32)


def _frames_of_another_chain(chain_in_signatures: bool) -> list[tuple[int, int, int, bytes]]:
    plan = draw_plan(4, 4, profile_named("calm"))
    run = Run(
        replace(plan, settings=replace(plan.settings, community="another")), _factory(chain_in_signatures)
    )
    if not chain_in_signatures:
        _forget_the_chain(run)
    frames: list[tuple[int, int, int, bytes]] = []
    world, original = run.world, run.world.network._post

    def post(source: int, target: int, delay_ms: int, raw: bytes) -> None:
        frames.append((world.now_ms + delay_ms, source, target, raw))
        original(source, target, delay_ms, raw)

    world.network._post = post
    run.execute()
    return frames
