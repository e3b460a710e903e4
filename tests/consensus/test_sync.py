"""CONSENSUS section 7: catch-up."""

from collections.abc import Iterable

import msgspec
from consensus_bench import Bench
from consensus_harness import DELTA_MS, Network, Node, signed

from p2penergy.consensus.effects import Adopted, Effects
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Decided,
    Message,
    Status,
    SyncRequest,
    SyncResponse,
    decode_block,
    encode,
)


def grown(slots: int) -> Network:
    """Three of four at work; the fourth stays down."""
    network = Network(4)
    network.nodes[3].stop()
    network.start()
    for slot in range(1, slots):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
    network.run_to_slot(slots)
    return network


def test_a_wiped_node_reaches_the_tip_and_takes_part_again() -> None:
    network = grown(20)
    late = network.nodes[3]
    late.restart()
    network.run_slots(2)
    assert late.replica.tip_height == network.nodes[0].replica.tip_height
    assert all(decision.caught_up for decision in late.decisions[:-1])
    assert late.application.states[-1].root == network.nodes[0].application.states[-1].root
    for slot in range(23, 28):
        network.run_to_slot(slot)
        network.submit_everywhere(b"more %d" % slot)
    network.run_slots(1)
    assert len(set(network.heights)) == 1
    assert late.store.votes


def test_blocks_of_catch_up_are_announced_to_nobody() -> None:
    network = grown(10)
    late = network.nodes[3]
    announced: set[int] = set()

    def listen(node: Node, effects: Effects) -> None:
        sends = [send.message for send in effects.send if node is late and not send.to]
        announced.update(message.certificate.height for message in sends if isinstance(message, Decided))

    network.on_effects = listen
    late.restart()
    network.run_until(network.now_ms + 100)
    caught_up = {decision.height for decision in late.decisions if decision.caught_up}
    assert len(caught_up) > 2
    assert not caught_up & announced


def test_a_decided_tip_that_got_lost_is_made_up_for_by_the_answer_to_a_view_change() -> None:
    network = Network(4).start()
    victim = network.nodes[1]

    def deaf_to_decisions(_source: bytes, target: bytes, message: Message) -> Iterable[int]:
        is_tip = type(message).__name__ in {"Decided", "Commit"} and network.slot < 3
        return () if target == victim.id and is_tip else (10,)

    network.policy = deaf_to_decisions
    network.run_to_slot(1)
    network.submit_everywhere(b"tx")
    network.run_to_slot(1, 999)
    assert [node.replica.tip_height for node in network.nodes] == [1, 0, 1, 1]
    network.run_to_slot(6)
    assert victim.replica.tip_height >= 1


def test_a_higher_decision_is_a_claim_whoever_signed_it_but_not_of_another_chain() -> None:
    """Its committee can be one of newcomers, whose keys a node that is far behind does not know."""
    bench = Bench().at(1)
    unsigned = msgspec.structs.replace(bench.cc(1, bytes(32), ()), height=7)
    ours = decode_block(bench.block(1).raw)
    other = msgspec.structs.replace(ours, header=msgspec.structs.replace(ours.header, chain_id=bytes(32)))
    for raw in (b"block", encode(other)):
        bench.deliver(Decided(raw, unsigned), peer=bench.others[0])
    assert bench.refused == {"bad_block"}
    assert bench.sent(SyncRequest) == []
    bench.deliver(Decided(encode(ours), unsigned), peer=bench.others[0])
    assert len(bench.sent(SyncRequest)) == 1


def test_any_message_for_a_higher_height_prompts_a_sync() -> None:
    for make in (
        lambda bench: Status(7, 9),
        lambda bench: signed(
            msgspec.structs.replace(bench.prepare(bench.others[0], 3, bytes(32)), height=7), bench.chain_id
        ),
        lambda bench: Decided(
            bench.block(1).raw, msgspec.structs.replace(bench.cc(1, bytes(32), ()), height=7)
        ),
    ):
        bench = Bench().at(1)
        bench.deliver(make(bench), peer=bench.others[0])
        assert bench.sent_to(SyncRequest) == [(bench.others[0],)]
        assert bench.sent(SyncRequest)[0].height == 1


def test_one_block_behind_is_given_a_little_time() -> None:
    bench = Bench().at(1)
    bench.deliver(Status(2, 2), peer=bench.others[0])
    assert not bench.sent(SyncRequest)
    assert bench.effects[-1].wake_at_ms == bench.network.now_ms + DELTA_MS
    bench.at(1, DELTA_MS)
    assert len(bench.sent(SyncRequest)) == 1


def test_a_liar_about_its_tip_is_not_waited_for() -> None:
    bench = Bench().at(1)
    liar, honest, _ = bench.others
    bench.deliver(Status(900, 900), peer=liar)
    bench.deliver(Status(5, 5), peer=honest)
    assert bench.sent_to(SyncRequest) == [(liar,)]
    bench.at(2)
    assert bench.sent_to(SyncRequest) == [(liar,), (honest,)]


def responses(bench: Bench, count: int) -> list[Decided]:
    """The first blocks of a chain that the others decided, from another node's view."""
    other = Bench(leads=4).at(1)
    blocks = []
    for view in range(1, count + 1):
        other.at(view)
        known = other.block(view, b"tx %d" % view)
        blocks.append(Decided(known.raw, other.cc(view, known.digest)))
        other.deliver(blocks[-1])
    assert other.chain_id == bench.chain_id
    return blocks


def asking() -> tuple[Bench, bytes]:
    bench = Bench(leads=4).at(1)
    peer = bench.others[0]
    bench.deliver(Status(9, 9), peer=peer)
    return bench, peer


def test_blocks_are_adopted_one_by_one_as_far_as_they_prove_themselves() -> None:
    bench, peer = asking()
    first, second, third = responses(bench, 3)
    forged = Decided(
        second.block,
        msgspec.structs.replace(
            second.certificate, votes=tuple((member, bytes(64)) for member, _ in second.certificate.votes)
        ),
    )
    bench.deliver(SyncResponse(3, (first, forged, third)), peer=peer)
    assert bench.node.replica.tip_height == 1
    assert "bad_certificate" in bench.refused


def test_a_certificate_of_too_few_or_of_another_block_is_not_adopted() -> None:
    bench, peer = asking()
    first, second = responses(bench, 2)
    thin = msgspec.structs.replace(first.certificate, votes=first.certificate.votes[:2])
    for blocks in ((Decided(first.block, thin),), (Decided(second.block, first.certificate),)):
        bench.deliver(Status(9, 9), peer=peer)
        bench.at(bench.network.slot + 2)
        bench.deliver(SyncResponse(2, blocks), peer=peer)
        assert bench.node.replica.tip_height == 0


def test_timeliness_is_not_asked_of_old_blocks() -> None:
    bench, peer = asking()
    bench.network.now_ms = bench.network.slot_ms(500)
    bench.deliver(SyncResponse(3, tuple(responses(bench, 3))), peer=peer)
    assert bench.node.replica.tip_height == 3


def test_a_late_answer_is_welcome_and_skips_what_is_known() -> None:
    bench, peer = asking()
    blocks = responses(bench, 3)
    bench.at(5)
    bench.deliver(blocks[0])
    bench.deliver(SyncResponse(3, tuple(blocks)), peer=peer)
    assert bench.node.replica.tip_height == 3
    assert "unrequested" not in bench.refused


def test_a_driver_may_hand_in_blocks_that_it_found_elsewhere() -> None:
    bench = Bench(leads=4).at(2)
    first, second = responses(bench, 2)
    bench.node.step(Adopted(first.block, first.certificate, bench.others[0]))
    assert bench.node.replica.tip_height == 1
    assert bench.effects[-1].decided[0].caught_up
    bench.node.step(Adopted(first.block, first.certificate, bench.others[0]))
    assert "height_window" in bench.refused
    bench.node.step(Adopted(second.block, second.certificate, bench.others[0]))
    assert bench.node.replica.tip_height == 2


def test_an_undecided_block_is_delivered_and_so_is_the_tip() -> None:
    bench = Bench(leads=4).at(1)
    known = bench.block(1)
    peer = bench.others[0]
    bench.deliver(bench.pre_prepare(1, known))
    bench.deliver(BlockRequest(1, known.digest), peer=peer)
    assert bench.sent(BlockResponse) == [BlockResponse(1, known.raw)]
    bench.deliver(BlockRequest(1, bytes(32)), peer=peer)
    assert "block_not_held" in bench.refused
    bench.deliver(Decided(known.raw, bench.cc(1, known.digest)))
    bench.at(2)
    bench.deliver(BlockRequest(1, known.digest), peer=peer)
    assert bench.sent_to(Decided)[-1] == (peer,)


def test_a_block_that_is_not_the_wanted_one_is_refused() -> None:
    bench = Bench(leads=4).at(1)
    known, other = bench.block(1), bench.block(1, b"other")
    bench.deliver(*(bench.commit(member, 1, known.digest) for member in bench.others))
    bench.deliver(BlockResponse(1, other.raw), peer=bench.others[0])
    bench.deliver(BlockResponse(1, b"nonsense"), peer=bench.others[0])
    assert bench.refused == {"unrequested", "block_malformed"}


def test_whoever_is_behind_is_told_the_tip_on_status() -> None:
    bench = Bench(leads=4).at(1)
    bench.decide(1)
    bench.at(2)
    bench.deliver(Status(1, 1), peer=bench.others[0])
    bench.deliver(Status(2, 2), peer=bench.others[1])
    assert bench.sent_to(Decided)[1:] == [(bench.others[0],)]


def test_decided_of_the_own_height_with_an_invalid_block_is_refused() -> None:
    bench = Bench(leads=4).at(1)
    bench.deliver(Decided(b"nonsense", bench.cc(1, bytes(32))))
    assert bench.refused == {"block_malformed"}
    assert bench.node.replica.tip_height == 0


def test_blocks_handed_in_one_by_one_ask_for_more_only_when_they_stop_coming() -> None:
    bench, peer = asking()
    bench.network.now_ms = bench.network.slot_ms(3)
    for block in responses(bench, 3):
        bench.node.step(Adopted(block.block, block.certificate, peer))
    assert bench.node.replica.tip_height == 3
    assert len(bench.sent(SyncRequest)) == 1
    bench.at(3, 2 * DELTA_MS)
    assert [request.height for request in bench.sent(SyncRequest)] == [1, 4]


def test_a_bad_block_handed_in_ends_the_claim_of_its_peer() -> None:
    bench, peer = asking()
    honest = bench.others[1]
    bench.deliver(Status(9, 9), peer=honest)
    (first,) = responses(bench, 1)
    thin = msgspec.structs.replace(first.certificate, votes=first.certificate.votes[:2])
    bench.node.step(Adopted(first.block, thin, peer))
    assert "bad_certificate" in bench.refused
    assert bench.sent_to(SyncRequest) == [(peer,), (honest,)]
