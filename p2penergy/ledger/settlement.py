"""Settlement: what happens when the ledger's clock moves on to a later period.

Lives here: closing a period's readings and packets, bills, and ending entries that have expired. Never
here: when the period moves (`block_rules`). Owns the invariant that all metered energy of a settled
period is either traded between neighbours or settled with the retailer, and that no energy balance
outlives its period. Implements LEDGER section 4, step 6.
"""

from p2penergy.genesis import MarketRules
from p2penergy.ledger import keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.records import (
    BillRecord,
    PacketRecord,
    PeriodRecord,
    TotalsRecord,
    encode_record,
)
from p2penergy.ledger.state import State

EXPIRED_PER_BLOCK = 2048
ENTRIES_PER_TRANSACTION = 3
"""An order adds itself, its nonce, and a trade; a declined trade its nonce and its default."""


def settle(block: BlockContext, state: State, period: int) -> None:
    """Settle `period`, the parent's, at the start of a block of a later one.

    Costs in proportion to the readings of the period. Periods in between, if any, had no block and so
    no reading.
    """
    scratch = block.scratch
    totals = query.totals(scratch.get)
    meters = state.open_meters()
    for meter in meters:
        totals = _settle(block, meter, period, totals)
    if meters:
        scratch.put(keys.TOTALS, encode_record(totals))


def drop_expired(block: BlockContext, state: State) -> None:
    """End entries whose last period is over, some at every block.

    Ending all at once would hold up the first block of a period by seconds after a busy day. A few
    more than a block can add are ended, so that they never pile up; what waits does no harm, because
    expiry is checked before anything is looked up.
    """
    count_min = EXPIRED_PER_BLOCK + ENTRIES_PER_TRANSACTION * len(block.draft.transactions)
    for key in state.expired(block.draft.period, count_min):
        block.scratch.put(key, None)


def _settle(block: BlockContext, meter: bytes, period: int, totals: TotalsRecord) -> TotalsRecord:
    scratch = block.scratch
    reading = query.reading(scratch.get, meter, period)
    assert reading is not None, "an open meter has a reading of the parent's period"
    packet = query.packet_record(scratch.get, meter, period)
    bill = bill_of(reading, packet, block.market)
    scratch.put(keys.period(meter, period), None)
    if packet is not None:
        scratch.put(keys.packet(meter, period), None)
    if scratch.get(keys.energy(meter)) is not None:
        scratch.put(keys.energy(meter), None)
    scratch.put(keys.bill(meter, period), encode_record(bill))
    return TotalsRecord(
        totals.minted_wh + bill.export_wh,
        totals.imported_wh + bill.import_wh,
        totals.traded_wh + bill.bought_wh,
        totals.grid_export_wh + bill.grid_export_wh,
        totals.grid_import_wh + bill.grid_import_wh,
    )


def bill_of(reading: PeriodRecord, packet: PacketRecord | None, market: MarketRules) -> BillRecord:
    """The period's figures of one household: what no neighbour took or gave is the retailer's.

    What neighbours sold it came over the grid as well: its operator's fee is owed on the grid's line.
    """
    sold_wh, sold_nano = (packet.claimed_wh, packet.sold_nano) if packet else (0, 0)
    grid_import_wh = reading.import_wh - reading.bought_wh
    grid_export_wh = reading.export_wh - sold_wh
    return BillRecord(
        reading.import_wh,
        reading.export_wh,
        reading.bought_wh,
        reading.bought_nano,
        sold_wh,
        sold_nano,
        grid_import_wh,
        grid_import_wh * market.retail_micro_per_kwh
        + reading.bought_wh * (market.network_fee_micro_per_kwh or 0),
        grid_export_wh,
        grid_export_wh * market.feed_in_micro_per_kwh,
        reading.transaction_id,
    )
