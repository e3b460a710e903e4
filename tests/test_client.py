"""A client: it believes f+1 equal replies and nothing less, and no liar makes it forget or wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from fake_network import (
    BLOCK,
    FIRST,
    GENESIS,
    NAMES,
    ONE,
    THREE,
    TWO,
    FakeMesh,
    Household,
    reply,
    transaction_id,
)
from samples import member, small_genesis

from p2penergy import client as module
from p2penergy import request_frames, vouchers
from p2penergy.client import Client, ClientError, Result
from p2penergy.digests import MerkleTree
from p2penergy.messages import (
    QUERY_BYTES_MAX,
    REQUEST_TRANSACTIONS_MAX,
    TRANSACTION_BYTES_MAX,
    Answer,
    ProvenReceipts,
    Query,
    Refused,
    Reply,
    Request,
    decode_receipts,
    encode,
)
from p2penergy.signing import EcdsaChecker

# ---- f+1 equal replies ----------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "faulty"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (7, 2)])
async def test_exactly_one_more_than_may_be_faulty_must_agree(members: int, faulty: int) -> None:
    genesis = small_genesis(members)
    home = Household(genesis, NAMES[:members])
    assert home.client.fault_limit == faulty
    [future] = home.client.submit([(ONE, b"transaction")])
    for by in range(faulty + 1):
        assert not future.done()
        home.reply(by, ONE, chain_id=genesis.chain_id)
    assert future.result() == FIRST


async def test_a_member_counts_once_however_often_it_speaks() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    for _ in range(5):
        home.reply(0, ONE)
        home.reply(0, ONE, TWO)
    assert not future.done()
    home.reply(3, ONE)
    assert future.result() == FIRST


@pytest.mark.parametrize("other", [{"height": 6}, {"block": b"x" * 32}, {"suffix": b"!"}])
async def test_replies_that_differ_do_not_add_up(other: dict[str, Any]) -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    home.reply(0, ONE)
    home.reply(1, ONE, **other)
    assert not future.done()
    home.reply(2, ONE)
    assert future.result() == FIRST


async def test_another_place_in_the_block_does_not_add_up() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    home.reply(0, ONE)
    home.reply(1, TWO, ONE)
    assert not future.done()
    home.reply(2, TWO, ONE)
    assert future.result() == Result(5, BLOCK, 1, b"r:" + ONE)


async def test_a_liar_can_neither_stop_nor_change_a_result() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    for height in range(6, 30):
        home.reply(3, ONE, height=height)
    home.reply(0, ONE)
    home.reply(1, ONE)
    assert future.result() == FIRST


# ---- what is no reply -----------------------------------------------------------------------------


async def refused_then_accepted(home: Household, peer: bytes, message: msgspec.Struct) -> None:
    """`message` counts for nothing: after one honest reply, one more is still needed."""
    [future] = home.client.submit([(ONE, b"transaction")])
    home.reply(1, ONE)
    home.mesh.deliver(peer, message)
    assert not future.done()
    assert home.client.refused_replies == 1
    home.reply(2, ONE)
    assert future.result() == FIRST


async def test_a_reply_in_anothers_name_is_refused() -> None:
    # Even with the right signature: a replay of it must not count for the one who sends it.
    await refused_then_accepted(Household(), NAMES[3], reply(0, ONE))
    await refused_then_accepted(Household(), b"s" * 20, reply(0, ONE))


async def test_a_forged_sender_is_refused() -> None:
    forged = msgspec.structs.replace(reply(3, ONE), sender=NAMES[0])
    await refused_then_accepted(Household(), NAMES[0], forged)


async def test_a_wrong_signature_is_refused() -> None:
    good = reply(0, ONE)
    bad = bytes([good.signature[0] ^ 1]) + good.signature[1:]
    await refused_then_accepted(Household(), NAMES[0], msgspec.structs.replace(good, signature=bad))


@pytest.mark.parametrize("field", ["height", "digest", "receipts_root", "receipts_count"])
async def test_a_reply_changed_on_its_way_is_refused(field: str) -> None:
    good = reply(0, ONE)
    value = getattr(good, field)
    other = b"x" * 32 if isinstance(value, bytes) else value + 1
    await refused_then_accepted(Household(), NAMES[0], msgspec.structs.replace(good, **{field: other}))


async def test_a_reply_for_another_chain_is_refused() -> None:
    await refused_then_accepted(Household(), NAMES[0], reply(0, ONE, chain_id=b"x" * 32))


async def test_a_stranger_is_refused() -> None:
    await refused_then_accepted(Household(peers=NAMES[:5]), NAMES[4], reply(4, ONE))


async def test_a_member_that_is_no_validator_is_refused() -> None:
    genesis = msgspec.structs.replace(GENESIS, members=(*GENESIS.members, member(4, validator=False)))
    home = Household(genesis, NAMES[:5])
    assert home.client.fault_limit == 1
    home.reply(4, ONE, chain_id=genesis.chain_id)
    assert home.client.refused_replies == 1


def altered(good: Reply, **changes: Any) -> Reply:
    """Rightly signed, with other receipts than what is signed for."""
    told = msgspec.structs.replace(decode_receipts(good.receipts), **changes)
    return msgspec.structs.replace(good, receipts=encode(told))


@pytest.mark.parametrize(
    "change",
    [
        {"indices": (1,)},
        {"receipts": (b"r:" + TWO,)},
        {"siblings": b"x" * 32},
        {"siblings": b""},
        {"indices": ()},
    ],
)
async def test_receipts_that_do_not_prove_themselves_are_refused(change: dict[str, Any]) -> None:
    await refused_then_accepted(Household(), NAMES[0], altered(reply(0, ONE), **change))


async def test_receipts_that_are_no_receipts_are_refused() -> None:
    bad = msgspec.structs.replace(reply(0, ONE), receipts=b"\xc1")
    await refused_then_accepted(Household(), NAMES[0], bad)


async def test_a_block_that_enough_vouch_for_lets_no_other_receipt_in() -> None:
    home = Household()
    one, two = home.client.submit([(ONE, b"1"), (TWO, b"2")])
    for by in (0, 1):
        home.reply(by, ONE)
    assert one.done()
    home.mesh.deliver(NAMES[3], altered(reply(3, ONE), receipts=(b"r:" + TWO,)))
    assert home.client.refused_replies == 1
    assert not two.done()
    assert home.notices == []


async def test_what_counts_is_the_signed_root_and_not_who_tells_which_receipts_of_it() -> None:
    # One member repeats a single receipt, the other tells all of its block: both vouch for the same.
    home = Household()
    one, two = home.client.submit([(ONE, b"1"), (TWO, b"2")])
    whole = reply(0, ONE, TWO)
    single = reply(1, ONE, TWO)
    told, tree = decode_receipts(single.receipts), MerkleTree([b"r:" + ONE, b"r:" + TWO, b"r:another"])
    alone = ProvenReceipts((1,), told.receipts[1:], tree.siblings([1]))
    home.mesh.deliver(NAMES[0], whole)
    home.mesh.deliver(NAMES[1], msgspec.structs.replace(single, receipts=encode(alone)))
    assert (one.done(), two.done()) == (False, True)
    home.mesh.deliver(NAMES[0], whole)
    assert one.result() == FIRST
    assert two.result() == Result(5, BLOCK, 1, b"r:" + TWO)
    assert home.notices == []


async def test_noise_is_counted_and_forgotten() -> None:
    home = Household()
    for payload in (b"\0", b"\xc1", encode(reply(0, ONE)) + b"\0"):
        home.client.on_frame(NAMES[0], payload)
    assert home.client.refused_replies == 3
    home.mesh.deliver(NAMES[0], Query(1, "height", b""))
    assert home.client.refused_replies == 3


# ---- notices --------------------------------------------------------------------------------------


async def test_what_was_not_asked_for_is_noticed_once() -> None:
    home = Household()
    home.reply(0, ONE)
    assert home.notices == []
    for by in (1, 2, 3, 0, 1, 2, 3):
        home.reply(by, ONE)
        assert home.notices == [FIRST]


async def test_an_answered_request_is_no_notice_when_the_others_answer_too() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    for by in (0, 1):
        home.reply(by, ONE)
    assert await future == FIRST
    await asyncio.sleep(0)
    for by in (2, 3, 0, 1):
        home.reply(by, ONE)
    assert home.notices == []


async def test_without_anybody_to_tell_a_notice_is_dropped() -> None:
    client = Client(FakeMesh(), GENESIS, EcdsaChecker(), lambda receipt: receipt[2:34])
    for by in (0, 1, 2):
        client.on_frame(NAMES[by], encode(reply(by, ONE)))
    assert client.refused_replies == 0


async def test_a_request_made_again_is_answered_again() -> None:
    home = Household()
    for _ in range(3):
        [future] = home.client.submit([(ONE, b"transaction")])
        for by in (0, 1, 2, 3):
            home.reply(by, ONE)
        assert await future == FIRST
    assert home.notices == []


async def test_a_liars_claims_are_bounded_and_push_out_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouchers, "SIGNED_MAX", 10)
    home = Household()
    [future] = home.client.submit([(ONE, b"transaction")])
    home.reply(0, ONE)
    for height in range(100, 150):
        home.reply(3, TWO, height=height)
    assert max(len(signed) for signed in home.client._vouchers._signed.values()) == 10
    home.reply(1, ONE)
    assert future.result() == FIRST
    # Of what the liar said, only the last is still held against it.
    for height in range(100, 140):
        home.reply(0, TWO, height=height)
    assert home.notices == []
    home.reply(0, TWO, height=149)
    assert len(home.notices) == 1


async def test_what_is_handed_out_is_held_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouchers, "HANDED_OUT_MAX", 10)
    home = Household()
    for height in range(1, 20):
        for by in (0, 1, 2):
            home.reply(by, ONE, TWO, THREE, height=height)
    assert len(home.notices) == 19 * 3
    known = home.client._vouchers
    assert [signed.height for signed in known._believed] == [17, 18, 19]
    assert known._handed_out == 9
    assert not any(known._signed.values())
    # The newest is remembered whatever its size.
    many = [transaction_id(i) for i in range(50)]
    for by in (0, 1, 2):
        home.reply(by, *many, height=99)
    assert len(home.notices) == 19 * 3 + 50
    assert [signed.height for signed in known._believed] == [99]


async def test_a_list_without_news_is_not_remembered() -> None:
    # Else a liar could have a block's receipts remembered in as many lists as there are choices of them.
    home = Household()
    for by in (0, 1):
        home.reply(by, ONE, TWO)
    tree = MerkleTree([b"r:" + ONE, b"r:" + TWO, b"r:another"])
    for receipts, indices in ((b"r:" + ONE,), (0,)), ((b"r:" + TWO,), (1,)):
        part = ProvenReceipts(indices, receipts, tree.siblings(indices))
        home.mesh.deliver(NAMES[3], msgspec.structs.replace(reply(3, ONE, TWO), receipts=encode(part)))
    [believed] = home.client._vouchers._believed.values()
    assert len(believed.told) == 1
    assert len(home.notices) == 2
    assert home.client.refused_replies == 0


# ---- requests -------------------------------------------------------------------------------------


async def test_a_request_goes_to_one_more_than_may_be_faulty() -> None:
    home = Household()
    home.client.submit([(ONE, b"first"), (TWO, b"second")])
    request = Request((b"first", b"second"), relayed=False)
    peers, requests = zip(*home.mesh.sent, strict=True)
    assert requests == (request, request)
    assert len(set(peers)) == 2
    assert set(peers) < set(NAMES)


async def test_clients_burden_all_validators_alike() -> None:
    asked: Counter[bytes] = Counter()
    for i in range(400):
        home = Household()
        home.mesh.name = sha256(bytes([i % 256, i // 256])).digest()[:20]
        home.client.submit([(ONE, b"first")])
        asked.update(peer for peer, _ in home.mesh.sent)
    assert min(asked[name] for name in NAMES[:4]) > 400 * 2 / 4 * 0.7


async def test_a_request_goes_to_validators_that_are_up() -> None:
    home = Household(peers=[NAMES[1], NAMES[3], NAMES[6], b"\0" * 20])
    home.client.submit([(ONE, b"first")])
    assert {peer for peer, _ in home.mesh.sent} == {NAMES[1], NAMES[3]}


async def test_many_transactions_travel_in_requests_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Household(small_genesis(1), NAMES[:1])
    count = REQUEST_TRANSACTIONS_MAX + 1
    home.client.submit([(transaction_id(i), b"t") for i in range(count)])
    assert [len(request.transactions) for _, request in home.mesh.sent] == [REQUEST_TRANSACTIONS_MAX, 1]
    monkeypatch.setattr(request_frames, "REQUEST_BYTES_MAX", 100)
    home.mesh.sent.clear()
    sizes = [60, 40, 1, 99, 1, 200, 5, 95, 6]
    home.client.submit([(transaction_id(10**6 + i), b"t" * size) for i, size in enumerate(sizes)])
    told = [[len(transaction) for transaction in request.transactions] for _, request in home.mesh.sent]
    assert told == [[60, 40], [1, 99], [1], [200], [5, 95], [6]]


async def test_the_same_transaction_twice_is_answered_twice() -> None:
    home = Household()
    first, second = home.client.submit([(ONE, b"first"), (ONE, b"first")])
    [third] = home.client.submit([(ONE, b"first")])
    second.cancel()
    for by in (0, 1):
        home.reply(by, ONE)
    assert first.result() == third.result() == FIRST


async def test_replies_beyond_those_needed_are_not_checked_unless_asked_for_again() -> None:
    home = Household()
    [first] = home.client.submit([(ONE, b"first")])
    for by in (0, 1):
        home.reply(by, ONE)
    assert await first == FIRST
    await asyncio.sleep(0)
    # Signed for another chain: it would be refused if anybody looked.
    home.reply(2, ONE, chain_id=bytes(32))
    assert home.client.refused_replies == 0
    [again] = home.client.submit([(ONE, b"first")])
    home.reply(2, ONE, chain_id=bytes(32))
    assert home.client.refused_replies == 1
    for by in (0, 1):
        home.reply(by, ONE)
    assert again.result() == FIRST


@pytest.mark.parametrize("size", [0, TRANSACTION_BYTES_MAX + 1])
async def test_a_transaction_that_no_member_would_take_is_not_sent(size: int) -> None:
    home = Household()
    with pytest.raises(ClientError, match=f"a transaction has 1 to 65536 bytes, not {size}"):
        home.client.submit([(ONE, b"t"), (TWO, b"t" * size)])
    assert home.mesh.sent == []
    home.client.submit([(ONE, b"t" * TRANSACTION_BYTES_MAX)])


async def test_only_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_REQUESTS_MAX", 2)
    home = Household()
    first, second = home.client.submit([(ONE, b"1"), (TWO, b"2")])
    with pytest.raises(ClientError, match="more than 2 transactions wait for their receipts"):
        home.client.submit([(ONE, b"1")])
    for by in (0, 1):
        home.reply(by, ONE)
    assert await first == FIRST
    await asyncio.sleep(0)
    # What has its receipt, or nobody waits for any more, does not count.
    [third] = home.client.submit([(THREE, b"3")])
    third.cancel()
    second.cancel()
    await asyncio.sleep(0)
    assert len(home.client.submit([(ONE, b"1"), (TWO, b"2")])) == 2
    assert set(home.client._open) == {ONE, TWO}


async def test_results_waits_for_all_receipts() -> None:
    home = Household()
    results = asyncio.ensure_future(home.client.results([(ONE, b"1"), (TWO, b"2")]))
    await home.mesh.written(2)
    for by in (0, 1):
        home.reply(by, TWO)
    await asyncio.sleep(0)
    assert not results.done()
    for by in (0, 1):
        home.reply(by, ONE)
    assert [result.receipt for result in await results] == [b"r:" + ONE, b"r:" + TWO]
    assert home.client._open == {}
    assert len(home.mesh.sent) == 2


async def test_no_transaction_has_no_result() -> None:
    home = Household()
    assert await home.client.results([]) == []
    assert home.client.submit([]) == []
    assert home.mesh.sent == []


async def test_what_is_late_is_asked_of_everybody_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESEND_MS", 1)
    home = Household()
    results = asyncio.ensure_future(home.client.results([(ONE, b"1"), (TWO, b"2")]))
    await home.mesh.written(2)
    for by in (0, 1):
        home.reply(by, ONE)
    # One round may have been on its way with both.
    told = (await home.mesh.written(2 + 2 * 4))[2:]
    assert {peer for peer, _ in told} == set(NAMES[:4])
    assert told[-1][1] == Request((b"2",), relayed=False)
    for by in (2, 3):
        home.reply(by, TWO)
    assert len(await results) == 2


async def test_who_gives_up_leaves_nothing_behind() -> None:
    home = Household()
    other = home.client.submit([(ONE, b"1")])
    results = asyncio.ensure_future(home.client.results([(ONE, b"1"), (TWO, b"2")]))
    await home.mesh.written(4)
    results.cancel()
    with pytest.raises(asyncio.CancelledError):
        await results
    await asyncio.sleep(0)
    assert set(home.client._open) == {ONE}
    for by in (0, 1):
        home.reply(by, ONE)
    assert other[0].result() == FIRST


# ---- refusals -------------------------------------------------------------------------------------


def refusal(sentence: str = "too late", transaction: bytes = ONE) -> Refused:
    return Refused(transaction, "expired", sentence)


async def test_a_refusal_is_believed_from_one_more_than_may_be_faulty() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"1")])
    for _ in range(3):
        home.mesh.deliver(NAMES[0], refusal())
    home.mesh.deliver(NAMES[4], refusal())
    home.mesh.deliver(b"s" * 20, refusal())
    home.mesh.deliver(NAMES[1], refusal(transaction=TWO))
    assert not future.done()
    home.mesh.deliver(NAMES[1], refusal())
    with pytest.raises(ClientError, match=r"^refused: too late$"):
        await future


async def test_a_refusal_after_the_receipt_changes_nothing() -> None:
    home = Household()
    [future] = home.client.submit([(ONE, b"1")])
    home.mesh.deliver(NAMES[3], refusal())
    for by in (0, 1):
        home.reply(by, ONE)
    home.mesh.deliver(NAMES[0], refusal())
    assert await future == FIRST


async def test_a_new_attempt_is_not_refused_by_what_was_said_of_the_last() -> None:
    home = Household()
    [first] = home.client.submit([(ONE, b"1")])
    for by in (0, 1):
        home.mesh.deliver(NAMES[by], refusal())
    [second] = home.client.submit([(ONE, b"1")])
    home.mesh.deliver(NAMES[2], refusal())
    with pytest.raises(ClientError):
        await first
    assert not second.done()


async def test_refused_results_raise_and_complain_of_nothing_else() -> None:
    home = Household()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    results = asyncio.ensure_future(home.client.results([(ONE, b"1"), (TWO, b"2")]))
    await home.mesh.written(2)
    for by in (0, 1):
        home.mesh.deliver(NAMES[by], refusal("first"))
        home.mesh.deliver(NAMES[by], refusal("second", TWO))
    with pytest.raises(ClientError, match="refused: first"):
        await results
    del results
    await asyncio.sleep(0)
    assert complaints == []
    assert home.client._open == {}


# ---- questions ------------------------------------------------------------------------------------


async def ask(home: Household, peer: bytes = NAMES[0], topic: str = "height") -> asyncio.Future[bytes]:
    """A question on its way."""
    count = len(home.mesh.sent)
    question = asyncio.ensure_future(home.client.query(peer, topic, b"argument"))
    await home.mesh.written(count + 1)
    return question


async def test_a_question_is_answered_by_its_number() -> None:
    home = Household()
    first, second = await ask(home), await ask(home, topic="status")
    assert home.mesh.sent == [
        (NAMES[0], Query(1, "height", b"argument")),
        (NAMES[0], Query(2, "status", b"argument")),
    ]
    home.mesh.deliver(NAMES[0], Answer(2, True, b"two"))
    home.mesh.deliver(NAMES[0], Answer(1, True, b"one"))
    home.mesh.deliver(NAMES[0], Answer(1, True, b"again"))
    home.mesh.deliver(NAMES[0], Answer(7, True, b"unasked"))
    assert (await first, await second) == (b"one", b"two")
    assert home.client._queries == {}


async def test_nobody_else_may_answer() -> None:
    home = Household()
    question = await ask(home)
    for liar in (NAMES[1], b"s" * 20):
        home.mesh.deliver(liar, Answer(1, True, b"lie"))
        home.mesh.deliver(liar, Answer(1, False, b"lie"))
    home.mesh.deliver(NAMES[0], Answer(1, True, b"truth"))
    assert await question == b"truth"


async def test_a_nodes_own_error_is_told() -> None:
    home = Household()
    question = await ask(home)
    home.mesh.deliver(NAMES[0], Answer(1, False, b"no such topic \xff"))
    with pytest.raises(ClientError, match="no such topic \N{REPLACEMENT CHARACTER}"):
        await question


async def test_an_answer_may_be_json() -> None:
    home = Household()
    question = asyncio.ensure_future(home.client.query_json(NAMES[0], "status"))
    await home.mesh.written(1)
    home.mesh.deliver(NAMES[0], Answer(1, True, b'{"height": 5}'))
    assert await question == {"height": 5}


async def test_a_question_needs_a_connection() -> None:
    home = Household()
    with pytest.raises(ClientError, match=f"no connection to {NAMES[5].hex()}"):
        await home.client.query(NAMES[5], "height")
    assert home.client._queries == {}


async def test_a_lost_connection_fails_its_questions_and_no_others() -> None:
    home = Household()
    lost, kept = await ask(home), await ask(home, NAMES[1])
    home.mesh.drop(NAMES[0])
    with pytest.raises(ClientError, match=f"the connection to {NAMES[0].hex()} was lost"):
        await lost
    home.mesh.deliver(NAMES[1], Answer(2, True, b"here"))
    assert await kept == b"here"


async def test_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_QUERIES_MAX", 1)
    home = Household()
    question = await ask(home)
    with pytest.raises(ClientError, match="too many questions are open"):
        await home.client.query(NAMES[0], "height")
    question.cancel()
    await asyncio.wait([question])
    with pytest.raises(ClientError, match=f"a question has at most {QUERY_BYTES_MAX} bytes"):
        await home.client.query(NAMES[0], "height", b"x" * (QUERY_BYTES_MAX + 1))
    await ask(home)


@pytest.mark.parametrize("mute", [0, 1, 2, 3])
async def test_agreement_does_not_wait_for_a_mute_validator(mute: int) -> None:
    home = Household()
    question = asyncio.ensure_future(home.client.agreed("height", b"x"))
    for peer, query in list(await home.mesh.written(4)):
        if peer != NAMES[mute]:
            home.mesh.deliver(peer, Answer(query.number, True, b"5"))
    assert await asyncio.wait_for(question, 60) == b"5"
    assert home.client._queries == {}


async def test_agreement_needs_one_more_than_may_be_faulty() -> None:
    home = Household()
    question = asyncio.ensure_future(home.client.agreed("height"))
    asked = list(await home.mesh.written(4))
    answers = [(True, b"5"), (True, b"6"), (False, b"7"), (False, b"7")]
    for (peer, query), (good, body) in zip(asked, answers, strict=True):
        home.mesh.deliver(peer, Answer(query.number, good, body))
    with pytest.raises(ClientError, match="no 2 validators agree on height"):
        await question
    assert home.client._queries == {}


async def test_agreement_asks_validators_only() -> None:
    home = Household(peers=[*NAMES[4:7], NAMES[0]])
    question = asyncio.ensure_future(home.client.agreed("height"))
    await home.mesh.written(1)
    home.mesh.deliver(NAMES[0], Answer(1, True, b"5"))
    with pytest.raises(ClientError, match="no 2 validators agree"):
        await question
    assert [peer for peer, _ in home.mesh.sent] == [NAMES[0]]


# ---- life -----------------------------------------------------------------------------------------


async def test_start_dials_and_connected_tells_when() -> None:
    home = Household(peers=[])
    home.mesh.handler = None
    await home.client.start({NAMES[0]: ("127.0.0.1", 1), NAMES[1]: ("127.0.0.1", 2)})
    assert home.mesh.handler is home.client
    assert home.mesh.addresses == {NAMES[0]: ("127.0.0.1", 1), NAMES[1]: ("127.0.0.1", 2)}
    await home.client.connected(0)
    waiting = asyncio.ensure_future(home.client.connected(2))
    steps: list[Callable[[], None]] = [
        lambda: home.mesh.connect(NAMES[0]),
        lambda: home.mesh.connect(b"s" * 20),
        lambda: home.mesh.drop(NAMES[0]),
        lambda: home.mesh.connect(NAMES[1]),
    ]
    for act in steps:
        act()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    home.mesh.connect(NAMES[0])
    await waiting


async def test_stop_fails_whatever_is_open() -> None:
    home = Household()
    [submitted] = home.client.submit([(ONE, b"1")])
    results = asyncio.ensure_future(home.client.results([(TWO, b"2")]))
    question = await ask(home)
    connecting = asyncio.ensure_future(home.client.connected(9))
    await home.mesh.written(5)
    await home.client.stop()
    assert home.mesh.peers == set()
    open_ones: list[asyncio.Future[Any]] = [submitted, results, question, connecting]
    for one in open_ones:
        with pytest.raises(ClientError, match=r"^the client was stopped$"):
            await asyncio.wait_for(one, 60)


async def test_stop_tells_who_waits_for_validators_that_never_came() -> None:
    home = Household(peers=[])
    connecting = asyncio.ensure_future(home.client.connected(1))
    await asyncio.sleep(0)
    await home.client.stop()
    with pytest.raises(ClientError, match="the client was stopped"):
        await asyncio.wait_for(connecting, 60)


async def test_stopped_it_takes_nothing() -> None:
    home = Household()
    await home.client.stop()
    home.mesh.peers = set(NAMES[:4])
    with pytest.raises(ClientError, match="the client was stopped"):
        home.client.submit([(ONE, b"1")])
    with pytest.raises(ClientError, match="the client was stopped"):
        await home.client.results([(ONE, b"1")])
    with pytest.raises(ClientError, match="the client was stopped"):
        await home.client.query(NAMES[0], "height")
    assert home.mesh.sent == []


async def test_what_a_node_says_steers_nobody_s_terminal() -> None:
    home = Household()
    question = asyncio.ensure_future(home.client.query(NAMES[0], "state"))
    await home.mesh.written(1)
    home.mesh.deliver(NAMES[0], Answer(1, False, b"gone\x1b[2J\r\nYou are a member"))
    with pytest.raises(ClientError) as raised:
        await question
    assert str(raised.value) == "gone?[2J??You are a member"
    (future,) = home.client.submit([(ONE, b"tx")])
    for validator in NAMES[:2]:
        home.mesh.deliver(validator, Refused(ONE, "x", "\x1b[1mbold"))
    with pytest.raises(ClientError, match=r"^refused: \?\[1mbold$"):
        await future


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "bytes", "deep"])
async def test_an_answer_that_is_no_json_is_said(body: bytes) -> None:
    home = Household()
    question = asyncio.ensure_future(home.client.query_json(NAMES[0], "status"))
    await home.mesh.written(1)
    home.mesh.deliver(NAMES[0], Answer(1, True, body))
    with pytest.raises(ClientError, match="answers about status with no JSON"):
        await question
