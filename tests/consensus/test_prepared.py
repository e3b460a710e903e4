"""CONSENSUS section 4, PREPARED: (pv, pd) only grows, and whoever claims a block can deliver it."""

from collections.abc import Iterable

from consensus_bench import Bench
from consensus_harness import Network

from p2penergy.consensus.effects import PreparedRecord
from p2penergy.consensus.instance import KNOWN_BLOCKS_MAX
from p2penergy.messages import Message, Prepare, PrePrepare, ViewChange


def claims(bench: Bench) -> list[tuple[int | None, bytes | None]]:
    return [(change.prepared_view, change.prepared_digest) for change in bench.sent(ViewChange)]


def test_a_certificate_of_a_lower_view_changes_nothing() -> None:
    bench = Bench(leads=4).at(1)
    older, newer = bench.block(1), bench.block(2)
    bench.deliver(bench.pre_prepare(1, older), bench.pre_prepare(2, newer, bench.bare_changes(2, 3)))
    bench.at(3)
    bench.deliver(*(bench.prepare(member, 2, newer.digest) for member in bench.others))
    bench.deliver(*(bench.prepare(member, 1, older.digest) for member in bench.others))
    bench.at(5)
    assert claims(bench)[-1] == (2, newer.digest)


def test_certificates_are_durable_when_they_are_learnt() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(1)
    bench.deliver(bench.pre_prepare(1, known))
    bench.at(2)
    bench.deliver(*(bench.prepare(member, 1, known.digest) for member in bench.others))
    (record,) = (r for e in bench.effects for r in e.persist if isinstance(r, PreparedRecord))
    assert (record.view, record.digest) == (1, known.digest)


def test_votes_that_make_a_certificate_do_not_count_without_their_block() -> None:
    bench = Bench(leads=4).at(2)
    bench.deliver(*(bench.prepare(member, 1, b"d" * 32) for member in bench.others))
    bench.at(3)
    assert claims(bench)[-1] == (None, None)


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


def test_a_certificate_without_its_block_does_not_end_the_chain() -> None:
    network = Network(4)
    first, second = (network.nodes[0].replica.leader(1, view) for view in (1, 2))
    witness, silent = network.by_id[second][0], network.by_id[network.nodes[0].replica.leader(1, 4)][0]
    proposed: set[bytes] = set()

    def one_counts_without_the_block(source: bytes, target: bytes, message: Message) -> Iterable[int]:
        if isinstance(message, Prepare):
            return (10,) if target == witness.id else ()
        return () if isinstance(message, PrePrepare) and target == witness.id else (10,)

    def nobody_counts(source: bytes, target: bytes, message: Message) -> Iterable[int]:
        if isinstance(message, PrePrepare):
            proposed.add(message.digest)
        return () if witness.id in (source, target) or isinstance(message, Prepare) else (10,)

    network.policy = one_counts_without_the_block
    network.start().submit_everywhere(b"a trade")
    network.run_to_slot(2)
    assert first != second and network.heights == [0] * 4
    # So many blocks come to nothing that those who voted for the first one have let go of it.
    network.policy = nobody_counts
    while len(proposed) < KNOWN_BLOCKS_MAX + 4:
        network.run_slots(1)
    # The witness comes back, and one other falls silent for good: every vote is needed now.
    silent.stop()
    network.policy = lambda source, target, _: () if silent.id in (source, target) else (10,)
    network.run_slots(8 * 6)
    assert [node.replica.tip_height > 0 for node in network.nodes if node is not silent] == [True] * 3
