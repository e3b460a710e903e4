"""CONSENSUS section 4: two different statements of one member for one (type, h, v)."""

import msgspec
from consensus_bench import Bench
from consensus_harness import FakeChecker, participant, public_key

from p2penergy.conflicts import conflict
from p2penergy.consensus.evidence import Watch, signed_statement
from p2penergy.messages import Commit, Evidence, Prepare, PrePrepare, ViewChange, Vote

SIGNATURE = bytes(64)
A = participant(1)


def test_two_digests_for_one_view_are_evidence_once() -> None:
    watch = Watch()
    assert watch.note(Prepare(A, 1, 1, b"a" * 32, SIGNATURE)) is None
    evidence = watch.note(Prepare(A, 1, 1, b"b" * 32, SIGNATURE))
    assert evidence is not None
    assert (evidence.sender, evidence.first.digest, evidence.second.digest) == (A, b"a" * 32, b"b" * 32)
    assert watch.note(Prepare(A, 1, 1, b"c" * 32, SIGNATURE)) is None


def test_another_type_view_or_signature_is_no_conflict() -> None:
    watch = Watch()
    watch.note(Prepare(A, 1, 1, b"a" * 32, SIGNATURE))
    assert watch.note(Commit(A, 1, 1, b"b" * 32, SIGNATURE)) is None
    assert watch.note(Prepare(A, 1, 2, b"b" * 32, SIGNATURE)) is None
    assert watch.note(Prepare(A, 1, 1, b"a" * 32, b"\x01" * 64)) is None


def test_what_is_outside_the_signature_is_no_conflict() -> None:
    bench = Bench().at(1)
    changes = bench.bare_changes(2, 3)
    genuine = bench.pre_prepare(2, bench.block(2), changes)
    bench.deliver(msgspec.structs.replace(genuine, justification=()), genuine)
    change = bench.view_change(bench.others[0], 3)
    bench.deliver(change, msgspec.structs.replace(change, certificate=bench.pc(1, bytes(32))))
    assert not bench.node.evidence


def test_two_prepared_claims_for_one_view_are_evidence() -> None:
    watch = Watch()
    watch.note(ViewChange(A, 1, 3, None, None, SIGNATURE))
    evidence = watch.note(ViewChange(A, 1, 3, 1, b"d" * 32, SIGNATURE))
    assert evidence is not None
    assert evidence.second.prepared_view == 1


def test_memory_is_three_views_per_type() -> None:
    watch = Watch()
    for view in range(1, 6):
        watch.note(Prepare(A, 1, view, b"a" * 32, SIGNATURE))
    assert watch.note(Prepare(A, 1, 1, b"b" * 32, SIGNATURE)) is None
    assert watch.note(Prepare(A, 1, 5, b"b" * 32, SIGNATURE)) is not None


def test_an_equivocating_leader_is_reported_with_statements_that_anybody_can_check() -> None:
    bench = Bench().at(1)
    bench.deliver(bench.pre_prepare(1, bench.block(1)), bench.pre_prepare(1, bench.block(1, b"other")))
    (evidence,) = bench.node.evidence
    assert isinstance(evidence, Evidence)
    for side in (evidence.first, evidence.second):
        signed = side.signed_bytes(bench.chain_id, evidence.sender)
        assert FakeChecker().check(public_key(evidence.sender), signed, side.signature)
    assert "conflicting" in bench.refused
    bench.deliver(bench.pre_prepare(1, bench.block(1, b"third")))
    assert "duplicate" in bench.refused, "after the proof no third one costs a signature check"
    assert len(bench.node.evidence) == 1


def test_an_unjustified_proposal_is_remembered_as_a_statement() -> None:
    bench = Bench().at(1)
    bench.deliver(bench.pre_prepare(2, bench.block(2)))
    bench.deliver(bench.pre_prepare(2, bench.block(2, b"other"), bench.bare_changes(2, 3)))
    assert len(bench.node.evidence) == 1


def test_conflicts_in_messages_that_came_early_are_found_too() -> None:
    bench = Bench().at(1)
    member = bench.others[0]
    for digest in (b"a" * 32, b"b" * 32):
        vote = bench.prepare(member, 2, digest)
        from consensus_harness import signed

        bench.deliver(signed(msgspec.structs.replace(vote, height=2), bench.chain_id))
    assert not bench.node.evidence
    bench.decide(1)
    assert [evidence.sender for evidence in bench.node.evidence] == [member]


def test_a_restart_and_replays_are_no_evidence() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    messages = [bench.pre_prepare(1, known), *(bench.prepare(m, 1, known.digest) for m in bench.others)]
    bench.deliver(*messages, *messages)
    bench.restart()
    bench.deliver(*messages, *messages)
    assert not bench.node.evidence


def test_whatever_its_clock_does_and_however_often_it_restarts_nothing_it_signs_accuses_it() -> None:
    bench = Bench(leads=2)
    said: list[Vote] = []

    def heard() -> None:
        for kind in (PrePrepare, Prepare, Commit, ViewChange):
            said.extend(bench.sent(kind))

    block, other = bench.block(1), bench.block(3)
    # Forwards, back behind everything, far ahead, onto a boundary; a restart after each.
    for step, slot in enumerate((1, 3, 1, 2, 6, 2, 4, 9, 1)):
        bench.at(slot, offset_ms=step % 2)
        bench.deliver(bench.pre_prepare(1, block), bench.pre_prepare(3, other, bench.bare_changes(3, 3)))
        for member in bench.others:
            bench.deliver(bench.prepare(member, 1, block.digest), bench.prepare(member, 3, other.digest))
        heard()
        bench.restart()
        heard()
    assert len({type(vote) for vote in said}) >= 3, "it voted, and changed views"
    statements = [signed_statement(vote) for vote in said]
    assert not any(conflict(bench.me, one, two) for one in statements for two in statements)
    assert not [evidence for evidence in bench.node.evidence if evidence.sender == bench.me]
