"""What a node must never have signed, found in its own store."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_chain import SmallChain, signers

from p2penergy.audit import audit
from p2penergy.consensus.effects import BlockRecord, PreparedRecord, ViewRecord
from p2penergy.messages import Commit, Prepare, PrePrepare, ViewChange, VoteKind, encode

NOTHING = bytes(64)
replace = msgspec.structs.replace


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "home")
    chain.grow(2)
    return chain


def found(chain: SmallChain) -> list[str]:
    chain.close(undecided=False)
    return [str(each) for each in audit(chain.home).ledgers[0].findings]


def prepare(chain: SmallChain, view: int, **changes: Any) -> Any:
    vote = Prepare(chain.owner.participant_id, 3, view, bytes(32), NOTHING)
    return chain.signed(replace(vote, **changes))


def test_honest_votes_above_the_tip_are_clean(chain: SmallChain) -> None:
    view = chain.chain.schedule.first
    change = chain.signed(ViewChange(chain.owner.participant_id, 3, view + 2, None, None, NOTHING))
    records = [chain.vote_record(each) for each in (prepare(chain, view), change, prepare(chain, view + 2))]
    chain.store.persist_now([*records, ViewRecord(3, view + 3)])
    assert found(chain) == []


def test_a_vote_below_a_view_that_was_left(chain: SmallChain) -> None:
    view = chain.chain.schedule.first
    change = chain.signed(ViewChange(chain.owner.participant_id, 3, view + 2, None, None, NOTHING))
    chain.store.persist_now([chain.vote_record(change), chain.vote_record(prepare(chain, view + 1))])
    assert (
        f"table votes, height 3, kind 2, view {view + 1}: signed after the node had entered view {view + 2}"
        in (found(chain))
    )


def test_a_view_below_a_vote(chain: SmallChain) -> None:
    view = chain.chain.schedule.first
    chain.store.persist_now([ViewRecord(3, view), chain.vote_record(prepare(chain, view + 2))])
    assert any("table views, height 3: view" in each for each in found(chain))


def test_a_vote_that_somebody_else_signed(chain: SmallChain) -> None:
    view = chain.chain.schedule.first
    vote = replace(prepare(chain, view), signature=NOTHING)
    chain.store.persist_now([chain.vote_record(vote)])
    assert any("its signature does not hold" in each for each in found(chain))


def test_votes_of_two_members_in_one_store(chain: SmallChain) -> None:
    other = signers()[1]
    vote = Prepare(other.participant_id, 3, chain.chain.schedule.first, bytes(32), NOTHING)
    chain.store.persist_now([chain.vote_record(chain.signed(vote, other))])
    assert any(f"sent by {other.participant_id.hex()}, the others by" in each for each in found(chain))


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"kind": VoteKind.COMMIT}, "column kind: the message is a Prepare"),
        ({"slot": 1}, "column slot: view"),
        ({"digest": b"\1" * 32}, "column digest: not the message's"),
        ({"message": b"\0"}, "column message: not a message"),
        ({"view": 99}, "column view: the message is for height 3"),
    ],
)
def test_columns_that_do_not_fit_the_message(
    chain: SmallChain, changes: dict[str, Any], finding: str
) -> None:
    record = chain.vote_record(prepare(chain, chain.chain.schedule.first))
    fields = {name: getattr(record, name) for name in type(record).__slots__}
    chain.store.persist_now([type(record)(**(fields | changes))])
    findings = found(chain)
    assert any(finding in each for each in findings), findings


def test_a_message_that_is_no_vote(chain: SmallChain) -> None:
    record = chain.vote_record(prepare(chain, chain.chain.schedule.first))
    fields = {name: getattr(record, name) for name in type(record).__slots__}
    block = chain.chain.tip
    assert block is not None
    message = encode(chain.signed(Commit(chain.owner.participant_id, 2, 1, bytes(32), NOTHING)))
    status = b"\x93\x07\x01\x01"
    for kind, data in ((VoteKind.PREPARE, message), (VoteKind.COMMIT, status)):
        chain.store.persist_now([type(record)(**(fields | {"kind": kind, "message": data}))])
    findings = found(chain)
    assert any("column kind: the message is a Commit" in each for each in findings), findings
    assert any("column kind: no such kind of vote" in each for each in findings), findings


def test_a_proposal_for_a_view_that_it_does_not_lead(chain: SmallChain) -> None:
    name = chain.owner.participant_id
    known = chain.build([])
    schedule = chain.chain.schedule
    view = next(v for v in range(schedule.first, schedule.first + 4) if schedule.leader(v) != name)
    vote = chain.signed(PrePrepare(name, 3, view, known.digest, NOTHING, known.raw, (), None))
    chain.store.persist_now([chain.vote_record(vote)])
    assert any("which it does not lead" in each for each in found(chain))


def test_a_proposal_of_another_block_than_was_signed(chain: SmallChain) -> None:
    name = chain.owner.participant_id
    known = chain.build([])
    schedule = chain.chain.schedule
    view = next(v for v in range(schedule.first, schedule.first + 4) if schedule.leader(v) == name)
    vote = chain.signed(PrePrepare(name, 3, view, bytes(32), NOTHING, known.raw, (), None))
    chain.store.persist_now([chain.vote_record(vote)])
    assert any("the block is not the one that was signed" in each for each in found(chain))


@pytest.mark.parametrize("spoil", [b"\0", b""])
def test_a_proposal_whose_block_is_damaged(chain: SmallChain, spoil: bytes) -> None:
    name = chain.owner.participant_id
    known = chain.build([])
    # The signature covers the digest, so that the body behind it is damaged without breaking it.
    block = spoil or encode(replace(known.block, transactions=(b"other",)))
    schedule = chain.chain.schedule
    view = next(v for v in range(schedule.first, schedule.first + 4) if schedule.leader(v) == name)
    vote = chain.signed(PrePrepare(name, 3, view, known.digest, NOTHING, block, (), None))
    chain.store.persist_now([chain.vote_record(vote)])
    assert any("the block is not the one that was signed" in each for each in found(chain))


def test_a_view_change_with_a_certificate_that_proves_nothing(chain: SmallChain) -> None:
    first = chain.chain.schedule.first
    digest = bytes(32)
    weak = chain.certificate(VoteKind.PREPARE, 3, first, digest, count=2)
    change = ViewChange(chain.owner.participant_id, 3, first + 1, first, digest, NOTHING, weak)
    chain.store.persist_now([chain.vote_record(chain.signed(change))])
    assert any("its certificate: 2 members signed it" in each for each in found(chain))


@pytest.mark.parametrize(
    ("view", "count", "finding"),
    [(0, 2, "2 members signed it"), (1, 3, "it is for another view or block")],
)
def test_a_prepared_certificate_that_proves_nothing(
    chain: SmallChain, view: int, count: int, finding: str
) -> None:
    first = chain.chain.schedule.first
    certificate = chain.certificate(VoteKind.PREPARE, 3, first, bytes(32), count=count)
    chain.store.persist_now([PreparedRecord(3, first + view, bytes(32), encode(certificate))])
    assert any(each.startswith("table prepared, height 3") and finding in each for each in found(chain))


def test_a_prepared_certificate_that_is_none(chain: SmallChain) -> None:
    chain.store.persist_now([PreparedRecord(3, 3, bytes(32), b"\0")])
    assert any(
        "table prepared, height 3: column certificate: not a certificate" in each for each in found(chain)
    )


@pytest.mark.parametrize("data", [b"\0", None])
def test_an_undecided_block_that_does_not_fit_its_digest(chain: SmallChain, data: bytes | None) -> None:
    chain.store.persist_now([BlockRecord(3, b"\1" * 32, data or chain.build([]).raw)])
    assert "table blocks, height 3, undecided: it does not fit its digest" in found(chain)
