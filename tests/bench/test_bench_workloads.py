"""Workloads: new requests each time, which the real ledger accepts."""

import pytest

from bench.workloads import KINDS, METERED_WH, Pair, open_workload
from p2penergy.ledger import parse
from p2penergy.ledger.transactions import Contract, Reading, terms_bytes
from p2penergy.membership.keys import DeviceKey
from p2penergy.signing import EcdsaSigner, public_key_bytes, verify_signature

CHAIN_ID, PERIOD = b"c" * 32, 1_600_000
KEYS = [DeviceKey.generate() for _ in range(4)]
SIGNERS = [EcdsaSigner(bytes([i]) * 20, key.private_key) for i, key in enumerate(KEYS)]
PAIRS = [Pair(SIGNERS[0], SIGNERS[1]), Pair(SIGNERS[2], SIGNERS[3])]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_two_requests_are_equal(name: str) -> None:
    workload = open_workload(name, PAIRS, CHAIN_ID, PERIOD)
    made = [workload.make(number % 2) for number in range(20)]
    assert len({transaction_id for transaction_id, _ in made}) == 20
    assert len({data for _, data in made}) == 20


def test_a_trade_carries_both_signatures() -> None:
    transaction_id, data = open_workload("trades", PAIRS, CHAIN_ID, PERIOD).make(1)
    submitted = parse(data, CHAIN_ID)
    contract = submitted.transaction
    assert isinstance(contract, Contract) and submitted.transaction_id == transaction_id
    seller, buyer = (public_key_bytes(KEYS[i].private_key.public_key()) for i in (2, 3))
    assert verify_signature((seller, submitted.signed, contract.signature))
    terms = terms_bytes(contract.terms, CHAIN_ID)
    assert verify_signature((buyer, terms, contract.counterparty_signature))


def test_readings_come_first_one_of_each_household_by_itself() -> None:
    setup = open_workload("trades", PAIRS, CHAIN_ID, PERIOD).setup()
    readings = [(who, parse(data, CHAIN_ID).transaction) for who, (_, data) in setup]
    assert all(isinstance(reading, Reading) and reading.meter == who for who, reading in readings)
    assert [(r.export_wh, r.import_wh) for _, r in readings if isinstance(r, Reading)] == [
        (METERED_WH, 0),
        (0, METERED_WH),
    ] * 2
    assert open_workload("0/0", PAIRS, CHAIN_ID, PERIOD).setup() == []


def test_there_is_no_workload_of_another_name() -> None:
    with pytest.raises(KeyError):
        open_workload("nothing", PAIRS, CHAIN_ID, PERIOD)
