"""CONSENSUS section 5: refusals, their codes and their order."""

from typing import Any

import msgspec
import pytest
from consensus_bench import Bench
from consensus_harness import participant, signed

from p2penergy.consensus.effects import Received
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Commit,
    Decided,
    Message,
    Query,
    Request,
    Status,
    SyncRequest,
    SyncResponse,
    encode,
)
from p2penergy.signing import Verified

STRANGER = participant(99)


@pytest.fixture
def bench() -> Bench:
    bench = Bench(leads=4).at(1)
    bench.decide(1)
    return bench.at(3)


def code(bench: Bench, message: Message, peer: bytes | None = None) -> str | None:
    return bench.node.replica.admit(message, peer or bench.others[0])


def moved(message: Any, **fields: object) -> Any:
    return msgspec.structs.replace(message, **fields)


def test_admission_has_no_side_effects(bench: Bench) -> None:
    before = dict(bench.node.replica.counters), bench.node.replica.buffered_messages
    vote = bench.prepare(bench.others[0], 3, bytes(32))
    assert [code(bench, vote) for _ in range(3)] == [None] * 3
    assert before == (dict(bench.node.replica.counters), bench.node.replica.buffered_messages)


def test_height_window(bench: Bench) -> None:
    vote = bench.prepare(bench.others[0], 3, bytes(32))
    assert code(bench, moved(vote, height=1)) == "height_window"
    assert code(bench, vote) is None
    assert code(bench, moved(vote, height=3)) is None, "the next height waits in the buffer"


def test_far_ahead_heights_prompt_one_sync_and_are_no_votes(bench: Bench) -> None:
    vote = signed(moved(bench.prepare(bench.others[0], 3, bytes(32)), height=9), bench.chain_id)
    assert code(bench, vote) is None
    bench.deliver(vote)
    asked = bench.sent_to(SyncRequest)
    assert asked == [(bench.others[0],)]
    assert bench.node.replica.buffered_messages == 0
    assert code(bench, vote) == "height_window", "the claim is known"


def test_a_vote_from_far_ahead_is_none_when_its_height_comes_before_its_signature_is_checked() -> None:
    bench = Bench(leads=4).at(1)
    member = bench.others[0]
    far = signed(moved(bench.prepare(member, 4, bytes(32)), height=3), bench.chain_id)
    assert code(bench, far) is None
    checkable, _ = bench.node.replica.checkable(far)
    bench.decide(1)
    bench.at(2)
    bench.decide(2)
    bench.node.step(Received(Verified(checkable, encode(far)), member))
    assert bench.node.replica.height == 3
    assert bench.node.replica.buffered_messages == 0


def test_view_window(bench: Bench) -> None:
    at = {view: code(bench, bench.prepare(bench.others[0], view, bytes(32))) for view in range(1, 8)}
    assert at == {
        1: "view_window",
        2: None,
        3: None,
        4: None,
        5: None,
        6: "view_window",
        7: "view_window",
    }


@pytest.mark.parametrize("height", [2, 3])
def test_only_members(bench: Bench, height: int) -> None:
    assert code(bench, moved(bench.prepare(STRANGER, 3, bytes(32)), height=height)) == "not_member"


def test_height_comes_before_view_and_view_before_membership(bench: Bench) -> None:
    assert code(bench, moved(bench.prepare(STRANGER, 99, bytes(32)), height=1)) == "height_window"
    assert code(bench, bench.prepare(STRANGER, 99, bytes(32))) == "view_window"


def test_byte_equal_copies_are_refused_and_a_different_one_goes_on_once(bench: Bench) -> None:
    member = bench.others[0]
    vote, other = bench.prepare(member, 3, b"a" * 32), bench.prepare(member, 3, b"b" * 32)
    bench.deliver(vote)
    assert code(bench, vote) == "duplicate"
    assert code(bench, other) is None
    bench.deliver(other)
    assert code(bench, other) == "duplicate"
    assert code(bench, bench.prepare(member, 3, b"c" * 32)) == "duplicate"


def test_copies_for_the_next_height_are_refused_too(bench: Bench) -> None:
    vote = signed(moved(bench.prepare(bench.others[0], 4, bytes(32)), height=3), bench.chain_id)
    bench.deliver(vote)
    assert code(bench, vote) == "duplicate"


def test_a_message_that_does_not_verify_does_not_hide_a_later_one_that_does(bench: Bench) -> None:
    vote = bench.prepare(bench.others[0], 3, bytes(32))
    bench.deliver(moved(vote, signature=bytes(64)))
    assert bench.refused == {"bad_signature"}
    bench.deliver(vote)
    assert code(bench, vote) == "duplicate"


def test_of_view_changes_only_the_highest_is_held(bench: Bench) -> None:
    member = bench.others[0]
    bench.deliver(bench.view_change(member, 4))
    assert code(bench, bench.view_change(member, 3)) == "superseded"
    assert code(bench, bench.view_change(member, 5)) is None


def test_own_messages_from_outside_count_for_nothing(bench: Bench) -> None:
    assert code(bench, bench.prepare(bench.me, 3, bytes(32))) == "own_message"


def test_a_proposal_of_a_lower_view_is_refused(bench: Bench) -> None:
    view = next(view for view in (2, 3) if bench.leader(view) != bench.me)
    message = bench.pre_prepare(view, bench.block(view))
    bench.at(4)
    assert code(bench, message) == "view_left"


def test_answers_that_nobody_asked_for_are_refused(bench: Bench) -> None:
    assert code(bench, SyncResponse(5, ())) == "unrequested"
    assert code(bench, BlockResponse(2, b"block")) == "unrequested"


def test_block_requests_for_other_heights_are_refused(bench: Bench) -> None:
    codes = [code(bench, BlockRequest(height, bytes(32))) for height in (0, 1, 2, 3)]
    assert codes == ["height_window", None, None, "height_window"]


def test_only_who_votes_on_an_undecided_block_may_have_it(bench: Bench) -> None:
    assert code(bench, BlockRequest(2, bytes(32)), STRANGER) == "not_member"
    assert code(bench, BlockRequest(1, bytes(32)), STRANGER) is None, "the tip is for everybody"


def test_a_leader_caught_with_two_proposals_has_no_third_looked_at(bench: Bench) -> None:
    # None of them is valid, so none is held; yet each costs the execution of a whole block.
    view = next(view for view in (3, 4, 5) if bench.leader(view) != bench.me)
    messages = [bench.pre_prepare(view, bench.block(view), digest=bytes([i]) * 32) for i in range(3)]
    bench.deliver(messages[0])
    assert code(bench, messages[1]) is None
    bench.deliver(messages[1])
    assert bench.node.replica.counters["evidence"] == 1
    assert code(bench, messages[2]) == "conflicting"
    right = bench.pre_prepare(view, bench.block(view))
    assert code(bench, right) == "conflicting"
    assert code(bench, bench.prepare(bench.leader(view), view, right.digest)) is None


def test_decided_is_checked_for_a_quorum_before_its_signatures(bench: Bench) -> None:
    known = bench.block(2)
    assert code(bench, Decided(known.raw, bench.cc(2, known.digest, bench.members[:2]))) == "bad_certificate"
    assert code(bench, Decided(known.raw, bench.cc(2, known.digest))) is None
    tip = bench.node.replica.tip
    assert tip is not None
    assert code(bench, tip) == "height_window"


def test_a_lower_heights_view_change_is_answered_by_the_tip_once_per_delta(bench: Bench) -> None:
    laggard = bench.others[0]
    change = signed(moved(bench.view_change(laggard, 3), height=1), bench.chain_id)
    assert code(bench, change, laggard) is None
    bench.deliver(change)
    assert bench.sent_to(Decided)[-1] == (laggard,)
    assert code(bench, change, laggard) == "height_window"
    bench.at(3, 50)
    assert code(bench, change, laggard) is None


def test_a_lower_heights_view_change_costs_no_signature_check(bench: Bench) -> None:
    change = moved(bench.view_change(bench.others[0], 3), height=1)
    checkable, key_of = bench.node.replica.checkable(change)
    assert (checkable, key_of(bench.others[0])) == (Status(1, 0), None)


@pytest.mark.parametrize("ahead", [0, 1])
def test_no_message_asks_for_more_signature_checks_than_a_committee_has_members(
    bench: Bench, ahead: int
) -> None:
    def place(message: Any) -> Any:
        return moved(message, height=2 + ahead)

    known, n = bench.block(4), len(bench.members)
    changes = tuple(bench.view_change(bench.others[i % 3], 4) for i in range(n + 1))
    proof = bench.pc(3, known.digest, bench.members)
    longer = moved(proof, votes=(*proof.votes, (STRANGER, bytes(64))))
    assert code(bench, place(bench.pre_prepare(4, known, changes[:n], proof))) is None
    assert code(bench, place(bench.pre_prepare(4, known, changes, proof))) == "justification_too_long"
    assert code(bench, place(bench.pre_prepare(4, known, changes[:n], longer))) == "bad_certificate"
    assert code(bench, place(bench.view_change(bench.others[0], 4, proof))) is None
    assert code(bench, place(bench.view_change(bench.others[0], 4, longer))) == "bad_certificate"


def test_what_is_not_the_cores_is_refused(bench: Bench) -> None:
    for message in (Request((b"tx",), False), Query(1, "topic", b"")):
        assert code(bench, message) == "not_consensus"
    assert code(bench, Status(1, 1)) is None


def test_refusals_are_counted_and_do_not_stop_the_loop(bench: Bench) -> None:
    bench.deliver(bench.view_change(bench.others[0], 3, bench.pc(2, bytes(32), bench.members[:1])))
    assert bench.node.replica.counters["refused_bad_certificate"] == 1
    assert bench.effects[-1].refused[0].code == "bad_certificate"
    bench.deliver(bench.view_change(bench.others[0], 3))
    assert not bench.effects[-1].refused


def test_certificates_beside_a_justification_are_refused_before_their_signatures_are_checked(
    bench: Bench,
) -> None:
    proof = bench.pc(2, bench.block(2).digest)
    view = next(view for view in (3, 4) if bench.leader(view) != bench.me)
    proven = tuple(bench.view_change(member, view, proof) for member in bench.others)
    proposal = bench.pre_prepare(view, bench.block(view), proven, None)
    assert code(bench, proposal) == "justification_too_long"
    bare = tuple(moved(change, certificate=None) for change in proven)
    assert code(bench, moved(proposal, justification=bare)) != "justification_too_long"


def test_a_prepare_that_adds_nothing_to_a_certificate_is_not_looked_at() -> None:
    bench = Bench(leads=4).at(1)
    known, leader = bench.block(1), bench.leader(1)
    second, third = (member for member in bench.others if member != leader)
    bench.deliver(bench.pre_prepare(1, known), bench.prepare(leader, 1, known.digest))
    surplus = bench.prepare(third, 1, known.digest)
    assert code(bench, surplus) is None
    bench.deliver(bench.prepare(second, 1, known.digest))
    assert bench.sent(Commit)
    assert code(bench, surplus) == "surplus"
    # One for another block may be evidence.
    assert code(bench, bench.prepare(third, 1, b"c" * 32)) is None
    assert code(bench, bench.prepare(third, 2, known.digest)) is None
