"""Values of the state: their shapes and their one encoding.

Lives here: what stands under each kind of key, and back and forth between that and bytes. Never here:
rules about it. Owns the invariant that every value fits its encoding: integers stay within 64 bits
because wallets add up to no more than `MONEY_NANO_MAX` and prices and energies have limits
(`transactions`). Implements LEDGER sections 1 and 3.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import msgspec

from p2penergy.ledger import keys
from p2penergy.ledger.standing import Meeting
from p2penergy.ledger.transactions import EnergyType, Side
from p2penergy.messages import INTEGER_MAX, Stage

MONEY_NANO_MAX = INTEGER_MAX
"""All wallets together; money is conserved, so that no wallet can ever hold more."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value of several fields: an array of fixed length."""


class KeyChange(Record, frozen=True, gc=False):
    """From the state after block `height` on a participant had this key, or None: was no member."""

    height: int
    public_key: bytes | None


class MemberRecord(Record, frozen=True, gc=False):
    """`member/ID`: a present member."""

    public_key: bytes
    validator: bool
    verifier: bool
    rated_w: int
    cluster: int
    meter_pseudonym: bytes | None = None
    joined_height: int = 0
    """0: a member of genesis."""
    changes: tuple[KeyChange, ...] = ()
    """Oldest first: all that committees may still depend on."""


class Departure(IntEnum):
    """Why somebody is no member any more."""

    LEFT = 1
    REVOKED = 2
    EXPELLED = 3


class GoneRecord(Record, frozen=True, gc=False):
    """`gone/ID`: the last registration of who is no member any more, and why."""

    member: MemberRecord
    why: Departure
    height: int


class PoolChange(Record, frozen=True, gc=False):
    """From the state after block `height` on a volunteer had this place in the pools."""

    height: int
    roles: int
    """Bits `1 << stage` of the stages that it may serve; 0: gone, too young, or volunteers no more."""
    grade: int
    """`ELIGIBLE`, or, below the bar, its score in hundredths."""


class PoolRecord(Record, frozen=True, gc=False):
    """`pool/ID`: oldest first, all that committees may still depend on."""

    changes: tuple[PoolChange, ...]


class NextChainRecord(Record, frozen=True, gc=False):
    """`beacon/next/ID`: from block `from_height` on the member reveals this chain."""

    tip: bytes
    from_height: int


class Stake(Record, frozen=True, gc=False):
    """What one verifier took off its score for a newcomer."""

    verifier: bytes
    stake_ppm: int


class StakeRecord(Record, frozen=True, gc=False):
    """`stake/ID`: all stakes on a newcomer, the ledger's day of its join, and its trades since."""

    day: int
    trades: int
    stakes: tuple[Stake, ...]


class PeriodRecord(Record, frozen=True, gc=False):
    """`period/METER/P`: an accepted reading and what its owner bought in the period."""

    import_wh: int
    export_wh: int
    transaction_id: bytes
    bought_wh: int
    bought_nano: int


class PacketRecord(Record, frozen=True, gc=False):
    """`packet/OWNER/P`: what an export minted; available = amount - claimed."""

    energy_type: EnergyType
    amount_wh: int
    claimed_wh: int
    sold_nano: int


class BillRecord(Record, frozen=True, gc=False):
    """`bill/ID/P`: inputs of a settled period's three lines; grid amounts are owed, not transferred."""

    import_wh: int
    export_wh: int
    bought_wh: int
    bought_nano: int
    sold_wh: int
    sold_nano: int
    grid_import_wh: int
    grid_import_nano: int
    grid_export_wh: int
    grid_export_nano: int
    transaction_id: bytes
    """The reading's."""

    @property
    def community_nano(self) -> int:
        """To pay to neighbours, less what they pay."""
        return self.bought_nano - self.sold_nano

    @property
    def grid_nano(self) -> int:
        """To pay to the retailer, less what it pays."""
        return self.grid_import_nano - self.grid_export_nano

    @property
    def total_nano(self) -> int:
        """The sum of the other two lines."""
        return self.community_nano + self.grid_nano


class ContractRecord(Record, frozen=True, gc=False):
    """`contract/TRADE`: executed, or waiting for its period while there is an `escrow/TRADE`.

    (height, index) is where it was executed or accepted: a contract's receipt stands there; of a match
    of the auction (index -1) `escrow/TRADE` told the terms.
    """

    valid_until_period: int
    height: int
    index: int
    delivered_wh: int = 0
    x_ppm: int = 0
    """The outcome by LEDGER section 6; 0 while it waits, and when it was called off."""
    quality_ppm: int = 0
    """The total of Equation (2)."""
    leader: bytes = b""
    """Through whom an escrow was delivered: a contract's own leader is in its receipt."""
    legs: tuple[int, ...] = ()
    """What that changed, in the order of a `TradeReceipt`'s legs."""


class EscrowRecord(Record, frozen=True, gc=False):
    """`escrow/TRADE`: a contract for a period to come, whose price is put aside."""

    seller: bytes
    buyer: bytes
    period: int
    energy_wh: int
    price_micro_per_kwh: int
    height: int
    index: int
    number: int
    """Contracts of a period are served in the order of (height, index, number)."""
    chosen: bool
    """Whether the two chose each other; else the auction matched them."""

    @property
    def amount_nano(self) -> int:
        """What is put aside, exactly."""
        return self.energy_wh * self.price_micro_per_kwh


class PromiseRecord(Record, frozen=True, gc=False):
    """`promise/ID/P`: energy of the open or a later period that contracts in escrow lay claim to."""

    sell_wh: int = 0
    buy_wh: int = 0


class OrderEnd(IntEnum):
    """What became of an order, or of the rest of it."""

    OPEN = 0
    """Waits for its gate to close."""
    FILLED = 1
    PRICE = 2
    """The market's price was beyond its limit."""
    NO_COUNTERPARTY = 3
    SELF_ONLY = 4
    """Only its owner's own orders were left to meet it."""
    SCORE = 5
    """Its owner's score was below the trading bar when the gate closed."""
    TOO_LATE = 6
    """Its period was over before the ledger could clear it."""
    CANCELLED = 7
    GRID = 8
    """The feeder could not have carried the match."""


class OrderRecord(Record, frozen=True, gc=False):
    """`order/ID/P/PLACE`."""

    side: Side
    energy_wh: int
    price_micro_per_kwh: int
    escrow_nano: int
    """A bid's limit times its energy, while it is open."""
    end: OrderEnd = OrderEnd.OPEN
    filled_wh: int = 0


class MarketRecord(Record, frozen=True, gc=False):
    """`market/P`: how a period's auction went."""

    price_micro_per_kwh: int | None
    volume_wh: int
    asks: int
    bids: int


class StandingRecord(Record, frozen=True, gc=False):
    """`standing/ID`: all of a member's standing but its score, which is `q/ID`."""

    day: int
    trade_gain_ppm: int
    vote_gain_ppm: int
    meetings: tuple[Meeting, ...]


class EvidenceRecord(Record, frozen=True, gc=False):
    """`evidence/ID/KIND/HEIGHT/VIEW`: (height, index) is where the two statements stand on the chain."""

    height: int
    index: int


class TipRecord(Record, frozen=True, gc=False):
    """`chain/tip`: what the last block said for the next one."""

    period: int
    next_stage: Stage


class VerificationsRecord(Record, frozen=True, gc=False):
    """`chain/verifications`: heights of the last verification block and of the one before it, 0 for none."""

    last: int = 0
    before: int = 0


class TotalsRecord(Record, frozen=True, gc=False):
    """`chain/totals`: energy of all settled periods, Wh."""

    minted_wh: int = 0
    imported_wh: int = 0
    traded_wh: int = 0
    grid_export_wh: int = 0
    grid_import_wh: int = 0


R = TypeVar("R", bound=Record)

_encoder = msgspec.msgpack.Encoder()
_integer_decoder = msgspec.msgpack.Decoder(int)
_decoders: dict[type[Record], "msgspec.msgpack.Decoder[Any]"] = {
    shape: msgspec.msgpack.Decoder(shape)
    for shape in (
        MemberRecord,
        GoneRecord,
        PoolRecord,
        NextChainRecord,
        StakeRecord,
        PeriodRecord,
        PacketRecord,
        BillRecord,
        ContractRecord,
        EscrowRecord,
        PromiseRecord,
        OrderRecord,
        MarketRecord,
        StandingRecord,
        EvidenceRecord,
        TipRecord,
        VerificationsRecord,
        TotalsRecord,
    )
}

encode_record = _encoder.encode
"""A record's bytes."""
encode_integer: Callable[[int], bytes] = _encoder.encode
"""A balance, score or period as bytes."""


def decode_record(shape: type[R], value: bytes) -> R:
    """A record from bytes of the state, which are trusted: execution wrote them."""
    record: R = _decoders[shape].decode(value)
    return record


def encode_balance(value: int) -> bytes | None:
    """An energy balance: nothing at all stands for zero, so that what came and went leaves no entry."""
    return _encoder.encode(value) if value else None


def decode_integer(value: bytes | None) -> int:
    """The integer, 0 for no entry."""
    return 0 if value is None else _integer_decoder.decode(value)


def expiry(key: bytes, value: bytes, life_periods: int) -> int | None:
    """Last period in which an entry is part of the current state; None: no such end."""
    if key.startswith((keys.NONCE, keys.DEFAULT, keys.ASKED)):
        return decode_integer(value)
    if key.startswith(keys.CONTRACT):
        return decode_record(ContractRecord, value).valid_until_period
    if key.startswith(keys.ORDER):
        is_open = decode_record(OrderRecord, value).end is OrderEnd.OPEN
        return None if is_open else keys.order_of(key)[1] + life_periods
    if key.startswith((keys.BILL, keys.MARKET)):
        return int.from_bytes(key[-8:], "big") + life_periods
    return None


def due_period(key: bytes, value: bytes) -> int:
    """The period of an order or of a contract in escrow."""
    if key.startswith(keys.ORDER):
        return keys.order_of(key)[1]
    return decode_record(EscrowRecord, value).period
