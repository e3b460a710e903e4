from typing import Any

import msgspec
import pytest
from village import QuickSigner, Village, with_readings

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Decline, sign_reading
from p2penergy.messages import encode


def refused(village: Village, *transactions: bytes, **changes: Any) -> str:
    root = village.ledger.state_root
    with pytest.raises(InvalidBlockError) as error:
        village.ledger.execute(village.draft(*transactions, **changes))
    assert village.ledger.state_root == root
    assert str(error.value)
    return error.value.code


@pytest.mark.parametrize("data", [b"\0", b"\xc1", b"\x93\x01\x02\x03", b"\x97" + bytes(50)])
def test_what_is_no_transaction(data: bytes) -> None:
    assert refused(Village(), data) == "malformed_transaction"


def test_a_transaction_with_bytes_behind_it() -> None:
    village = Village()
    assert refused(village, village.reading(1) + b"\0") == "malformed_transaction"


def test_a_strangers_transaction() -> None:
    village = Village()
    stranger = sign_reading(QuickSigner(99), village.chain_id, 100, 0, 5)
    assert refused(village, encode(stranger)) == "unknown_submitter"


def test_a_transaction_that_its_submitter_did_not_sign() -> None:
    village = with_readings()
    terms = village.terms(1, 3, 5)
    contract = village.submit(1, terms, village.signed_by(3, terms))
    other_nonce = msgspec.structs.replace(contract, nonce=contract.nonce + 1)
    framed = msgspec.structs.replace(contract, counterparty_signature=bytes(64))
    for forged in (other_nonce, framed):
        assert refused(village, encode(forged)) == "bad_signature"
    assert village.one(encode(contract)).accepted


def test_a_transaction_of_another_chain() -> None:
    village, other = Village(), Village(market={"first_period": 101})
    assert refused(village, other.reading(1, export_wh=5, period=100)) == "bad_signature"


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("same_block", [True, False])
def test_a_nonce_is_answered_once(accepted: bool, same_block: bool) -> None:
    village = with_readings()
    energy_wh = 5 if accepted else 5000
    terms, other = village.terms(1, 3, energy_wh), village.terms(1, 4, 6)
    first = encode(village.submit(1, terms, village.signed_by(3, terms), nonce=7))
    second = encode(village.submit(1, other, village.signed_by(4, other), nonce=7))
    for repeated in (first, second):
        if same_block:
            assert refused(village, first, repeated) == "answered_twice"
    assert village.one(first).accepted == accepted
    assert refused(village, second) == "answered_twice"


def test_nonces_are_each_submitters_own() -> None:
    village = with_readings()
    one, other = village.terms(1, 3, 5), village.terms(2, 3, 5)
    receipts = village.block(
        encode(village.submit(1, one, village.signed_by(3, one), nonce=7)),
        encode(village.submit(2, other, village.signed_by(3, other), nonce=7)),
    )
    assert [receipt.code for receipt in receipts] == [Decline.NONE] * 2


@pytest.mark.parametrize(
    ("expires", "code"), [(99, "transaction_expired"), (197, "expiry_too_far"), (100, None), (196, None)]
)
def test_a_transaction_is_in_its_time(expires: int, code: str | None) -> None:
    village = with_readings()
    terms = village.terms(1, 3, 5)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), expires_period=expires))
    if code is None:
        assert village.one(raw).accepted
    else:
        assert refused(village, raw) == code


def test_the_blocks_own_period_counts_not_the_parents() -> None:
    village = with_readings()
    terms = village.terms(1, 3, 5)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), expires_period=100))
    assert refused(village, raw, period=101) == "transaction_expired"
