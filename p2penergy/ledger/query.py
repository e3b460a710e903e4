"""Typed reads of the state, for execution and for people.

Lives here: one function per kind of entry over any `get`, be it the current state's, a block's scratch
copy or a past height's. Never here: writing. Implements the questions of LEDGER section 3.
"""

from collections.abc import Callable

import msgspec

from p2penergy.ledger import keys
from p2penergy.ledger.needed import value_at
from p2penergy.ledger.records import (
    BillRecord,
    ContractRecord,
    Departure,
    EscrowRecord,
    GoneRecord,
    MarketRecord,
    MemberRecord,
    NextChainRecord,
    OrderRecord,
    PacketRecord,
    PeriodRecord,
    PoolRecord,
    PromiseRecord,
    R,
    StakeRecord,
    TipRecord,
    TotalsRecord,
    VerificationsRecord,
    decode_integer,
    decode_record,
)
from p2penergy.ledger.transactions import EnergyType

Get = Callable[[bytes], bytes | None]
"""Key -> value, None where there is none."""
_NO_PROMISE = PromiseRecord()


class Balance(msgspec.Struct, frozen=True):
    """What a participant holds now."""

    energy_wh: int
    wallet_nano: int
    q_ppm: int


class Energy(msgspec.Struct, frozen=True):
    """An Energy packet in the paper's terms (Fig. 6)."""

    packet_id: str
    amount_wh: int
    owner: bytes
    generation_date_time: int
    """The settlement period, unix seconds // 900."""
    available_wh: int
    claimed_wh: int
    energy_type: EnergyType


def _record(get: Get, shape: type[R], key: bytes) -> R | None:
    value = get(key)
    return None if value is None else decode_record(shape, value)


def member(get: Get, participant_id: bytes) -> MemberRecord | None:
    """A present member's registration; None for strangers, and for who left or was made to."""
    return _record(get, MemberRecord, keys.member(participant_id))


def gone(get: Get, participant_id: bytes) -> GoneRecord | None:
    """Who was a member once; None for members and strangers."""
    return _record(get, GoneRecord, keys.gone(participant_id))


def is_barred(get: Get, participant_id: bytes, public_key: bytes) -> bool:
    """Whether nothing signed with this key is listened to any more: revoked, or its owner expelled."""
    ended = gone(get, participant_id)
    return get(keys.revoked(public_key)) is not None or (
        ended is not None and ended.why is Departure.EXPELLED
    )


def key_at(get: Get, participant_id: bytes, height: int) -> bytes | None:
    """A member's key in the state after block `height`, as far back as committees depend on it."""
    known = member(get, participant_id)
    if known is None:
        left = gone(get, participant_id)
        known = left.member if left is not None else None
    change = value_at(known.changes, height) if known is not None else None
    return None if change is None else change.public_key


def pool(get: Get, participant_id: bytes) -> PoolRecord | None:
    """A volunteer's places in the pools; None for who never volunteered."""
    return _record(get, PoolRecord, keys.pool(participant_id))


def stake(get: Get, newcomer: bytes) -> StakeRecord | None:
    """What is staked on a newcomer; None for who is none, or none any more."""
    return _record(get, StakeRecord, keys.stake(newcomer))


def next_chain(get: Get, participant_id: bytes) -> NextChainRecord | None:
    """The hash chain that takes the present one's place."""
    return _record(get, NextChainRecord, keys.next_chain(participant_id))


def score(get: Get, participant_id: bytes) -> int:
    """A member's score in ppm, as it was last written: `scores.score_on` adds the drift since."""
    return decode_integer(get(keys.score(participant_id)))


def balance(get: Get, participant_id: bytes) -> Balance:
    """Energy, money and score; zeros for strangers."""
    return Balance(
        decode_integer(get(keys.energy(participant_id))),
        decode_integer(get(keys.wallet(participant_id))),
        score(get, participant_id),
    )


def reading(get: Get, meter: bytes, period: int) -> PeriodRecord | None:
    """A meter's accepted reading of the open period; None before it, and once settled."""
    return _record(get, PeriodRecord, keys.period(meter, period))


def packet_record(get: Get, owner: bytes, period: int) -> PacketRecord | None:
    """The packet of the open period as the state holds it."""
    return _record(get, PacketRecord, keys.packet(owner, period))


def packet(get: Get, owner: bytes, period: int) -> Energy | None:
    """The packet of the open period as the paper describes it."""
    record = packet_record(get, owner, period)
    if record is None:
        return None
    return Energy(
        packet_id=keys.text(keys.packet(owner, period)).removeprefix("packet/"),
        amount_wh=record.amount_wh,
        owner=owner,
        generation_date_time=period,
        available_wh=record.amount_wh - record.claimed_wh,
        claimed_wh=record.claimed_wh,
        energy_type=record.energy_type,
    )


def trade(get: Get, trade_id: bytes) -> ContractRecord | None:
    """Where an executed trade's receipt stands; None when it was not executed or long ago."""
    return _record(get, ContractRecord, keys.contract(trade_id))


def escrow(get: Get, trade_id: bytes) -> EscrowRecord | None:
    """A contract that waits for its period."""
    return _record(get, EscrowRecord, keys.escrow(trade_id))


def promise(get: Get, participant_id: bytes, period: int) -> PromiseRecord:
    """What contracts in escrow claim of a member's period."""
    return _record(get, PromiseRecord, keys.promise(participant_id, period)) or _NO_PROMISE


def order(get: Get, participant_id: bytes, period: int, place: int) -> OrderRecord | None:
    """An order and what became of it; None when none stood there, or long ago."""
    return _record(get, OrderRecord, keys.order(participant_id, period, place))


def market(get: Get, period: int) -> MarketRecord | None:
    """A period's auction; None while its gate is open, when nobody ordered, or long ago."""
    return _record(get, MarketRecord, keys.market(period))


def bill(get: Get, participant_id: bytes, period: int) -> BillRecord | None:
    """A settled period; in the current state for a transaction's life, in its history for ever."""
    return _record(get, BillRecord, keys.bill(participant_id, period))


def tip(get: Get) -> TipRecord:
    """Period of the last block, and the stage that it gave the next."""
    record = _record(get, TipRecord, keys.TIP)
    if record is None:
        raise ValueError("this is no state of a ledger: it has no entry chain/tip")
    return record


def verifications(get: Get) -> VerificationsRecord:
    """The last two verification blocks."""
    return _record(get, VerificationsRecord, keys.VERIFICATIONS) or VerificationsRecord()


def totals(get: Get) -> TotalsRecord:
    """Energy of all settled periods."""
    return _record(get, TotalsRecord, keys.TOTALS) or TotalsRecord()
