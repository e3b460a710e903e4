"""CONSENSUS section 4: J0 and J1, judged at the receiver."""

import msgspec
import pytest
from consensus_bench import Bench

from p2penergy.consensus.effects import Received
from p2penergy.consensus.rules import Rules
from p2penergy.messages import Prepare, PrePrepare, ViewChange, encode
from p2penergy.signing import Verified


def refused_by(bench: Bench, message: PrePrepare) -> set[str]:
    bench.node.refused.clear()
    bench.deliver(message)
    assert not bench.sent(Prepare)
    return bench.refused


@pytest.fixture
def bench() -> Bench:
    return Bench(leads=4).at(1)


def at_view_2(bench: Bench) -> Bench:
    bench.network.now_ms = bench.network.slot_ms(2) - 10
    return bench


def test_only_the_leader_proposes(bench: Bench) -> None:
    other = next(member for member in bench.others if member != bench.leader(1))
    assert refused_by(bench, bench.pre_prepare(1, bench.block(1), sender=other)) == {"not_leader"}


def test_j0_takes_no_justification(bench: Bench) -> None:
    changes = bench.bare_changes(1, 3)
    assert refused_by(bench, bench.pre_prepare(1, bench.block(1), changes)) == {"justification_too_long"}


def test_j0_is_for_the_first_view_only(bench: Bench) -> None:
    at_view_2(bench)
    assert refused_by(bench, bench.pre_prepare(2, bench.block(2))) == {"justification_too_few"}


def test_a_fresh_block_is_of_its_views_start_slot_and_its_leader(bench: Bench) -> None:
    assert refused_by(bench, bench.pre_prepare(1, bench.block(2))) == {"block_not_of_this_view"}
    at_view_2(bench)
    message = bench.pre_prepare(2, bench.block(1), bench.bare_changes(2, 3))
    assert refused_by(bench, message) == {"block_not_of_this_view"}


def test_j1_with_q_view_changes_all_none_is_a_fresh_block(bench: Bench) -> None:
    at_view_2(bench).deliver(bench.pre_prepare(2, bench.block(2), bench.bare_changes(2, 3)))
    assert len(bench.sent(Prepare)) == 1


def test_j1_needs_q_distinct_members(bench: Bench) -> None:
    at_view_2(bench)
    two = bench.bare_changes(2, 2)
    assert refused_by(bench, bench.pre_prepare(2, bench.block(2), two)) == {"justification_too_few"}
    doubled = (*two, two[0])
    assert refused_by(bench, bench.pre_prepare(2, bench.block(2), doubled)) == {"justification_too_few"}


def test_j1_counts_no_view_changes_of_other_views_or_heights(bench: Bench) -> None:
    at_view_2(bench)
    code = {"justification_of_another_view"}
    others = bench.bare_changes(3, 3)
    assert refused_by(bench, bench.pre_prepare(2, bench.block(2), others)) == code
    higher = tuple(bench.view_change(member, 2, height=2) for member in bench.others)
    assert refused_by(bench, bench.pre_prepare(2, bench.block(2), higher)) == code


class OfAnyHeight(Rules):
    """The wrong rule of section 12 that random schedules hardly ever give a chance to."""

    def view_change_counts(self, change: ViewChange, height: int, view: int) -> bool:
        return change.view == view and (change.prepared_view is None or change.prepared_view < view)


def test_counting_view_changes_of_other_heights_would_justify_what_is_not() -> None:
    for rules, votes in ((Rules(), 0), (OfAnyHeight(), 1)):
        bench = at_view_2(Bench(leads=4, rules=rules).at(1))
        higher = tuple(bench.view_change(member, 2, height=2) for member in bench.others)
        bench.deliver(bench.pre_prepare(2, bench.block(2), higher))
        assert len(bench.sent(Prepare)) == votes


def test_j1_counts_no_view_change_that_claims_its_own_view(bench: Bench) -> None:
    at_view_2(bench)
    proof = bench.pc(2, bench.block(2).digest)
    changes = bench.bare_changes(2, 3, proof)
    message = bench.pre_prepare(2, bench.block(2), changes, proof)
    assert refused_by(bench, message) == {"justification_of_another_view"}


def test_j1_counts_members_only(bench: Bench) -> None:
    at_view_2(bench)
    stranger = b"s" * 20
    changes = (*bench.bare_changes(2, 2), bench.view_change(stranger, 2))
    message = bench.pre_prepare(2, bench.block(2), changes)
    assert refused_by(bench, message) == {"unknown_signer"}
    # A driver that took its key from elsewhere would not change that.
    effects = bench.node.step(Received(Verified(message, encode(message)), message.sender))
    assert [refusal.code for refusal in effects.refused] == ["justification_not_member"]


def test_j1_names_view_and_digest_or_neither(bench: Bench) -> None:
    at_view_2(bench)
    odd = bench.view_change(bench.others[2], 2, prepared_view=1)
    message = bench.pre_prepare(2, bench.block(2), (*bench.bare_changes(2, 2), odd))
    assert refused_by(bench, message) == {"justification_inconsistent"}


def test_j1_with_a_prepared_view_change_must_propose_that_block(bench: Bench) -> None:
    at_view_2(bench)
    old = bench.block(1)
    proof = bench.pc(1, old.digest)
    changes = bench.bare_changes(2, 3, proof)
    fresh = bench.block(2)
    assert refused_by(bench, bench.pre_prepare(2, fresh, changes, proof)) == {"justification_another_block"}
    bench.deliver(bench.pre_prepare(2, old, changes, proof))
    assert [prepare.digest for prepare in bench.sent(Prepare)] == [old.digest]


def prepared_twice(bench: Bench) -> tuple[ViewChange, ...]:
    """VIEW-CHANGEs to view 3 of which one names the block of view 1 and one that of view 2."""
    older, newer = bench.block(1), bench.block(2)
    senders = bench.others
    return (
        bench.view_change(senders[0], 3, bench.pc(1, older.digest), certificate=None),
        bench.view_change(senders[1], 3, bench.pc(2, newer.digest), certificate=None),
        bench.view_change(senders[2], 3),
    )


def test_j1_proposes_no_block_of_a_lower_prepared_view(bench: Bench) -> None:
    bench.at(2)
    older, changes = bench.block(1), prepared_twice(bench)
    lower = bench.pre_prepare(3, older, changes, bench.pc(1, older.digest))
    assert refused_by(bench, lower) == {"justification_bad_certificate"}


def test_j1_needs_the_certificate_of_the_highest_prepared_view(bench: Bench) -> None:
    bench.at(2)
    newer = bench.block(2)
    changes = prepared_twice(bench)
    assert refused_by(bench, bench.pre_prepare(3, newer, changes)) == {"justification_no_certificate"}
    thin = bench.pc(2, newer.digest, bench.members[:2])
    assert refused_by(bench, bench.pre_prepare(3, newer, changes, thin)) == {"justification_bad_certificate"}
    bench.deliver(bench.pre_prepare(3, newer, changes, bench.pc(2, newer.digest)))
    assert [prepare.digest for prepare in bench.sent(Prepare)] == [newer.digest]


def test_the_certificate_must_be_of_a_digest_that_was_claimed(bench: Bench) -> None:
    at_view_2(bench)
    old, other = bench.block(1), bench.block(1, b"other")
    changes = bench.bare_changes(2, 3, bench.pc(1, old.digest))
    message = bench.pre_prepare(2, other, changes, bench.pc(1, other.digest))
    assert refused_by(bench, message) == {"justification_bad_certificate"}


def test_superfluous_certificates_are_refused(bench: Bench) -> None:
    at_view_2(bench)
    old = bench.block(1)
    proof = bench.pc(1, old.digest)
    fresh = bench.pre_prepare(2, bench.block(2), bench.bare_changes(2, 3), proof)
    assert refused_by(bench, fresh) == {"justification_too_long"}
    changes = tuple(bench.view_change(member, 2, proof) for member in bench.others)
    assert refused_by(bench, bench.pre_prepare(2, old, changes, proof)) == {"justification_too_long"}


def test_a_proposal_whose_body_is_another_block_is_refused(bench: Bench) -> None:
    known, other = bench.block(1), bench.block(1, b"other")
    message = msgspec.structs.replace(bench.pre_prepare(1, known), block=other.raw)
    assert refused_by(bench, message) == {"block_digest"}


def test_an_unjustified_copy_does_not_hide_the_genuine_proposal(bench: Bench) -> None:
    at_view_2(bench)
    genuine = bench.pre_prepare(2, bench.block(2), bench.bare_changes(2, 3))
    stripped = msgspec.structs.replace(genuine, justification=())
    assert refused_by(bench, stripped) == {"justification_too_few"}
    bench.deliver(genuine)
    assert len(bench.sent(Prepare)) == 1


def test_a_proposal_of_a_known_block_is_not_executed_twice(bench: Bench) -> None:
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    proof = bench.pc(1, known.digest)
    executions = bench.node.application.executions
    at_view_2(bench).deliver(bench.pre_prepare(2, known, bench.bare_changes(2, 3, proof), proof))
    assert [prepare.view for prepare in bench.sent(Prepare)] == [1, 2]
    assert bench.node.application.executions == executions


def test_a_view_change_without_its_certificate_is_refused() -> None:
    bench = Bench(leads=2).at(2)
    known = bench.block(1)
    change: ViewChange = bench.view_change(
        bench.others[0], 2, prepared_view=1, prepared_digest=known.digest, certificate=None
    )
    bench.deliver(change)
    assert bench.refused == {"bad_certificate"}


@pytest.mark.parametrize("view", [2, 3])
def test_a_view_change_whose_prepared_view_is_not_lower_is_refused(view: int) -> None:
    bench = Bench(leads=2).at(2)
    bench.deliver(bench.view_change(bench.others[0], 2, bench.pc(view, b"d" * 32)))
    assert bench.refused == {"bad_prepared_view"}
