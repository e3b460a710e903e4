"""CONSENSUS section 4, ENTER: by clock, by proposal, by f + 1; VIEW-CHANGE sent and sent again."""

from consensus_bench import Bench
from consensus_harness import ALPHA_MS, DELTA_MS

from p2penergy.consensus.effects import Tick, ViewRecord
from p2penergy.messages import Commit, Prepare, PrePrepare, Status, ViewChange


def test_enter_by_clock_tells_the_new_leader_and_nobody_else() -> None:
    bench = Bench().at(1).at(2)
    assert bench.node.replica.view == 2
    assert [change.view for change in bench.sent(ViewChange)] == [2]
    assert bench.sent_to(ViewChange) == [(bench.leader(2),)]


def test_entering_the_first_view_of_a_height_sends_no_view_change() -> None:
    bench = Bench().at(1)
    assert bench.node.replica.view == 1
    assert not bench.sent(ViewChange)


def test_no_view_is_entered_before_the_first_slot() -> None:
    bench = Bench().at(0, ALPHA_MS - 1)
    assert bench.node.replica.view == 0


def test_the_view_is_durable_before_the_view_change_is_sent() -> None:
    bench = Bench().at(2)
    records = bench.effects[-1].persist
    assert ViewRecord(1, 2) in records
    assert len(records) == 2
    assert bench.effects[-1].send


def test_view_change_is_sent_again_ever_more_seldom_with_the_same_bytes() -> None:
    bench = Bench().at(2)
    for sent, deltas in enumerate((1, 3, 7), 1):
        bench.at(2, deltas * DELTA_MS - 1)
        assert len(bench.sent(ViewChange)) == sent
        bench.at(2, deltas * DELTA_MS)
        assert len(bench.sent(ViewChange)) == sent + 1
    assert len(set(bench.sent(ViewChange))) == 1


def test_each_view_begins_to_repeat_its_view_change_anew() -> None:
    bench = Bench().at(2)
    bench.at(2, DELTA_MS)
    bench.at(2, 3 * DELTA_MS)
    bench.at(3)
    sent = len(bench.sent(ViewChange))
    bench.at(3, DELTA_MS)
    assert len(bench.sent(ViewChange)) == sent + 1


def test_a_clock_set_back_does_not_stop_the_repetition() -> None:
    bench = Bench().at(2, 500)
    bench.at(1, 0)
    assert len(bench.sent(ViewChange)) == 2


def test_the_slot_does_not_go_back_with_the_clock_within_a_height() -> None:
    bench = Bench().at(3)
    bench.at(1)
    assert bench.node.replica.view == 3
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    assert not bench.sent(Prepare)


def test_a_clock_that_ran_ahead_is_read_afresh_at_a_new_height() -> None:
    bench = Bench().at(500)
    assert bench.node.replica.view > 20
    bench.network.now_ms = bench.network.slot_ms(1) + 100
    bench.decide(1)
    assert bench.node.replica.view == 1, "no view of height 2 yet, by the clock of slot 1"
    bench.at(2)
    known = bench.block(2)
    bench.deliver(bench.pre_prepare(2, known))
    assert [prepare.height for prepare in bench.sent(Prepare)] == [2] or bench.leader(2) == bench.me


def test_first_view_comes_from_the_parents_header_not_from_when_it_was_decided() -> None:
    bench = Bench().at(5)
    bench.decide(2)
    assert bench.node.replica.first == 3


def test_enter_by_justified_proposal_without_a_view_change() -> None:
    bench = Bench().at(1)
    changes = bench.bare_changes(2, 3)
    bench.network.now_ms = bench.network.slot_ms(2) - 10
    bench.deliver(bench.pre_prepare(2, bench.block(2), changes))
    assert bench.node.replica.view == 2
    assert not bench.sent(ViewChange)
    assert [prepare.view for prepare in bench.sent(Prepare)] == [2]


def test_f_plus_1_view_changes_for_higher_views_enter_the_smallest() -> None:
    bench = Bench().at(1)
    first, second, _ = bench.others
    bench.deliver(bench.view_change(first, 3))
    assert bench.node.replica.view == 1
    bench.deliver(bench.view_change(second, 2))
    assert bench.node.replica.view == 2
    assert [change.view for change in bench.sent(ViewChange)] == [2]


def test_one_member_cannot_count_as_f_plus_1() -> None:
    bench = Bench().at(1)
    bench.deliver(bench.view_change(bench.others[0], 2), bench.view_change(bench.others[0], 3))
    assert bench.node.replica.view == 1


def test_a_prepared_certificate_travels_with_the_view_change() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.deliver(*(bench.prepare(member, 1, known.digest) for member in bench.others[:2]))
    bench.at(2)
    (change,) = bench.sent(ViewChange)
    assert (change.prepared_view, change.prepared_digest) == (1, known.digest)
    assert change.certificate is not None
    assert len(change.certificate.votes) == 3


def test_prepares_of_a_skipped_view_are_not_denied_on_leaving() -> None:
    bench = Bench(leads=3).at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.deliver(*(bench.prepare(member, 2, known.digest) for member in bench.others))
    bench.at(4)
    (change,) = bench.sent(ViewChange)
    assert (change.view, change.prepared_view) == (4, 2)


def test_a_view_change_never_names_its_own_view_as_prepared() -> None:
    bench = Bench().at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.deliver(*(bench.prepare(member, 2, known.digest) for member in bench.others))
    bench.at(2)
    assert bench.sent(ViewChange)[0].prepared_view is None
    bench.at(3)
    assert bench.sent(ViewChange)[1].prepared_view == 2


def test_second_look_on_entry_at_a_buffered_proposal() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(2)
    bench.deliver(*(bench.prepare(member, 2, known.digest) for member in bench.others[:2]))
    bench.network.now_ms = bench.network.slot_ms(2) - 5
    bench.deliver(bench.pre_prepare(2, known, bench.bare_changes(2, 3)))
    assert [commit.view for commit in bench.sent(Commit)] == [2]


def test_who_is_no_member_asks_the_leaders_in_turn() -> None:
    bench = Bench(3, spare=1)
    observer = bench.network.nodes[3]
    assert observer.id not in bench.members
    seen: list[tuple[bytes, ...]] = []
    bench.network.on_effects = lambda node, effects: seen.extend(
        send.to for send in effects.send if node is observer and isinstance(send.message, Status)
    )
    for slot in (1, 2, 3, 4):
        bench.network.now_ms = bench.network.slot_ms(slot)
        observer.step(Tick())
    assert seen == [(bench.leader(view),) for view in (2, 3, 4)]


def test_leaving_a_view_for_a_later_one_forgets_its_proposal() -> None:
    bench = Bench(leads=4).at(1)
    bench.at(2)
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    assert "view_left" in bench.refused
    assert not bench.sent(Prepare)
    assert not bench.sent(PrePrepare)
