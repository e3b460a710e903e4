"""CONSENSUS section 4: PREPARE, PREPARED, COMMIT, DECIDE, MONOTONE."""

import pytest
from consensus_bench import Bench
from consensus_harness import DELTA_MS, EPS_MS

from p2penergy.consensus import Rules
from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.effects import BlockRecord, DecidedRecord, PreparedRecord, VoteRecord
from p2penergy.messages import BlockRequest, BlockResponse, Commit, Decided, Prepare, ViewChange


def prepared(bench: Bench, view: int = 1) -> KnownBlock:
    """Bring the replica to COMMIT in its first view."""
    known = bench.block(view)
    bench.deliver(bench.pre_prepare(view, known))
    bench.deliver(*(bench.prepare(member, view, known.digest) for member in bench.others[:2]))
    return known


def test_prepare_once_per_view() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known), bench.pre_prepare(1, known))
    bench.deliver(bench.pre_prepare(1, bench.block(1, b"other")))
    assert [(p.view, p.digest) for p in bench.sent(Prepare)] == [(1, known.digest)]


def test_block_and_prepare_are_durable_in_the_step_that_sends_it() -> None:
    bench = Bench().at(1)
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    effects = next(e for e in bench.effects if any(isinstance(s.message, Prepare) for s in e.send))
    assert [type(record) for record in effects.persist] == [BlockRecord, VoteRecord]


@pytest.mark.parametrize("offset_ms", [-EPS_MS, 0, 999])
def test_a_fresh_block_is_voted_for_within_its_time(offset_ms: int) -> None:
    bench = Bench()
    bench.network.now_ms = bench.network.slot_ms(1) + offset_ms
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    assert len(bench.sent(Prepare)) == 1


def test_an_early_proposal_waits_for_its_time() -> None:
    bench = Bench().at(0, 500)
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    assert not bench.sent(Prepare)
    assert bench.effects[-1].wake_at_ms == bench.network.slot_ms(1) - EPS_MS
    bench.at(0, 1000 - EPS_MS)
    assert len(bench.sent(Prepare)) == 1


def test_timely_includes_both_ends() -> None:
    rules = Rules()
    assert [rules.timely(t, 100, 200, 5) for t in (94, 95, 205, 206)] == [False, True, True, False]


def test_a_reproposal_is_not_subject_to_timeliness() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(1)
    proof = bench.pc(1, known.digest, bench.others)
    bench.deliver(bench.pre_prepare(2, known, bench.bare_changes(2, 3, proof), proof))
    assert [(p.view, p.digest) for p in bench.sent(Prepare)] == [(2, known.digest)]


def test_no_commit_without_a_prepared_certificate() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known), bench.prepare(bench.others[0], 1, known.digest))
    assert not bench.sent(Commit)
    bench.deliver(bench.prepare(bench.others[1], 1, known.digest))
    assert [(c.view, c.digest) for c in bench.sent(Commit)] == [(1, known.digest)]


def test_certificate_block_and_commit_are_durable_in_one_step() -> None:
    bench = Bench().at(1)
    prepared(bench)
    records = [type(record) for record in bench.effects[-1].persist]
    assert records == [PreparedRecord, VoteRecord]
    assert list(bench.node.store.blocks), "the block was durable with the PREPARE"


def test_no_commit_for_a_block_that_this_node_did_not_prepare() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(*(bench.prepare(member, 1, known.digest) for member in bench.others))
    assert not bench.sent(Commit)


def test_no_commit_in_a_view_that_was_left() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known), bench.prepare(bench.others[0], 1, known.digest))
    bench.at(2)
    bench.deliver(bench.prepare(bench.others[1], 1, known.digest))
    assert not bench.sent(Commit)
    assert bench.node.store.prepared is not None, "but the certificate counts"
    bench.at(3)
    assert bench.sent(ViewChange)[-1].prepared_view == 1


def test_without_monotone_a_node_would_commit_below() -> None:
    class NoMonotone(Rules):
        def may_vote(self, _view: int, _current_view: int) -> bool:
            return True

    bench = Bench(rules=NoMonotone()).at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known), bench.prepare(bench.others[0], 1, known.digest))
    bench.at(2)
    with pytest.raises(AssertionError, match="MONOTONE"):
        bench.deliver(bench.prepare(bench.others[1], 1, known.digest))


def test_decide_on_a_commit_certificate() -> None:
    bench = Bench().at(1)
    known = prepared(bench)
    bench.deliver(*(bench.commit(member, 1, known.digest) for member in bench.others[:2]))
    assert bench.node.replica.tip_digest == known.digest
    effects = bench.effects[-1]
    assert isinstance(effects.persist[-1], DecidedRecord)
    assert [d.height for d in effects.decided] == [1]
    assert not effects.decided[0].caught_up
    (decided,) = bench.sent(Decided)
    assert bench.sent_to(Decided) == [()]
    assert decided.certificate.digest == known.digest


def test_decide_on_an_old_certificate_in_any_view() -> None:
    bench = Bench().at(1)
    known = prepared(bench)
    bench.at(3)
    bench.deliver(*(bench.commit(member, 1, known.digest) for member in bench.others[:2]))
    assert bench.node.replica.tip_digest == known.digest
    assert bench.effects[-1].decided[0].view == 1


def test_commits_are_not_mixed_over_views() -> None:
    bench = Bench(leads=4).at(1)
    known = prepared(bench)
    first, second, third = bench.others
    bench.at(2)
    bench.deliver(bench.commit(first, 1, known.digest))
    bench.deliver(bench.commit(second, 2, known.digest), bench.commit(third, 3, known.digest))
    assert bench.node.replica.tip_height == 0
    bench.deliver(bench.commit(second, 1, known.digest))
    assert bench.node.replica.tip_height == 1


def test_votes_for_different_blocks_are_not_counted_together() -> None:
    bench = Bench().at(1)
    known, other = bench.block(1), bench.block(1, b"other")
    bench.deliver(bench.pre_prepare(1, known), bench.prepare(bench.others[0], 1, known.digest))
    bench.deliver(bench.prepare(bench.others[1], 1, other.digest))
    assert not bench.sent(Commit)


def test_an_unknown_decided_block_is_fetched_by_digest_from_its_voters_in_turn() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(*(bench.commit(member, 1, known.digest) for member in bench.others))
    assert bench.node.replica.tip_height == 0
    bench.at(1, 2 * DELTA_MS)
    asked = [to[0] for to in bench.sent_to(BlockRequest)]
    assert len(set(asked)) == 2
    assert all(request.digest == known.digest for request in bench.sent(BlockRequest))
    bench.deliver(BlockResponse(1, known.raw), peer=asked[0])
    assert bench.node.replica.tip_digest == known.digest


def test_an_invalid_block_is_not_prepared() -> None:
    bench = Bench().at(1)
    good = bench.block(1)
    bench.node.application.states[0] = bench.node.application.states[0].__class__(
        b"elsewhere" + bytes(23), *list(_fields(bench))[1:]
    )
    bench.deliver(bench.pre_prepare(1, good))
    assert not bench.sent(Prepare)
    assert "block_state_root" in bench.refused


def _fields(bench: Bench) -> list[object]:
    state = bench.node.application.states[0]
    return [getattr(state, name) for name in state.__dataclass_fields__]


def test_the_leader_prepares_its_own_proposal() -> None:
    bench = Bench(leads=1).at(1)
    bench.node.submit(b"tx")
    assert len(bench.sent(Prepare)) == 1
