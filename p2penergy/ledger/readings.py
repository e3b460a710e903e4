"""Readings: what a meter may report, and the packet that its export mints.

Lives here: the rules on one reading and what accepting it writes. Never here: who buys the energy
(`contracts`), what becomes of the rest (`settlement`). Owns the invariant that energy is minted by one
accepted reading per meter and period, and nowhere else. Implements LEDGER section 4, step 1.
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.receipts import ACCEPTED, Decline, ReadingReceipt, Refusal
from p2penergy.ledger.records import (
    MemberRecord,
    PacketRecord,
    PeriodRecord,
    decode_integer,
    encode_balance,
    encode_record,
)
from p2penergy.ledger.state import Scratch
from p2penergy.ledger.transactions import Reading

PERIODS_PER_HOUR = 4


def rated_wh(rated_w: int) -> int:
    """The most that a connection carries in one period, Wh; `rated_w` is not 0."""
    return rated_w // PERIODS_PER_HOUR


def decide_reading(
    block: BlockContext, reading: Reading, transaction_id: bytes, member: MemberRecord
) -> ReadingReceipt:
    """Accept or decline a reading whose meter's signature holds.

    Raises:
        InvalidBlockError: `answered_twice` (the very same reading was accepted before) or
            `reading_too_early` (it may be accepted later; a decline would contradict that).
    """
    refusal = _refusal(block, reading, transaction_id, member)
    if refusal is None:
        _accept(block.scratch, reading, transaction_id)
    code, expected, found, *_ = refusal or ACCEPTED
    return ReadingReceipt(
        transaction_id,
        code,
        expected,
        found,
        reading.meter,
        reading.period,
        reading.import_wh,
        reading.export_wh,
    )


def _refusal(
    block: BlockContext, reading: Reading, transaction_id: bytes, member: MemberRecord
) -> Refusal | None:
    period, largest_wh = block.draft.period, max(reading.import_wh, reading.export_wh)
    if reading.period > period:
        said = f"a reading of period {reading.period} in a block of period {period}"
        raise InvalidBlockError("reading_too_early", said)
    before = query.reading(block.scratch.get, reading.meter, reading.period)
    settled = query.bill(block.scratch.get, reading.meter, reading.period)
    accepted = before or settled
    if accepted is not None and accepted.transaction_id == transaction_id:
        raise InvalidBlockError("answered_twice", f"reading {transaction_id.hex()} was accepted before")
    if reading.period < period:
        return Refusal(Decline.READING_OUT_OF_ORDER, period, reading.period)
    if before is not None:
        return Refusal(Decline.READING_DOUBLED, max(before.import_wh, before.export_wh), largest_wh)
    both_wh = min(reading.import_wh, reading.export_wh)
    if both_wh:
        return Refusal(Decline.NOT_NETTED, 0, both_wh)
    if member.rated_w and largest_wh > rated_wh(member.rated_w):
        return Refusal(Decline.ABOVE_RATED_POWER, rated_wh(member.rated_w), largest_wh)
    return None


def _accept(scratch: Scratch, reading: Reading, transaction_id: bytes) -> None:
    meter, period = reading.meter, reading.period
    record = PeriodRecord(reading.import_wh, reading.export_wh, transaction_id, 0, 0)
    scratch.put(keys.period(meter, period), encode_record(record))
    if reading.export_wh:
        packet = PacketRecord(reading.energy_type, reading.export_wh, 0, 0)
        scratch.put(keys.packet(meter, period), encode_record(packet))
        key = keys.energy(meter)
        scratch.put(key, encode_balance(decode_integer(scratch.get(key)) + reading.export_wh))
