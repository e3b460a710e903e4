import pytest
from village import PRICE, with_readings

from p2penergy.ledger.receipts import (
    ACCEPTED,
    Decline,
    ReadingReceipt,
    TradeReceipt,
    TradeStage,
    decode_receipt,
    encode_receipt,
    sentence,
)
from p2penergy.ledger.stages import Leg

READING = ReadingReceipt(bytes(32), Decline.ABOVE_RATED_POWER, 10, 11, bytes(20), 5, 0, 11)


def test_receipts_come_back_as_they_were() -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 100))
    assert decode_receipt(encode_receipt(receipt)) == receipt
    assert decode_receipt(encode_receipt(READING)) == READING


def test_a_receipt_of_a_trade_says_all_there_is_to_know() -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 100))
    assert receipt.accepted
    assert (receipt.seller, receipt.buyer, receipt.leader) == (village.ids[1], village.ids[3], village.ids[0])
    assert receipt.amount_nano == 100 * PRICE
    execution, final = receipt.stage_legs()
    assert execution.energy == Leg(1000, 900)
    assert final.energy == Leg(0, 100)
    assert final.leader_energy == Leg(100, 0)
    assert final.wallet.after - final.wallet.before == 100 * PRICE


def test_a_receipt_of_a_trade_is_small() -> None:
    village = with_readings()
    assert len(encode_receipt(village.one(village.contract(1, 3, 100)))) <= 280


def test_a_declined_trade_has_no_legs() -> None:
    village = with_readings()
    receipt = village.one(village.contract(1, 3, 1001))
    assert receipt.stage_legs() is None
    assert not receipt.accepted


@pytest.mark.parametrize("code", Decline)
def test_every_code_has_a_sentence(code: Decline) -> None:
    of_reading = ReadingReceipt(bytes(32), code, 41, 12, bytes(20), 5, 0, 11)
    who = bytes(20)
    of_trade = TradeReceipt(
        bytes(32), code, 41, 12, TradeStage.EXECUTION, 1, 0, who, bytes(32), who, who, 5, 6, ()
    )
    if code is Decline.NONE:
        assert sentence(of_trade) == sentence(of_reading) == "accepted"
    else:
        assert sentence(of_reading).startswith("declined: ")
        assert sentence(of_trade).startswith("declined at the execution stage, condition 1 (in Wh): ")
    assert not sentence(of_reading).endswith(".")


def test_a_sentence_names_both_figures() -> None:
    assert sentence(READING) == "declined: the connection carries 10 Wh in a period at most, not 11"


def test_accepted_means_the_final_stage_and_no_condition_broken() -> None:
    assert ACCEPTED == (Decline.NONE, 0, 0, TradeStage.FINAL, 0, 0, None)
