import pytest
from village import Village

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Decline, EnergyType, query


def test_export_mints_a_packet() -> None:
    village = Village()
    receipt = village.one(village.reading(1, export_wh=800, energy_type=EnergyType.WIND))
    packet = query.packet(village.ledger.get, village.ids[1], 100)
    assert receipt.accepted
    assert packet is not None
    assert (packet.amount_wh, packet.available_wh, packet.claimed_wh) == (800, 800, 0)
    assert (packet.owner, packet.generation_date_time) == (village.ids[1], 100)
    assert packet.energy_type is EnergyType.WIND
    assert query.balance(village.ledger.get, village.ids[1]).energy_wh == 800


def test_import_mints_nothing() -> None:
    village = Village()
    assert village.one(village.reading(1, import_wh=800)).accepted
    assert query.packet(village.ledger.get, village.ids[1], 100) is None
    assert query.balance(village.ledger.get, village.ids[1]).energy_wh == 0
    reading = query.reading(village.ledger.get, village.ids[1], 100)
    assert reading is not None
    assert (reading.import_wh, reading.export_wh) == (800, 0)


def test_a_reading_of_nothing_is_a_reading() -> None:
    village = Village()
    assert village.one(village.reading(1)).accepted
    assert village.one(village.reading(1, export_wh=5)).code is Decline.READING_DOUBLED


def test_one_reading_a_period() -> None:
    village = Village()
    first, second = village.block(village.reading(1, export_wh=800), village.reading(1, export_wh=900))
    assert first.accepted
    assert (second.code, second.expected, second.found) == (Decline.READING_DOUBLED, 800, 900)
    assert village.ledger.audit_totals().minted_wh == 800
    village.next_period()
    assert village.one(village.reading(1, export_wh=900)).accepted


@pytest.mark.parametrize("same_block", [True, False])
def test_the_very_same_reading_is_answered_once(same_block: bool) -> None:
    village = Village()
    raw = village.reading(1, export_wh=800)
    if not same_block:
        village.block(raw)
    with pytest.raises(InvalidBlockError) as refused:
        village.block(*[raw] * (2 if same_block else 1))
    assert refused.value.code == "answered_twice"


def test_out_of_order() -> None:
    village = Village()
    late = village.one(village.reading(1, export_wh=5, period=99))
    assert (late.code, late.expected, late.found) == (Decline.READING_OUT_OF_ORDER, 100, 99)
    assert village.ledger.audit_totals().minted_wh == 0


def refused(village: Village, raw: bytes) -> str:
    with pytest.raises(InvalidBlockError) as error:
        village.block(raw)
    return error.value.code


def test_a_reading_waits_for_its_period() -> None:
    village = Village()
    early = village.reading(1, export_wh=5, period=101)
    assert refused(village, early) == "reading_too_early"
    (receipt,) = village.next_period(early)
    assert receipt.accepted


def test_a_settled_reading_is_not_answered_again() -> None:
    village = Village(market={"transaction_life_periods": 2})
    raw, other = village.reading(1, export_wh=5), village.reading(1, export_wh=6)
    village.block(raw)
    for _ in range(2):
        village.next_period()
        assert refused(village, raw) == "answered_twice"
        assert village.one(other).code is Decline.READING_OUT_OF_ORDER
    village.next_period()
    assert refused(village, raw) == refused(village, other) == "transaction_expired"


def test_a_closed_period_stays_closed() -> None:
    village = Village()
    village.next_period()
    late = village.one(village.reading(1, export_wh=5, period=100))
    assert late.code is Decline.READING_OUT_OF_ORDER


@pytest.mark.parametrize("exports", [False, True])
def test_rated_power_bounds_both_sides(exports: bool) -> None:
    village = Village(member={"rated_w": 4000})
    receipt = village.one(village.reading(1, 1001 * (not exports), 1001 * exports))
    assert (receipt.code, receipt.expected, receipt.found) == (Decline.ABOVE_RATED_POWER, 1000, 1001)
    # A declined reading is not the period's reading: the right one may still come.
    assert village.one(village.reading(1, 1000 * (not exports), 1000 * exports)).accepted


def test_no_rating_no_bound() -> None:
    village = Village()
    assert village.one(village.reading(1, export_wh=10**9)).accepted


def test_import_and_export_are_netted() -> None:
    village = Village()
    receipt = village.one(village.reading(1, import_wh=3, export_wh=7))
    assert (receipt.code, receipt.expected, receipt.found) == (Decline.NOT_NETTED, 0, 3)
