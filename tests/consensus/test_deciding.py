"""CONSENSUS sections 4 and 6: the tip moves in one place."""

import pytest
from consensus_bench import Bench
from consensus_harness import Network

from p2penergy.consensus.effects import DecidedRecord
from p2penergy.consensus.errors import InvariantError
from p2penergy.messages import Decided, Prepare, decode_block


def test_block_and_certificate_are_durable_in_the_step_of_the_decision() -> None:
    bench = Bench().at(1)
    known = bench.decide(1, b"tx")
    (record,) = (r for r in bench.effects[-1].persist if isinstance(r, DecidedRecord))
    assert (record.height, record.digest, record.block) == (1, known.digest, known.raw)
    assert bench.effects[-1].decided[0].outcome is record.outcome


def test_decided_is_sent_to_all_once() -> None:
    bench = Bench().at(1)
    known = bench.decide(1)
    for member in bench.others:
        bench.deliver(Decided(known.raw, bench.cc(1, known.digest)), peer=member)
    assert bench.sent_to(Decided) == [()]


def test_who_is_no_member_follows_and_announces_nothing() -> None:
    network = Network(4, spare=1).start()
    observer = network.nodes[4]
    for slot in range(1, 6):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    network.run_slots(1)
    assert len(set(network.heights)) == 1
    assert not observer.store.votes
    assert observer.replica.counters["decided"] >= 4


def test_the_block_carries_the_certificate_its_proposer_decided_on() -> None:
    network = Network(4).start()
    for slot in (1, 2):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    network.run_to_slot(2, 500)
    raw, _ = network.nodes[0].store.decided[1]
    parent = decode_block(raw).parent_certificate
    assert parent is not None
    assert parent.height == 1
    assert len(parent.votes) >= 3


def test_a_block_decided_in_its_slot_lets_the_next_leader_propose_at_once() -> None:
    network = Network(4).start()
    for slot in (1, 2, 3):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
        network.run_to_slot(slot, 40)
        assert network.heights == [slot] * 4
    assert network.judge.wire["ViewChange"] == 0


def test_messages_of_the_next_height_that_came_early_are_judged_when_it_begins() -> None:
    for leads in (1, 2, 3, 4):
        ahead = Bench(leads=leads).at(1)
        first = ahead.decide(1)
        ahead.at(2)
        if ahead.leader(2) != ahead.me:
            break
    proposal = ahead.pre_prepare(2, ahead.block(2))
    bench = Bench(leads=leads).at(1, 990)
    bench.deliver(proposal)
    assert bench.node.replica.buffered_messages == 1
    assert not bench.sent(Prepare)
    bench.deliver(Decided(first.raw, bench.cc(1, first.digest)))
    assert bench.node.replica.view == 2
    assert [(prepare.height, prepare.view) for prepare in bench.sent(Prepare)] == [(2, 2)]


def test_two_certificates_at_one_height_halt_the_node() -> None:
    bench = Bench().at(1)
    known, other = bench.block(1), bench.block(1, b"other")
    bench.deliver(*(bench.commit(member, 1, other.digest) for member in bench.others))
    with pytest.raises(InvariantError, match="two commit certificates"):
        bench.deliver(Decided(known.raw, bench.cc(1, known.digest)))
