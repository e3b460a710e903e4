import pytest

from p2penergy.ledger import keys
from p2penergy.ledger.records import (
    BillRecord,
    ContractRecord,
    PacketRecord,
    TipRecord,
    TotalsRecord,
    decode_integer,
    decode_record,
    encode_balance,
    encode_integer,
    encode_record,
    expiry,
)
from p2penergy.ledger.transactions import EnergyType
from p2penergy.messages import INTEGER_MAX, Stage


@pytest.mark.parametrize(
    "record",
    [
        PacketRecord(EnergyType.WIND, 5, 3, INTEGER_MAX),
        TipRecord(7, Stage.VERIFICATION),
        ContractRecord(1, 2, 3),
        TotalsRecord(),
    ],
)
def test_records_come_back_as_they_were(record: TipRecord) -> None:
    assert decode_record(type(record), encode_record(record)) == record


def test_nothing_held_leaves_no_entry() -> None:
    assert encode_balance(0) is None
    assert decode_integer(None) == 0
    assert decode_integer(encode_balance(INTEGER_MAX)) == INTEGER_MAX


def test_a_bill_has_three_lines() -> None:
    bill = BillRecord(10, 0, 4, 400, 0, 0, 6, 900, 0, 0, bytes(32))
    assert (bill.total_nano, bill.community_nano, bill.grid_nano) == (1300, 400, 900)
    assert BillRecord(0, 9, 0, 0, 5, 500, 0, 0, 4, 80, bytes(32)).total_nano == -580


def test_what_ends_and_when() -> None:
    who = bytes(20)
    assert expiry(keys.nonce(who, 1), encode_integer(12), 96) == 12
    assert expiry(keys.contract(bytes(32)), encode_record(ContractRecord(13, 1, 1)), 96) == 13
    assert expiry(keys.bill(who, 5), b"", 96) == 101
    assert expiry(keys.wallet(who), encode_integer(5), 96) is None
    assert expiry(keys.period(who, 5), b"", 96) is None
