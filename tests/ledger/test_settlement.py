from village import PRICE, Village, with_readings

from p2penergy.ledger import BLOCK_INDEX, keys, parse, query
from p2penergy.ledger.records import BillRecord, PacketRecord, PeriodRecord
from p2penergy.ledger.settlement import EXPIRED_PER_BLOCK, bill_of
from p2penergy.ledger.transactions import EnergyType

RETAIL, FEED_IN = 290_000, 120_000


def reading_id(village: Village, meter: int) -> bytes:
    """Of the reading that `with_readings` gave to a meter."""
    exports = meter in (1, 2)
    raw = village.reading(meter, 1000 * (not exports), 1000 * exports, period=100)
    return parse(raw, village.chain_id).transaction_id


def test_what_no_neighbour_takes_or_gives_is_the_retailers() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    village.next_period()
    get = village.ledger.get
    assert query.bill(get, village.ids[1], 100) == BillRecord(
        0, 1000, 0, 0, 400, 400 * PRICE, 0, 0, 600, 600 * FEED_IN, reading_id(village, 1)
    )
    assert query.bill(get, village.ids[3], 100) == BillRecord(
        1000, 0, 400, 400 * PRICE, 0, 0, 600, 600 * RETAIL, 0, 0, reading_id(village, 3)
    )
    assert query.bill(get, village.ids[2], 100) == BillRecord(
        0, 1000, 0, 0, 0, 0, 0, 0, 1000, 1000 * FEED_IN, reading_id(village, 2)
    )
    assert query.bill(get, village.ids[0], 100) is None


def test_the_grids_operator_takes_its_fee_of_what_a_neighbour_sold() -> None:
    fee = 35_000
    village = with_readings(market={"network_fee_micro_per_kwh": fee})
    village.block(village.contract(1, 3, 400))
    village.next_period()
    get = village.ledger.get
    buyer, seller = (query.bill(get, village.ids[who], 100) for who in (3, 1))
    assert buyer is not None and seller is not None
    assert buyer.grid_import_nano == 600 * RETAIL + 400 * fee
    assert buyer.total_nano == 400 * PRICE + 600 * RETAIL + 400 * fee
    assert (seller.grid_import_nano, seller.grid_nano) == (0, -600 * FEED_IN)


def test_retailer_lines_are_owed_and_move_no_money() -> None:
    village = Village(member={"wallet_nano": 0})
    village.block(village.reading(3, import_wh=1000))
    village.next_period()
    bill = query.bill(village.ledger.get, village.ids[3], 100)
    assert bill is not None
    assert bill.total_nano == 1000 * RETAIL
    assert query.balance(village.ledger.get, village.ids[3]).wallet_nano == 0


def test_nothing_of_a_settled_period_stays_open() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    village.next_period()
    open_kinds = (keys.ENERGY, keys.PACKET, keys.PERIOD)
    assert not [key for key, _ in village.ledger.items() if key.startswith(open_kinds)]
    totals = village.ledger.audit_totals()
    assert totals.is_conserved()
    assert (totals.minted_wh, totals.consumed_wh, totals.grid_export_wh) == (2000, 400, 1600)
    assert (totals.imported_wh, totals.grid_import_wh) == (2000, 1600)


def test_settlement_is_the_blocks_own_and_comes_before_its_transactions() -> None:
    village = with_readings()
    outcome = village.run(village.draft(village.reading(1, export_wh=7, period=101), period=101))
    # What a standing remembers is the block's own too, but known only after its transactions.
    indices = [version.index for version in outcome.versions if not version.key.startswith(keys.STANDING)]
    assert indices == sorted(indices)
    bills = [version for version in outcome.versions if version.key.startswith(keys.BILL)]
    assert [version.index for version in bills] == [BLOCK_INDEX] * 4
    assert query.balance(village.ledger.get, village.ids[1]).energy_wh == 7


def test_a_block_of_the_same_period_settles_nothing() -> None:
    village = with_readings()
    village.block()
    assert query.reading(village.ledger.get, village.ids[1], 100) is not None


def test_totals_add_up_over_periods() -> None:
    village = with_readings()
    village.next_period(village.reading(1, export_wh=50, period=101))
    village.next_period()
    totals = village.ledger.audit_totals()
    assert totals.minted_wh == totals.grid_export_wh == 2050
    assert totals.is_conserved()


def test_a_bill_stays_in_the_state_for_a_transactions_life() -> None:
    village = with_readings(market={"transaction_life_periods": 2})
    for _ in range(3):
        assert village.ledger.get(keys.bill(village.ids[1], 100)) is None or village.ledger.period <= 102
        village.next_period()
    assert village.ledger.period == 103
    assert village.ledger.get(keys.bill(village.ids[1], 100)) is None


def test_answers_are_forgotten_when_they_can_not_be_asked_again() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    kinds = (keys.NONCE, keys.CONTRACT)
    for _ in range(4):
        village.next_period()
        assert len([key for key, _ in village.ledger.items() if key.startswith(kinds)]) == 2
    village.next_period()
    assert not [key for key, _ in village.ledger.items() if key.startswith(kinds)]


def test_a_busy_day_is_forgotten_in_steps() -> None:
    village = with_readings()
    count = EXPIRED_PER_BLOCK + 200
    village.block(*[village.contract(1, 3, 5000, number=number) for number in range(count)])

    def remembered() -> int:
        return sum(key.startswith(keys.NONCE) for key, _ in village.ledger.items())

    while village.ledger.period < 104:
        village.next_period()
    assert remembered() == count
    village.next_period()
    assert 0 < remembered() <= 200
    village.block()
    assert remembered() == 0


def test_the_bill_of_a_household() -> None:
    village = Village()
    reading = PeriodRecord(0, 10, bytes(32), 0, 0)
    packet = PacketRecord(EnergyType.SOLAR, 10, 4, 99)
    bill = bill_of(reading, packet, village.genesis.market)
    assert bill == BillRecord(0, 10, 0, 0, 4, 99, 0, 0, 6, 6 * FEED_IN, bytes(32))
    assert bill.sold_wh + bill.grid_export_wh == bill.export_wh
