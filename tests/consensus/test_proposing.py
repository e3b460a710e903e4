"""CONSENSUS section 4, PROPOSE; section 2, idleness."""

from consensus_bench import Bench
from consensus_harness import ALPHA_MS, DELTA_MS, EPS_MS, Network

from p2penergy.consensus.effects import Pending, VoteRecord
from p2penergy.messages import BlockRequest, BlockResponse, PrePrepare, VoteKind, decode_block


def test_a_lone_request_in_an_idle_network_is_decided_in_its_slot_after_three_delays() -> None:
    network = Network(4).start()
    network.run_to_slot(2, 300)
    network.submit_everywhere(b"tx")
    network.run_to_slot(2, 330)
    assert network.heights == [1] * 4
    assert network.nodes[0].decisions[0].view == 2


def test_the_leader_proposes_in_its_first_view_without_justification() -> None:
    bench = Bench(leads=1)
    bench.node.submit(b"tx")
    bench.at(1)
    (proposal,) = bench.sent(PrePrepare)
    assert (proposal.height, proposal.view, proposal.justification, proposal.certificate) == (1, 1, (), None)
    assert bench.sent_to(PrePrepare) == [()]


def test_the_whole_proposal_is_durable_before_it_is_sent() -> None:
    bench = Bench(leads=1).at(1)
    bench.node.submit(b"tx")
    record = bench.effects[-1].persist[0]
    assert isinstance(record, VoteRecord)
    assert (record.kind, record.slot) == (VoteKind.PRE_PREPARE, 1)
    assert bench.sent(PrePrepare)[0].digest == record.digest


def test_nothing_is_proposed_before_the_slot_begins() -> None:
    bench = Bench(leads=1)
    bench.node.submit(b"tx")
    bench.at(0, ALPHA_MS - 1)
    assert not bench.sent(PrePrepare)


def test_nothing_is_proposed_that_leaves_no_time_to_decide() -> None:
    late_ms = ALPHA_MS - EPS_MS - 3 * DELTA_MS
    bench = Bench(leads=1).at(1, late_ms + 1)
    bench.node.submit(b"tx")
    assert not bench.sent(PrePrepare)
    bench = Bench(leads=1).at(1, late_ms)
    bench.node.submit(b"tx")
    assert len(bench.sent(PrePrepare)) == 1


def test_one_proposal_per_slot() -> None:
    bench = Bench(leads=1).at(1)
    bench.node.submit(b"tx")
    bench.node.submit(b"another")
    bench.node.step(Pending())
    assert len(bench.sent(PrePrepare)) == 1


def test_a_slot_used_for_a_reproposal_is_not_used_again_at_the_next_height() -> None:
    bench = Bench(leads=2).at(1)
    known = bench.block(1)
    proof = bench.pc(1, known.digest, bench.others)
    bench.at(2)
    bench.deliver(*(bench.view_change(member, 2, proof) for member in bench.others))
    bench.deliver(bench.pre_prepare(1, known, sender=bench.leader(1)))
    bench.deliver(BlockResponse(1, known.raw))
    assert [proposal.view for proposal in bench.sent(PrePrepare)] == [2]
    bench.node.submit(b"tx")
    bench.deliver(*(bench.commit(member, 1, known.digest) for member in bench.others))
    assert (bench.node.replica.height, bench.node.replica.view) == (2, 2)
    assert len(bench.sent(PrePrepare)) == 1, "slot 2 was led at height 1 already"


def test_idle_leaders_propose_nothing_until_n_slots_have_passed() -> None:
    network = Network(4).start()
    network.run_to_slot(4, 999)
    assert network.heights == [0] * 4
    network.run_to_slot(5, 100)
    assert network.heights == [1] * 4
    assert network.nodes[0].decisions[0].block.transactions == ()


def test_the_application_is_asked_about_the_slot_and_wakes_its_leader() -> None:
    network = Network(4).start()
    for node in network.nodes:
        node.application.due_slot = 2
    network.run_to_slot(2, 330)
    assert network.heights == [1] * 4
    assert network.nodes[0].decisions[0].view == 2


def test_empty_block_slots_can_be_fewer() -> None:
    network = Network(4, empty_block_slots=1).start()
    network.run_to_slot(2, 100)
    assert network.heights == [1] * 4


def test_idleness_never_stretches_views_even_with_f_silent() -> None:
    network = Network(7)
    for node in network.nodes[:2]:
        node.stop()
    network.start()
    network.run_to_slot(100)
    for decision in network.nodes[6].decisions:
        assert decision.view == decision.block.header.slot, "the view is the slot"
    assert network.nodes[6].replica.tip_height >= 9


def test_a_later_view_needs_q_view_changes_for_exactly_this_view() -> None:
    bench = Bench(leads=2)
    bench.node.submit(b"tx")
    bench.at(2)
    first, second, third = bench.others
    bench.deliver(bench.view_change(first, 2), bench.view_change(second, 3), bench.view_change(third, 1))
    assert not bench.sent(PrePrepare)
    bench.deliver(bench.view_change(third, 2))
    (proposal,) = bench.sent(PrePrepare)
    assert len(proposal.justification) == 3
    assert {change.view for change in proposal.justification} == {2}


def test_the_highest_prepared_block_is_proposed_again_unchanged_even_when_nothing_is_pending() -> None:
    bench = Bench(leads=3).at(1)
    older, newer = bench.block(1, b"older"), bench.block(2, b"newer")
    bench.deliver(bench.pre_prepare(1, older))
    bench.at(2)
    bench.deliver(bench.pre_prepare(2, newer, bench.bare_changes(2, 3)))
    bench.at(3)
    first, second, third = bench.others
    bench.deliver(
        bench.view_change(first, 3, bench.pc(1, older.digest)),
        bench.view_change(second, 3, bench.pc(2, newer.digest)),
        bench.view_change(third, 3),
    )
    (proposal,) = bench.sent(PrePrepare)
    assert (proposal.digest, proposal.block) == (newer.digest, newer.raw)
    assert proposal.certificate == bench.pc(2, newer.digest)
    assert all(change.certificate is None for change in proposal.justification)
    header = decode_block(proposal.block).header
    assert (header.slot, header.proposer) == (2, bench.leader(2))


def test_a_missing_prepared_block_is_fetched_before_it_is_proposed() -> None:
    bench = Bench(leads=2).at(2)
    known = bench.block(1, b"tx")
    first, second, _ = bench.others
    bench.deliver(bench.view_change(first, 2, bench.pc(1, known.digest, bench.others)))
    bench.deliver(bench.view_change(second, 2))
    assert not bench.sent(PrePrepare)
    assert bench.sent_to(BlockRequest)[0] == (first,)
    bench.deliver(BlockResponse(1, known.raw), peer=first)
    assert [proposal.digest for proposal in bench.sent(PrePrepare)] == [known.digest]


def test_a_view_change_whose_block_nobody_delivers_is_left_out_for_another() -> None:
    bench = Bench(leads=2)
    bench.node.submit(b"tx")
    bench.at(2)
    first, second, third = bench.others
    bench.deliver(bench.view_change(first, 2, bench.pc(1, b"x" * 32)), bench.view_change(second, 2))
    assert not bench.sent(PrePrepare)
    bench.deliver(bench.view_change(third, 2))
    (proposal,) = bench.sent(PrePrepare)
    assert first not in {change.sender for change in proposal.justification}


def test_a_view_change_with_a_bad_certificate_is_dropped_alone() -> None:
    bench = Bench(leads=2)
    bench.node.submit(b"tx")
    bench.at(2)
    first, second, third = bench.others
    known = bench.block(1)
    bench.deliver(bench.view_change(first, 2, bench.pc(1, known.digest, bench.members[:2])))
    assert "bad_certificate" in bench.refused
    bench.deliver(bench.view_change(second, 2), bench.view_change(third, 2))
    assert len(bench.sent(PrePrepare)) == 1


def test_who_has_no_reveal_skips_its_slot() -> None:
    bench = Bench(leads=1)
    tips = bench.node.application.states[0].tips
    tips[bench.me] = bytes(32)
    bench.node.submit(b"tx")
    bench.at(1)
    assert not bench.sent(PrePrepare)
    assert bench.node.replica.counters["no_reveal"] > 0


def test_the_driver_limits_how_full_a_block_gets() -> None:
    bench = Bench(leads=1)
    bench.node.replica.proposal_bytes_max = 200
    bench.node.submit(*(b"%099d" % i for i in range(10)))
    bench.at(1)
    assert len(decode_block(bench.sent(PrePrepare)[0].block).transactions) == 1
