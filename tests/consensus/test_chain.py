"""CONSENSUS section 3: every field of a block's header, and section 9: committees named in advance."""

from typing import Any

import msgspec
import pytest
from consensus_bench import Bench
from consensus_harness import Network, participant

from p2penergy.blocks import InvalidBlockError
from p2penergy.consensus import Rules
from p2penergy.consensus.chain import FAULTS_REMEMBERED_MAX, Chain
from p2penergy.consensus.errors import InvariantError
from p2penergy.messages import Block, Stage, certificate_digest, encode, header_digest


@pytest.fixture
def bench() -> Bench:
    bench = Bench().at(1)
    bench.decide(1, b"first")
    return bench


def code_of(chain: Chain, block: Block) -> str:
    with pytest.raises(InvalidBlockError) as caught:
        chain.check(encode(block), header_digest(block.header))
    return caught.value.code


def changed(block: Block, **fields: Any) -> Block:
    return msgspec.structs.replace(block, header=msgspec.structs.replace(block.header, **fields))


def test_a_built_block_is_valid_and_names_its_parent(bench: Bench) -> None:
    chain, known = bench.chain(), bench.block(2, b"second")
    assert chain.check(known.raw, known.digest).digest == known.digest
    header = known.block.header
    assert (header.height, header.parent, header.slot) == (2, chain.tip_digest, 2)
    assert known.block.parent_certificate == chain.tip_certificate


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("version", 2, "block_version"),
        ("chain_id", bytes(32), "block_chain_id"),
        ("height", 3, "block_height"),
        ("parent", bytes(32), "block_parent"),
        ("slot", 1, "block_slot"),
        ("slot", 3, "block_proposer"),
        ("proposer", participant(77), "block_proposer"),
        ("stage", Stage.VERIFICATION, "block_stage"),
        ("next_stage", Stage.VERIFICATION, "block_next_stage"),
        ("committee_root", bytes(32), "block_committee_root"),
        ("verification_root", bytes(32), "block_next_committee_roots"),
        ("validation_root", bytes(32), "block_next_committee_roots"),
        ("transactions_root", bytes(32), "block_transactions_root"),
        ("parent_certificate_digest", bytes(32), "block_parent_certificate_digest"),
        ("receipts_root", bytes(32), "block_receipts_root"),
        ("state_root", bytes(32), "block_state_root"),
    ],
)
def test_every_field_of_the_header_is_checked(bench: Bench, field: str, value: Any, code: str) -> None:
    assert code_of(bench.chain(), changed(bench.block(2, b"tx").block, **{field: value})) == code


def test_the_reveal_draws_the_committees_and_is_the_applications_to_judge(bench: Bench) -> None:
    block = changed(bench.block(2, b"tx").block, reveal=bytes(32))
    # Of the few orders of four members the wrong reveal may draw the right one.
    assert code_of(bench.chain(), block) in {"block_next_committee_roots", "wrong_reveal"}


def test_the_application_judges_the_transactions(bench: Bench) -> None:
    block = bench.block(2, b"tx").block
    bad = msgspec.structs.replace(block, transactions=(b"bad",))
    assert code_of(bench.chain(), bad) == "block_transactions_root"
    bench.node.application.states[-1] = msgspec_free_replace(bench, done=frozenset([b"tx"]))
    assert code_of(bench.chain(), block) == "bad_transaction"


def msgspec_free_replace(bench: Bench, **fields: Any) -> Any:
    state = bench.node.application.states[-1]
    values = {name: getattr(state, name) for name in state.__dataclass_fields__} | fields
    return type(state)(**values)


def test_bytes_that_are_no_block_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidBlockError) as caught:
        bench.chain().check(b"nonsense", bytes(32))
    assert caught.value.code == "block_malformed"


def test_another_block_than_the_one_named_is_not_executed(bench: Bench) -> None:
    chain, known = bench.chain(), bench.block(2)
    executions = bench.node.application.executions
    with pytest.raises(InvalidBlockError) as caught:
        chain.check(known.raw, bytes(32))
    assert caught.value.code == "block_digest"
    assert bench.node.application.executions == executions


def test_a_block_that_does_not_execute_is_executed_once(bench: Bench) -> None:
    # The longest block that a leader can make, sent again and again, must not keep everybody busy.
    chain, application = bench.chain(), bench.node.application
    bad = changed(bench.block(2, b"tx").block, state_root=bytes(32))
    executions = application.executions
    assert [code_of(chain, bad) for _ in range(3)] == ["block_state_root"] * 3
    assert application.executions == executions + 1
    # What a body can't vouch for says nothing of the block that the digest names.
    good = bench.block(2, b"tx")
    stripped = msgspec.structs.replace(good.block, transactions=())
    assert code_of(chain, stripped) == "block_transactions_root"
    assert chain.check(good.raw, good.digest).digest == good.digest
    for slot in range(2 * FAULTS_REMEMBERED_MAX):
        code_of(chain, changed(bad, period=slot))
    assert len(chain._faults) == FAULTS_REMEMBERED_MAX


def with_certificate(block: Block, certificate: Any) -> Block:
    header = msgspec.structs.replace(block.header, parent_certificate_digest=certificate_digest(certificate))
    return msgspec.structs.replace(block, header=header, parent_certificate=certificate)


def test_the_body_carries_a_certificate_of_the_parent(bench: Bench) -> None:
    chain, block = bench.chain(), bench.block(2).block
    good = chain.tip_certificate
    assert good is not None
    replace = msgspec.structs.replace
    thin = replace(good, votes=good.votes[:2])
    doubled = replace(good, votes=(good.votes[0], *good.votes[:2]))
    forged = replace(good, votes=((good.votes[0][0], bytes(64)), *good.votes[1:]))
    of_another_view = replace(good, view=good.view + 1)
    for certificate in (None, thin, doubled, forged, of_another_view, replace(good, height=2)):
        assert code_of(chain, with_certificate(block, certificate)) == "block_parent_certificate"


def test_any_certificate_of_the_parent_will_do(bench: Bench) -> None:
    from consensus_harness import certificate

    from p2penergy.messages import VoteKind

    chain, block = bench.chain(), bench.block(2).block
    other = certificate(VoteKind.COMMIT, bench.members, 1, 1, chain.tip_digest, bench.chain_id)
    assert other != chain.tip_certificate
    again = with_certificate(block, other)
    chain.check(encode(again), header_digest(again.header))


def test_block_1_has_no_certificate() -> None:
    bench = Bench().at(1)
    block = bench.block(1).block
    assert block.parent_certificate is None
    proof = bench.cc(1, bytes(32))
    assert code_of(bench.chain(), with_certificate(block, proof)) == "block_parent_certificate"


def test_committees_are_named_l_blocks_ahead_and_follow_the_pool() -> None:
    network = Network(5, spare=1).start()
    joining, leaving = network.nodes[5], network.nodes[0]
    named: dict[int, bytes] = {}
    for slot in range(1, 12):
        network.run_to_slot(slot)
        extra = {3: b"join:" + joining.id, 4: b"leave:" + leaving.id}.get(slot, b"tx %d" % slot)
        network.submit_everywhere(extra)
        network.run_to_slot(slot, 900)
        for node in network.nodes:
            replica = node.replica
            tip = node.decisions[-1].block.header
            named[tip.height + 2] = tip.validation_root
            if replica.height in named:
                assert replica.committee(replica.height).root == named[replica.height]
    assert network.heights == [11] * 6
    members = network.nodes[1].replica.committee(12).members
    assert joining.id in members
    assert leaving.id not in members


def test_a_stage_without_volunteers_is_never_chosen() -> None:
    bench = Bench()
    application = bench.node.application
    application.states[0] = msgspec_free_replace(bench, next_stage=Stage.VALIDATION)
    draft = application.draft

    def wants_verification(*args: Any) -> Any:
        return msgspec_replace(draft(*args))

    def msgspec_replace(value: Any) -> Any:
        from dataclasses import replace

        return replace(value, next_stage=Stage.VERIFICATION)

    application.draft = wants_verification  # type: ignore[method-assign]
    assert bench.block(1).block.header.next_stage is Stage.VALIDATION


def test_a_ledger_of_another_height_is_a_broken_invariant(bench: Bench) -> None:
    from consensus_harness import FakeApplication, FakeChecker

    genesis = bench.network.genesis
    tip = bench.node.store.restored().tip
    with pytest.raises(InvariantError, match="the ledger is at height 0"):
        Chain(genesis, FakeApplication(genesis), FakeChecker(), Rules(), tip)


def test_an_own_draft_that_does_not_execute_is_given_up_for_an_empty_one(bench: Bench) -> None:
    block = bench.block(2, b"bad")
    assert block.block.transactions == ()
    assert not bench.node.application.pending
    assert bench.node.replica.counters["drafts_given_up"] == 0, "counted where a leader proposes"
    assert bench.block(2, b"tx").block.transactions == (b"tx",)


def test_an_empty_draft_that_does_not_execute_halts_the_node(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: object) -> None:
        raise InvalidBlockError("broken", "this ledger executes nothing")

    monkeypatch.setattr(type(bench.node.application), "execute", refuses)
    with pytest.raises(InvariantError, match="refuses its own draft: broken"):
        bench.block(2, b"tx")


@pytest.mark.parametrize("lag_blocks", [1, 2, 3])
@pytest.mark.parametrize("settle_blocks", [0, 4])
def test_committees_for_any_lag(lag_blocks: int, settle_blocks: int) -> None:
    network = Network(4, spare=1, lag_blocks=lag_blocks, settle_blocks=settle_blocks).start()
    for slot in range(1, 14):
        network.run_to_slot(slot)
        network.submit_everywhere(b"join:" + network.nodes[4].id if slot == 3 else b"tx %d" % slot)
    network.run_slots(1)
    network.nodes[0].restart()
    network.run_slots(1)
    assert network.heights == [13] * 5
    assert network.nodes[0].replica.committee(14).n == 5


def test_each_stage_has_its_own_committee() -> None:
    network = Network(7)
    for node in network.nodes:
        node.application.verifiers = tuple(sorted(participant(i) for i in range(4)))
    network.start()
    for slot in range(1, 12):
        network.run_to_slot(slot)
        network.submit_everywhere(b"verify" if slot == 4 else b"tx %d" % slot)
    network.run_slots(1)
    headers = [decision.block.header for decision in network.nodes[0].decisions]
    assert [header.height for header in headers if header.stage is Stage.VERIFICATION] == [5]
    certificate = network.nodes[0].decisions[4].certificate
    assert set(certificate.members()) <= {participant(i) for i in range(4)}
    assert len(set(network.heights)) == 1
    assert network.heights[0] >= 10


def test_a_block_may_not_hand_over_to_a_stage_without_volunteers(bench: Bench) -> None:
    chain, block = bench.chain(), bench.block(2).block
    assert code_of(chain, changed(block, next_stage=Stage.VERIFICATION)) == "block_next_stage"
