"""Four real nodes over loopback TCP and TLS, each with its own SQLite file: what a community relies on."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest
from node_network import (
    FIRST_PERIOD,
    PATIENCE_S,
    Village,
    certified,
    eventually,
)

from p2penergy.client import ClientError
from p2penergy.consensus.effects import Effects, Refusal, Tick
from p2penergy.consensus.replica import Replica
from p2penergy.founding import WALLET_NANO
from p2penergy.ledger.receipts import ReadingReceipt, TradeReceipt, decode_receipt
from p2penergy.ledger.records import decode_integer
from p2penergy.ledger.transactions import sign_reading, transaction_id
from p2penergy.light import Light
from p2penergy.membership.authority import Authority
from p2penergy.messages import (
    PROTOCOL,
    PROTOCOL_VERSION,
    Evidence,
    HeadersRequest,
    HeadersResponse,
    Prepare,
    Query,
    Refused,
    Request,
    SyncRequest,
    decode_message,
    encode,
)
from p2penergy.node import NodeHaltedError
from p2penergy.proofs import ProofError, check_proof, decode_proof
from p2penergy.signing import EcdsaChecker, check_message
from transport import AddressInUse, NotListening


async def test_a_reading_and_a_contract_are_decided_and_told_by_f_plus_1(village: Village) -> None:
    await village.start()
    await village.connect()
    seller, buyer = village.household(5), village.household(6)
    async with asyncio.timeout(PATIENCE_S):
        minted = await seller.report(FIRST_PERIOD, 0, 500)
        await buyer.report(FIRST_PERIOD, 400, 0)
        assert isinstance(minted, ReadingReceipt)
        assert (minted.meter, minted.export_wh, minted.accepted) == (seller.participant_id, 500, True)
        terms = seller.terms_with(buyer, FIRST_PERIOD, 300, 200_000)
        trade = await seller.conclude(terms, buyer.agree(terms))
        assert isinstance(trade, TradeReceipt)
        assert trade.accepted
        assert (trade.energy_wh, trade.amount_nano) == (300, 300 * 200_000)
        # The other party did not ask, and is told all the same.
        told = await buyer.told(trade.transaction_id)
    assert told.receipt == trade
    await village.grown(1)
    at_height = {running.height: running.node.ledger.state_root for running in village.nodes.values()}
    assert all(running.node.ledger.audit_totals().is_conserved() for running in village.nodes.values())
    for running in village.nodes.values():
        assert running.store.receipts(told.height) == village.nodes["H001"].store.receipts(told.height)
        assert running.node.ledger.state_root == at_height[running.height]


async def test_who_asks_twice_gets_the_same_receipt(village: Village) -> None:
    await village.start()
    await village.connect()
    household = village.household(5)
    reading = sign_reading(household._signer, household.chain_id, FIRST_PERIOD, 10, 0)
    key = transaction_id(reading, household.chain_id)
    async with asyncio.timeout(PATIENCE_S):
        [first] = await household.client.results([(key, encode(reading))])
        again = [await household.client.results([(key, encode(reading))]) for _ in range(3)]
    assert again == [[first]] * 3
    for running in village.nodes.values():
        # f+1 have answered; the others may still be on their way there.
        await eventually(lambda r=running: r.store.transaction(key) is not None)
        assert running.store.transaction(key) == (first.height, first.index)


async def test_another_answer_to_the_same_question_is_refused(village: Village) -> None:
    await village.start()
    await village.connect()
    household = village.household(5)
    async with asyncio.timeout(PATIENCE_S):
        await household.report(FIRST_PERIOD, 10, 0)
        with pytest.raises(ClientError, match="answered already"):
            await household.report(FIRST_PERIOD, 11, 0)


async def test_what_is_decided_but_not_yet_durable_is_not_refused(village: Village) -> None:
    await village.start()
    await village.connect()
    household, running = village.household(5), village.nodes["H001"]
    reading = sign_reading(household._signer, household.chain_id, FIRST_PERIOD, 10, 0)
    key, requests = transaction_id(reading, household.chain_id), running.node.requests
    async with asyncio.timeout(PATIENCE_S):
        await household.client.results([(key, encode(reading))])
    await eventually(lambda: not requests._being_written and running.store.transaction(key) is not None)
    mesh, listener, peer = await village.dial_as("H006", "H001")
    # As it is between a decision and the disk's word for it.
    requests.decided([encode(reading)], [key])
    stored, running.node.replies.answer_again = running.node.replies.answer_again, lambda *_: False
    requests._answer_again = lambda *_: False
    before = requests.refused["answered"]
    mesh.send(peer, encode(Request((encode(reading),), relayed=False)))
    await eventually(lambda: requests.refused["answered"] > before)
    mesh.send(peer, encode(Query(1, "status", b"")))
    await eventually(lambda: listener.frames)
    assert not any(isinstance(decode_message(frame), Refused) for _, frame in listener.frames)
    requests.published([key])
    mesh.send(peer, encode(Request((encode(reading),), relayed=False)))
    await eventually(lambda: any(isinstance(decode_message(f), Refused) for _, f in listener.frames))
    requests._answer_again = stored


async def test_a_block_that_is_not_yet_durable_is_told_to_nobody(village: Village) -> None:
    await village.start()
    running = village.nodes["H001"]
    store, submit, held = running.store, running.store.submit, []
    await eventually(lambda: store.tip() > 0)
    store.submit = lambda *records_and_done: held.append(records_and_done)  # type: ignore[method-assign]
    await eventually(lambda: running.node.replica.tip_height > store.tip(), "the others decide without it")
    told, ((tip, _),) = running.node.status(), store.headers(store.tip(), 1)
    assert (told["height"], told["slot"]) == (tip.height, tip.slot)
    assert bytes.fromhex(told["state_root"]) == tip.state_root
    store.submit = submit  # type: ignore[method-assign]
    for records, done in held:
        submit(records, done)
    await eventually(lambda: running.node.status()["height"] > tip.height)


async def test_signatures_are_forgotten_with_what_they_were_remembered_for(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2penergy.node.SIGNATURES_KEPT", 8)
    await village.start()
    await village.grown(8)
    for running in village.nodes.values():
        # Eight blocks have some ten votes each.
        assert running.node.verifier.checker.remembered < 40


async def test_a_proof_from_one_validator_is_enough(village: Village) -> None:
    await village.start()
    await village.connect()
    household = village.household(5)
    genesis = village.community.genesis
    async with asyncio.timeout(PATIENCE_S):
        receipt = await household.report(FIRST_PERIOD, 0, 70)
        result = await household.client.proven(receipt.transaction_id)
        assert decode_receipt(result.receipt) == receipt
        with pytest.raises(ClientError, match="no node proves the transaction: no such transaction"):
            await household.client.proven(b"x" * 32)
        peer = village.community.meters["H001"].participant_id
        await eventually(lambda: village.nodes["H001"].store.tip() >= result.height)
        body = await household.client.query(peer, "proof", receipt.transaction_id)
    proof, checker = decode_proof(body), EcdsaChecker()
    check_proof(proof, Light(genesis, checker))
    change = msgspec.structs.replace
    votes = proof.certificate.votes
    forged = [
        change(proof, header=change(proof.header, period=proof.header.period + 1)),
        change(proof, header=change(proof.header, chain_id=b"x" * 32)),
        change(proof, certificate=change(proof.certificate, votes=votes[:2])),
        change(proof, certificate=change(proof.certificate, votes=(*votes[:2], votes[1]))),
        change(proof, certificate=change(proof.certificate, votes=((b"s" * 20, votes[0][1]), *votes[1:]))),
        change(proof, certificate=change(proof.certificate, view=proof.certificate.view + 1)),
        change(proof, receipts_root=b"x" * 32),
        change(proof, receipts_count=proof.receipts_count + 1),
        change(proof, proven=change(proof.proven, receipt=b"another")),
    ]
    for false in forged:
        with pytest.raises(ProofError):
            check_proof(false, Light(genesis, checker))


async def test_a_certified_stranger_may_only_ask_for_headers(village: Village) -> None:
    await village.start()
    await village.grown(1)
    mesh, listener = await village.dial("H001", *village.newcomer())
    node = village.nodes["H001"].node
    peer = village.community.meters["H001"].participant_id
    await eventually(lambda: peer in listener.up)
    for refused, message in enumerate(
        (Query(1, "status", b""), SyncRequest(1, 1), Request((b"transaction",), relayed=True)), 1
    ):
        mesh.send(peer, encode(message))
        await eventually(lambda n=refused: node.refusals()["not_a_member"] == n)
    mesh.send(peer, encode(HeadersRequest(1, 5)))
    await eventually(lambda: listener.frames)
    [(_, frame)] = listener.frames
    answer = decode_message(frame)
    assert isinstance(answer, HeadersResponse)
    assert answer.headers[0][0].height == 1
    assert node.status()["refused"]["not_a_member"] == 3


async def test_another_communitys_devices_are_refused(village: Village) -> None:
    await village.start()
    other = Authority.in_memory("Oak Street")
    # It trusts our authority, and itself was certified by another.
    tls, name = certified(other, [village.community.authority_pem])
    _, listener = await village.dial("H001", tls, name)
    mesh = village.nodes["H001"].mesh

    def refused() -> int:
        counters = village.nodes["H001"].node.status()["transport"]
        return sum(count for code, count in counters.items() if code.startswith("refused_tls"))

    await eventually(refused, "a refusal by TLS")
    assert listener.up == set()
    assert name not in mesh.connected()
    await village.grown(1)


async def test_another_chain_is_refused(village: Village) -> None:
    await village.start()
    meter = village.community.meters["H006"]
    _, listener = await village.dial(
        "H001", village.community.tls("H006"), meter.participant_id, network=b"x" * 32
    )
    counters = village.nodes["H001"].mesh.counters
    await eventually(lambda: counters().get("refused_wrong_network", 0))
    assert listener.up == set()


async def test_another_version_of_the_protocol_is_refused_in_the_handshake(village: Village) -> None:
    await village.start()
    device = village.community.tls("H006"), village.community.meters["H006"].participant_id
    _, listener = await village.dial("H001", *device, protocol=f"p2penergy/{PROTOCOL_VERSION + 1}")
    counters = village.nodes["H001"].mesh.counters
    await eventually(lambda: counters().get("refused_wrong_protocol", 0))
    assert listener.up == set()
    # The one that genesis and the headers name is the one of the handshake.
    assert f"p2penergy/{village.community.genesis.version}" == PROTOCOL


async def test_a_silent_leader_is_followed_by_the_next(village: Village) -> None:
    await village.start("H001", "H002", "H003")
    await village.connect()
    silent = village.community.meters["H004"].participant_id
    async with asyncio.timeout(PATIENCE_S):
        for period in range(FIRST_PERIOD, FIRST_PERIOD + 4):
            await village.trade(period)
    for running in village.nodes.values():
        status = running.node.status()
        leaders = running.node.coordinator.leaders
        assert leaders.blocks_by_leader[silent] == 0
        assert sum(leaders.blocks_by_leader.values()) == running.height
        assert status["leader_mismatches"] == 0
    # Some slot was the silent one's, and passed without a block.
    await eventually(
        lambda: all(r.node.coordinator.leaders.slots_by_leader[silent] for r in village.nodes.values())
    )
    assert all(r.node.status()["consensus"]["views_entered"] for r in village.nodes.values())


async def test_who_was_stopped_catches_up(village: Village) -> None:
    await village.start()
    await village.connect()
    async with asyncio.timeout(PATIENCE_S):
        await village.trade(FIRST_PERIOD)
        await village.stop("H003")
        missed_from = max(village.heights())
        for period in range(FIRST_PERIOD + 1, FIRST_PERIOD + 4):
            await village.trade(period)
    missed_to = min(village.heights())
    assert missed_to > missed_from
    await village.start("H003")
    await village.grown(2)
    late, other = village.nodes["H003"], village.nodes["H001"]
    assert late.node.replica.counters["decided_caught_up"] >= 1
    for height in range(1, missed_to + 1):
        assert late.store.blocks(height, 1, 1 << 22)[0][0] == other.store.blocks(height, 1, 1 << 22)[0][0]
    # It votes again, and nobody saw it contradict itself.
    await eventually(lambda: late.node.replica.counters["signed_commit"])
    assert not any(r.node.replica.counters["evidence"] for r in village.nodes.values())


async def test_an_observer_follows_and_signs_nothing(village: Village) -> None:
    """Even one that genesis counts among the validators: it is told everything, and its vote is missing."""
    name = village.community.validators[3]
    settings = village.community.homes[name] / "config.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace('role = "validator"', 'role = "observer"'), "utf-8")
    await village.start()
    await village.connect()
    async with asyncio.timeout(PATIENCE_S):
        await village.trade(FIRST_PERIOD)
    await village.grown()
    observer, others = village.nodes[name], [each for each in village.nodes if each != name]
    assert observer.node.status()["role"] == "observer"
    heights = range(1, observer.height + 2)
    assert not [vote for height in heights for vote in observer.store.votes(height)]
    assert all(village.nodes[other].store.votes(1) for other in others)
    assert observer.participant_id.hex() not in observer.node.status()["blocks_by_leader"]


async def test_equivocation_is_noticed_and_counted(
    village: Village, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await village.start("H001", "H002", "H003")
    mesh, _, peer = await village.dial_as("H004", "H001")
    liar = village.community.meters["H004"].signer
    node, chain_id = village.nodes["H001"].node, village.community.genesis.chain_id
    evidence: list[Evidence] = []
    perform = node.outbox.perform

    def seen(effects: Effects) -> None:
        evidence.extend(effects.evidence)
        perform(effects)

    monkeypatch.setattr(node.outbox, "perform", seen)

    def contradict_itself() -> bool:
        # The height may end while the two are on their way: then once more.
        height, view = node.replica.height, max(node.replica.view, node.replica.first)
        for block in (b"a" * 32, b"b" * 32):
            vote = Prepare(liar.participant_id, height, view, block, bytes(64))
            signed = msgspec.structs.replace(vote, signature=liar.sign(vote.signed_bytes(chain_id)))
            mesh.send(peer, encode(signed))
        return node.status()["consensus"].get("evidence", 0) > 0

    with caplog.at_level("WARNING", "p2penergy.node"):
        await eventually(contradict_itself)
    assert evidence[0].sender == liar.participant_id
    check_message(evidence[0], b"", chain_id, partial(node.ledger.member_key, height=0), EcdsaChecker())
    said = [record for record in caplog.records if record.getMessage() == "equivocation"]
    assert {record.__dict__["member"] for record in said} == {liar.participant_id.hex()}
    await village.grown(2)


# ---- its own faults -------------------------------------------------------------------------------


async def test_what_escapes_a_callback_halts_the_node_with_one_sentence(
    village: Village, caplog: pytest.LogCaptureFixture
) -> None:
    await village.start("H001")
    running = village.nodes.pop("H001")
    before = running.store.tip()

    def broken() -> None:
        raise AssertionError("two blocks at one height")

    asyncio.get_running_loop().call_soon(broken)
    with pytest.raises(NodeHaltedError, match=r"^AssertionError: two blocks at one height$"):
        async with asyncio.timeout(PATIENCE_S):
            await running.task
    running.store.close()
    assert running.mesh.connected() == frozenset()
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == ["halted"]
    # Nothing is lost: it starts again from what it had.
    await village.start("H001")
    assert village.nodes["H001"].store.tip() >= before


async def test_a_broken_step_halts_the_node(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    await village.start("H001")
    running = village.nodes.pop("H001")

    def broken(*_: object) -> None:
        raise RuntimeError("a step does not come to rest")

    monkeypatch.setattr(running.node.replica, "step", broken)
    asyncio.get_running_loop().call_soon(running.node.coordinator.drive, Tick())
    with pytest.raises(NodeHaltedError, match="a step does not come to rest"):
        async with asyncio.timeout(PATIENCE_S):
            await running.task
    running.store.close()


async def test_a_broken_first_step_halts_the_node(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("what was stored contradicts itself")

    monkeypatch.setattr(Replica, "start", broken)
    with pytest.raises(NodeHaltedError, match="what was stored contradicts itself"):
        await village.start("H001")
        await village.nodes["H001"].task
    halted = village.nodes.pop("H001")
    halted.store.close()
    # Nothing of it listens any more.
    with pytest.raises(NotListening):
        _ = halted.mesh.address


async def test_a_failing_disk_halts_the_node(village: Village) -> None:
    await village.start("H001")
    running = village.nodes.pop("H001")
    running.store.close()
    with pytest.raises(NodeHaltedError, match="StoreError"):
        async with asyncio.timeout(PATIENCE_S):
            await running.task
    assert running.node.outbox.waiting == 0


async def test_a_port_in_use_is_said_at_start(village: Village) -> None:
    await village.start("H001")
    host, port = village.community.addresses[village.nodes["H001"].participant_id]
    home = village.community.homes["H002"]
    text = (home / "config.toml").read_text("utf-8")
    lines = [f'listen = "{host}:{port}"' if line.startswith("listen") else line for line in text.splitlines()]
    (home / "config.toml").write_text("\n".join(lines), "utf-8")
    with pytest.raises(AddressInUse, match=str(port)):
        await village.start("H002")
    failed = village.nodes.pop("H002")
    failed.store.close()


# ---- questions ------------------------------------------------------------------------------------


async def test_questions_are_answered_or_said_why_not(village: Village) -> None:
    await village.start()
    await village.connect()
    household = village.household(5)
    peer = village.community.meters["H001"].participant_id

    async def why_not(topic: str, argument: bytes = b"") -> str:
        with pytest.raises(ClientError) as caught:
            await household.client.query(peer, topic, argument)
        return str(caught.value)

    async with asyncio.timeout(PATIENCE_S):
        wallet = f"wallet/{household.participant_id.hex()}".encode()
        assert decode_integer(await household.client.agreed("state", wallet)) == WALLET_NANO
        assert await household.client.agreed("state", f"wallet/{'0' * 40}".encode()) == b""
        status = await household.client.query_json(peer, "status")
        topics = "entries, history, join, letters, post, proof, state, status, tip"
        assert await why_not("weather") == f"there is no topic 'weather'; there are {topics}"
        assert await why_not("state", b"purse/12") != ""
        assert await why_not("state", b"\xff") != ""
        assert await why_not("proof", b"short") == "no such transaction was decided here"
    assert status["name"] == peer.hex()
    assert status["height"] >= 0
    assert status["refused"] == dict(sorted(status["refused"].items()))
    assert status["transport"]["links_up"] >= 4


async def test_all_refusals_are_in_one_place(village: Village) -> None:
    await village.start()
    node = village.nodes["H001"].node
    node.inbox.refused["of_the_inbox"] += 1
    node.requests.refused["of_the_requests"] += 2
    # What only the core can refuse, after the signature: a vote that contradicts one it holds.
    node._perform(Effects(refused=[Refusal("of_the_core", b"p" * 20)]))
    told = node.status()["refused"]
    assert (told["of_the_inbox"], told["of_the_requests"], told["of_the_core"]) == (1, 2, 1)
    assert node.refusals()["of_the_core"] == 1
