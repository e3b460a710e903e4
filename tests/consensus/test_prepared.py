"""CONSENSUS section 4, PREPARED: (pv, pd) only grows."""

from consensus_bench import Bench

from p2penergy.consensus.effects import PreparedRecord
from p2penergy.messages import Prepare, ViewChange


def claims(bench: Bench) -> list[tuple[int | None, bytes | None]]:
    return [(change.prepared_view, change.prepared_digest) for change in bench.sent(ViewChange)]


def test_a_certificate_of_a_lower_view_changes_nothing() -> None:
    bench = Bench(leads=4).at(3)
    newer, older = b"n" * 32, b"o" * 32
    bench.deliver(*(bench.prepare(member, 2, newer) for member in bench.others))
    bench.deliver(*(bench.prepare(member, 1, older) for member in bench.others))
    bench.at(5)
    assert claims(bench)[-1] == (2, newer)


def test_certificates_are_durable_when_they_are_learnt() -> None:
    bench = Bench(leads=4).at(2)
    bench.deliver(*(bench.prepare(member, 1, b"d" * 32) for member in bench.others))
    (record,) = (r for e in bench.effects for r in e.persist if isinstance(r, PreparedRecord))
    assert (record.view, record.digest) == (1, b"d" * 32)


def test_a_certificate_beside_a_message_counts_when_its_block_is_here() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.at(2)
    bench.deliver(bench.view_change(bench.others[0], 3, bench.pc(1, known.digest)))
    bench.at(3)
    assert claims(bench)[-1] == (1, known.digest)


def test_a_certificate_beside_a_message_does_not_count_without_its_block() -> None:
    bench = Bench(leads=4).at(2)
    bench.deliver(bench.view_change(bench.others[0], 3, bench.pc(1, b"x" * 32)))
    bench.at(3)
    assert claims(bench)[-1] == (None, None)


def test_who_prepares_a_reproposal_takes_its_certificate_over() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(1)
    proof = bench.pc(1, known.digest)
    bench.deliver(bench.pre_prepare(2, known, bench.bare_changes(2, 3, proof), proof))
    assert [prepare.view for prepare in bench.sent(Prepare)] == [2]
    bench.at(3)
    assert claims(bench)[-1] == (1, known.digest)
