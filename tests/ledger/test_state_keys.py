import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.ledger import keys

ids = st.binary(min_size=20, max_size=20)
numbers = st.integers(0, 2**63 - 1)

any_key = st.one_of(
    st.builds(keys.energy, ids),
    st.builds(keys.wallet, ids),
    st.builds(keys.member, ids),
    st.builds(keys.score, ids),
    st.builds(keys.period, ids, numbers),
    st.builds(keys.packet, ids, numbers),
    st.builds(keys.bill, ids, numbers),
    st.builds(keys.nonce, ids, numbers),
    st.builds(keys.contract, st.binary(min_size=32, max_size=32)),
    st.builds(keys.escrow, st.binary(min_size=32, max_size=32)),
    st.builds(keys.default, st.binary(min_size=32, max_size=32)),
    st.builds(keys.standing, ids),
    st.builds(keys.promise, ids, numbers),
    st.builds(keys.order, ids, numbers, st.integers(0, 255)),
    st.builds(keys.market, numbers),
    st.builds(keys.beacon_tip, ids),
    st.builds(keys.beacon_mix, numbers),
    st.builds(keys.next_chain, ids),
    st.builds(keys.gone, ids),
    st.builds(keys.pool, ids),
    st.builds(keys.stake, ids),
    st.builds(keys.meter, st.binary(min_size=32, max_size=32)),
    st.builds(keys.asked, st.binary(min_size=32, max_size=32)),
    st.builds(keys.key, st.binary(min_size=33, max_size=33)),
    st.builds(keys.revoked, st.binary(min_size=33, max_size=33)),
    st.sampled_from([keys.TIP, keys.TOTALS, keys.VERIFICATIONS]),
)


@given(any_key)
def test_text_and_key_are_two_forms_of_one_thing(key: bytes) -> None:
    assert keys.parse_text(keys.text(key)) == key


@given(any_key, any_key)
def test_different_keys_have_different_texts(one: bytes, other: bytes) -> None:
    assert (keys.text(one) == keys.text(other)) == (one == other)


def test_text_is_what_people_read() -> None:
    who = bytes(19) + b"\x0a"
    assert keys.text(keys.wallet(who)) == f"wallet/{who.hex()}"
    assert keys.text(keys.period(who, 7)) == f"period/{who.hex()}/7"
    assert keys.text(keys.beacon_mix(12)) == "beacon/mix/12"
    assert keys.text(keys.order(who, 7, 2)) == f"order/{who.hex()}/7/2"
    assert keys.text(keys.market(7)) == "market/7"
    assert keys.text(keys.TIP) == "chain/tip"
    assert keys.text(keys.next_chain(who)) == f"beacon/next/{who.hex()}"
    assert keys.text(keys.gone(who)) == f"gone/{who.hex()}"


@pytest.mark.parametrize(
    "shown",
    ["", "wallet", "wallet/xyz", "period/00/1", "beacon/mix/-1", "beacon/mix/x", "WALLET/00", "q/ 00"],
)
def test_other_texts_are_refused(shown: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        keys.parse_text(shown)


@given(ids, numbers)
def test_meter_of_a_period_key(who: bytes, number: int) -> None:
    assert keys.meter_of(keys.period(who, number)) == who


@given(ids, numbers, st.integers(0, 255))
def test_owner_period_and_place_of_an_order_key(who: bytes, number: int, place: int) -> None:
    assert keys.order_of(keys.order(who, number, place)) == (who, number, place)


def test_trade_of_an_escrow_key() -> None:
    assert keys.trade_of(keys.escrow(b"t" * 32)) == b"t" * 32


def test_a_beacon_tip_is_never_a_mix() -> None:
    who = b"mix/" + bytes(16)
    assert keys.beacon_tip(who) != keys.beacon_mix(0)
    assert keys.parse_text(keys.text(keys.beacon_tip(who))) == keys.beacon_tip(who)
