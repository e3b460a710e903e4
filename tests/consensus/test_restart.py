"""CONSENSUS section 6: restart in every phase, the identical bytes, and the lost store."""

import pytest
from consensus_bench import Bench
from consensus_harness import Network, Store

from p2penergy.consensus import Rules
from p2penergy.consensus.effects import BlockRecord, VoteRecord
from p2penergy.consensus.errors import InvariantError
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Commit,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    VoteKind,
)


@pytest.mark.parametrize("crash", ["before_persist", "before_send"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_crash_at_any_boundary_of_any_phase_is_survived(crash: str, nth: int) -> None:
    """Every node dies at its n-th step that writes, restarts a little later, and the chain goes on."""
    network = Network(4)
    writes = dict.fromkeys(network.by_id, 0)

    def count(node: object, effects: object) -> None:
        for victim in network.nodes:
            if victim is node and effects.persist:  # type: ignore[attr-defined]
                writes[victim.id] += 1
                if writes[victim.id] == nth - 1:
                    victim.crash = crash
                    network.at(network.now_ms + 700, victim.restart)

    network.on_effects = count  # type: ignore[assignment]
    if nth == 1:
        for node in network.nodes:
            node.crash = crash
            network.at(network.slot_ms(1) + 700, node.restart)
    network.start()
    for slot in range(1, 26):
        network.run_to_slot(slot)
        for node in network.nodes:
            node.submit(b"tx %d" % slot)
    network.run_slots(1)
    assert min(network.heights) >= 10
    assert all(node.up for node in network.nodes)


def test_the_identical_stored_bytes_are_sent_again() -> None:
    bench = Bench(leads=1).at(1)
    bench.node.submit(b"tx")
    digest = bench.sent(PrePrepare)[0].digest
    bench.deliver(*(bench.prepare(member, 1, digest) for member in bench.others))
    before = [*bench.sent(PrePrepare), *bench.sent(Prepare), *bench.sent(Commit)]
    bench.restart()
    assert [*bench.sent(PrePrepare), *bench.sent(Prepare), *bench.sent(Commit)] == before
    assert len(before) == 3
    assert not any(isinstance(r, VoteRecord) for e in bench.effects for r in e.persist)


def test_a_restarted_leader_does_not_propose_twice() -> None:
    bench = Bench(leads=1).at(1)
    bench.node.submit(b"tx")
    bench.restart()
    bench.node.submit(b"another")
    assert len({message.digest for message in bench.sent(PrePrepare)}) == 1


def test_a_restarted_node_does_not_prepare_another_block() -> None:
    bench = Bench().at(1)
    first, second = bench.block(1), bench.block(1, b"other")
    bench.deliver(bench.pre_prepare(1, first))
    bench.restart()
    bench.deliver(bench.pre_prepare(1, second))
    assert {prepare.digest for prepare in bench.sent(Prepare)} == {first.digest}


def test_forgetting_votes_would_let_it() -> None:
    class Forgets(Rules):
        def remembered(self, votes: object) -> list[VoteRecord]:
            return []

    bench = Bench(rules=Forgets()).at(1)
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    bench.restart()
    with pytest.raises(AssertionError, match="a second vote"):
        bench.deliver(bench.pre_prepare(1, bench.block(1, b"other")))


def test_it_resumes_in_the_stored_view_when_the_clock_is_behind() -> None:
    bench = Bench().at(3)
    bench.network.now_ms = bench.network.slot_ms(1)
    bench.restart()
    assert bench.node.replica.view == 3
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    assert not bench.sent(Prepare)


def test_it_resumes_in_the_clocks_view_when_that_is_ahead() -> None:
    bench = Bench().at(2)
    bench.network.now_ms = bench.network.slot_ms(3) + 1
    bench.restart()
    assert bench.node.replica.view == 3
    assert [change.view for change in bench.sent(ViewChange)] == [3]


def test_the_stored_view_change_of_the_view_is_sent_again() -> None:
    bench = Bench().at(2)
    (before,) = bench.sent(ViewChange)
    bench.restart()
    assert bench.sent(ViewChange) == [before]


def test_the_prepared_certificate_survives() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.deliver(*(bench.prepare(member, 1, known.digest) for member in bench.others[:2]))
    bench.restart()
    bench.at(2)
    assert bench.sent(ViewChange)[-1].prepared_digest == known.digest


def test_a_restarted_node_asks_where_the_others_are() -> None:
    bench = Bench().at(1)
    bench.restart()
    assert [status.height for status in bench.sent(Status)] == [1]


@pytest.mark.parametrize("used", [True, False])
def test_a_slot_used_for_a_decided_height_stays_used_over_a_restart(used: bool) -> None:
    """A block proposed again keeps its slot, so that the next height may begin in one that was used."""
    bench = Bench(leads=2).at(1)
    bench.decide(1)
    leads = next(view for view in range(2, 6) if bench.leader(view) == bench.me)
    if used:
        again = VoteRecord(VoteKind.PRE_PREPARE, 1, leads, leads, b"d" * 32, b"proposed again")
        bench.node.store.votes[VoteKind.PRE_PREPARE, 1, leads] = again
    bench.network.now_ms = bench.network.slot_ms(leads) + 5
    bench.restart()
    bench.node.submit(b"tx")
    bench.deliver(*(bench.view_change(member, leads) for member in bench.others))
    assert bool(bench.sent(PrePrepare)) is not used


def test_a_damaged_or_foreign_vote_in_the_store_halts_the_node() -> None:
    bench = Bench().at(1)
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    key = (VoteKind.PREPARE, 1, 1)
    record = bench.node.store.votes[key]
    bench.node.store.votes[key] = VoteRecord(record.kind, 1, 1, 1, record.digest, b"\x00damaged")
    with pytest.raises(InvariantError, match="damaged"):
        bench.restart()
    foreign = bench.prepare(bench.others[0], 1, record.digest)
    from p2penergy.messages import encode

    bench.node.store.votes[key] = VoteRecord(record.kind, 1, 1, 1, record.digest, encode(foreign))
    with pytest.raises(InvariantError, match="not this node's own"):
        bench.restart()


def amnesiac(slot: int = 3) -> Bench:
    bench = Bench(leads=4).at(slot)
    bench.node.store = Store(amnesia_slot=slot)
    bench.restart()
    return bench


def test_a_node_that_lost_its_store_signs_nothing_before_the_chain_is_past_it() -> None:
    bench = amnesiac(3)
    bench.at(4)
    bench.deliver(bench.pre_prepare(4, bench.block(4), bench.bare_changes(4, 3), sender=bench.leader(4)))
    bench.decide(4)
    bench.at(5)
    bench.deliver(bench.pre_prepare(5, bench.block(5)))
    assert not bench.sent(Prepare), "slot(B) = 4 is not beyond 3 + 1"
    assert not bench.sent(ViewChange)
    bench.decide(5)
    bench.at(6)
    bench.deliver(bench.pre_prepare(6, bench.block(6)))
    assert bench.leader(6) == bench.me or [prepare.height for prepare in bench.sent(Prepare)] == [3]


def test_blocks_of_catch_up_move_the_bound_of_a_node_that_lost_its_store() -> None:
    network = Network(4).start()
    for slot in range(1, 9):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    victim = network.nodes[2]
    victim.stop()
    victim.clock_offset_ms = -7000
    victim.lose_store()
    victim.restart()
    network.run_slots(1)
    assert victim.replica.tip_height >= 7
    assert not victim.store.votes, "its clock was wrong, but the chain it caught up with says how late it is"
    victim.clock_offset_ms = 0
    for slot in range(12, 24):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    assert victim.store.votes


def test_the_wait_after_a_lost_store_is_over_for_good_once_the_chain_is_past_it() -> None:
    bench = amnesiac(3)
    bench.at(6)
    bench.decide(6)
    bench.restart()
    bench.at(7)
    bench.deliver(bench.pre_prepare(7, bench.block(7)))
    assert bench.sent(Prepare) or bench.leader(7) == bench.me


def test_blocks_that_bind_survive_among_many_stored_ones() -> None:
    bench = Bench(leads=4).at(1)
    prepared = bench.block(1, b"prepared")
    bench.deliver(bench.pre_prepare(1, prepared))
    bench.deliver(*(bench.prepare(member, 1, prepared.digest) for member in bench.others[:2]))
    for i in range(20):
        other = bench.block(1, b"other %d" % i)
        bench.node.store.blocks[other.digest] = BlockRecord(1, other.digest, other.raw)
    bench.restart()
    bench.deliver(BlockRequest(1, prepared.digest), peer=bench.others[0])
    assert [response.block for response in bench.sent(BlockResponse)] == [prepared.raw]
