"""The bench-only application: executes each request once, and nothing that is not one."""

import pytest

from bench.applications import BenchApplication
from bench.requests import (
    SIGNED_BYTES,
    UNSIGNED_BYTES,
    decode_bench_receipt,
    sign_request,
    zero_request,
)
from bench.requests import (
    request_id as id_of,
)
from bench.workloads import KINDS
from p2penergy.beacon import HashChain
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.membership.keys import DeviceKey
from p2penergy.messages import Stage
from p2penergy.signing import EcdsaChecker, EcdsaSigner

KEY = DeviceKey.generate()
ASKER = EcdsaSigner(b"a" * 20, KEY.private_key)
CHAIN = HashChain(b"secret", 512)
GENESIS = Genesis(
    community="bench",
    consensus=ConsensusRules(t0_ms=0, alpha_ms=500, eps_ms=5, delta_ms=40, committee_size_min=1),
    members=(
        Member(
            participant_id=ASKER.participant_id.hex(),
            public_key=KEY.public_key_compressed().hex(),
            validator=True,
            beacon_tip=CHAIN.tip.hex(),
        ),
    ),
)


def application(signed: bool) -> BenchApplication:
    return BenchApplication(GENESIS, EcdsaChecker(), signed)


def draft_of(app: BenchApplication, *transactions: bytes) -> Draft:
    reveal = CHAIN.preimage(app.reveal_tip(ASKER.participant_id) or b"")
    assert reveal is not None
    return Draft(
        app.height + 1,
        1,
        ASKER.participant_id,
        0,
        Stage.VALIDATION,
        Stage.VALIDATION,
        reveal,
        transactions,
        None,
    )


def request(signed: bool, number: int = 1) -> tuple[bytes, bytes]:
    if signed:
        return sign_request(ASKER, GENESIS.chain_id, number)
    return zero_request(ASKER.participant_id, number)


def test_requests_have_the_size_that_their_name_says() -> None:
    assert len(request(True)[1]) == SIGNED_BYTES == 256
    assert len(request(False)[1]) == UNSIGNED_BYTES
    assert KINDS["signed-256"].verifies == 1 and KINDS["0/0"].verifies == 0 and KINDS["trades"].verifies == 2


@pytest.mark.parametrize("signed", [True, False])
def test_a_request_executes_once(signed: bool) -> None:
    app = application(signed)
    request_id, data = request(signed)
    assert app.pool.add(data).accepted and app.has_pending(slot=1)
    assert app.pool.add(data).code == "pending"
    drafted = app.draft(1, 1, ASKER.participant_id, b"", 10_000)
    assert drafted.transactions == (data,)
    outcome = app.execute(draft_of(app, data))
    assert [decode_bench_receipt(receipt) for receipt in outcome.receipts] == [request_id]
    assert app.height == 0, "executing changes nothing"
    root = app.state_root
    app.commit(outcome)
    assert app.height == 1 and app.state_root != root and not app.has_pending(slot=1)
    assert app.pool.add(data).code == "answered"
    with pytest.raises(InvalidBlockError, match="answered before"):
        app.execute(draft_of(app, data))


def test_a_block_that_holds_a_request_twice_is_invalid() -> None:
    app, (_, data) = application(False), request(False)
    with pytest.raises(InvalidBlockError, match="twice"):
        app.execute(draft_of(app, data, data))


def test_a_request_with_a_wrong_signature_gets_nowhere() -> None:
    app, (_, data) = application(True), request(True)
    forged = data[:-1] + bytes([data[-1] ^ 1])
    assert app.pool.add(forged).code == "bad_signature"
    with pytest.raises(InvalidBlockError, match="not signed"):
        app.execute(draft_of(app, forged))


@pytest.mark.parametrize("signed", [True, False])
def test_strangers_and_other_lengths_are_refused(signed: bool) -> None:
    app, (_, data) = application(signed), request(signed)
    assert app.pool.add(b"x" * 20 + data[20:]).code == "unknown_submitter"
    assert app.pool.add(data + b"\0").code == "malformed"
    assert app.pool.signature_items(data + b"\0") == []
    assert id_of(data[:-1], signed) is None
    for bad in (b"x" * 20 + data[20:], data + b"\0"):
        with pytest.raises(InvalidBlockError):
            app.execute(draft_of(app, bad))


def test_the_pool_gives_what_fits_oldest_first() -> None:
    app = application(False)
    requests = [request(False, number)[1] for number in range(10)]
    for data in requests:
        app.pool.add(data)
    assert app.pool.select(3 * (UNSIGNED_BYTES + 5)) == tuple(requests[:3])


def test_state_roots_tell_different_histories_apart() -> None:
    one, other = application(False), application(False)
    for app, number in ((one, 1), (other, 2)):
        app.commit(app.execute(draft_of(app, request(False, number)[1])))
    assert one.state_root != other.state_root


def test_everybody_who_replies_knows_whom_to() -> None:
    app, (request_id, data) = application(False), request(False)
    assert app.concerned(data) == (ASKER.participant_id,)
    assert app.transaction_id(data) == request_id
    assert app.transaction_id(b"x") is None
