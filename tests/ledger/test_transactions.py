import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from village import Village

from p2penergy.digests import TAG_TERMS, TAG_TRANSACTION
from p2penergy.ledger.transactions import (
    Contract,
    EnergyType,
    Reading,
    Terms,
    Transaction,
    answer_key,
    concerned,
    generate_trade_id,
    parse,
    period_of,
    signed_bytes,
    submitter_of,
    terms_bytes,
    transaction_id,
)
from p2penergy.messages import MalformedMessageError, encode

CHAIN, OTHER_CHAIN = b"c" * 32, b"d" * 32
ids = st.binary(min_size=20, max_size=20)
signatures = st.binary(min_size=64, max_size=64)
periods = st.integers(0, 2**40)
counts = st.integers(0, 2**63 - 1)
terms_values = st.builds(
    Terms, ids, ids, periods, st.integers(1, 10**9), st.integers(0, 10**9), periods, counts
)
transactions = st.one_of(
    st.builds(
        Reading,
        ids,
        periods,
        st.integers(0, 10**9),
        st.integers(0, 10**9),
        st.sampled_from(EnergyType),
        signatures,
    ),
    st.builds(Contract, terms_values, signatures, ids, counts, periods, signatures),
)


@given(transactions)
def test_one_encoding_back_and_forth(transaction: Transaction) -> None:
    submitted = parse(encode(transaction), CHAIN)
    assert submitted.transaction == transaction
    assert submitted.transaction_id == transaction_id(transaction, CHAIN)
    assert submitted.signed == signed_bytes(transaction, CHAIN)


@given(transactions, st.data())
def test_other_bytes_are_another_transaction_or_none(transaction: Transaction, data: st.DataObject) -> None:
    raw = encode(transaction)
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    try:
        other = parse(changed, CHAIN)
    except MalformedMessageError:
        return
    assert other.transaction != transaction
    assert encode(other.transaction) == changed


@given(transactions)
def test_what_is_signed_is_the_received_bytes_without_the_signature(transaction: Transaction) -> None:
    raw, signed = encode(transaction), signed_bytes(transaction, CHAIN)
    kind = b"\1" if isinstance(transaction, Reading) else b"\2"
    assert signed.startswith(TAG_TRANSACTION + kind + CHAIN)
    assert raw.startswith(signed[len(TAG_TRANSACTION) + 1 + 32 :])
    assert raw == signed[len(TAG_TRANSACTION) + 33 :] + b"\xc4\x40" + transaction.signature


@given(transactions, signatures)
def test_no_id_covers_the_signature_beside_it(transaction: Transaction, signature: bytes) -> None:
    other = msgspec.structs.replace(transaction, signature=signature)
    assert transaction_id(other, CHAIN) == transaction_id(transaction, CHAIN)
    if isinstance(transaction, Contract):
        swapped = msgspec.structs.replace(transaction, counterparty_signature=signature)
        assert generate_trade_id(swapped.terms, CHAIN) == generate_trade_id(transaction.terms, CHAIN)


@given(transactions)
def test_a_signature_is_for_one_chain(transaction: Transaction) -> None:
    assert signed_bytes(transaction, CHAIN) != signed_bytes(transaction, OTHER_CHAIN)
    assert transaction_id(transaction, CHAIN) != transaction_id(transaction, OTHER_CHAIN)


@given(terms_values)
def test_terms_are_signed_under_their_own_tag(terms: Terms) -> None:
    assert terms_bytes(terms, CHAIN) == TAG_TERMS + CHAIN + encode(terms)
    assert generate_trade_id(terms, CHAIN) != generate_trade_id(terms, OTHER_CHAIN)


@given(terms_values, terms_values)
def test_changed_terms_are_another_trade(one: Terms, other: Terms) -> None:
    same = generate_trade_id(one, CHAIN) == generate_trade_id(other, CHAIN)
    assert same == (one == other)


@pytest.mark.parametrize(
    "changes",
    [
        {"energy_wh": 0},
        {"energy_wh": 10**9 + 1},
        {"price_micro_per_kwh": 10**9 + 1},
        {"price_micro_per_kwh": -1},
        {"period": 2**40 + 1},
        {"seller": b"short"},
        {"number": -1},
    ],
)
def test_terms_beyond_their_limits_are_refused(changes: dict[str, object]) -> None:
    village = Village()
    terms = msgspec.structs.replace(village.terms(1, 2, 5), **changes)
    with pytest.raises(MalformedMessageError) as refused:
        parse(encode(village.submit(1, terms, bytes(64))), CHAIN)
    assert refused.value.code == "malformed"


def test_a_longer_form_of_the_same_value_is_refused() -> None:
    raw = Village().reading(1, export_wh=5)
    # Period 100 as a fixint is one byte; as uint 8 it would be two.
    at = raw.index(b"\x64", 20)
    with pytest.raises(MalformedMessageError) as refused:
        parse(raw[:at] + b"\xcc" + raw[at:], CHAIN)
    assert refused.value.code == "not_canonical"


def test_who_and_what_a_transaction_is_about() -> None:
    village = Village()
    reading = parse(village.reading(1, export_wh=5, period=7), village.chain_id).transaction
    contract = parse(village.contract(2, 1, 5, by_seller=False), village.chain_id).transaction
    assert (submitter_of(reading), period_of(reading)) == (village.ids[1], 7)
    assert (submitter_of(contract), period_of(contract)) == (village.ids[1], village.ledger.period)
    assert concerned(reading) == (village.ids[1],)
    assert concerned(contract) == tuple(sorted(village.ids[1:3]))
    assert isinstance(contract, Contract)
    assert contract.counterparty == village.ids[2]
    assert answer_key(reading) != answer_key(contract)
