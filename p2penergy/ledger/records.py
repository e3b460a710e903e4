"""Values of the state: their shapes and their one encoding.

Lives here: what stands under each kind of key, and back and forth between that and bytes. Never here:
rules about it. Owns the invariant that every value fits its encoding: integers stay within 64 bits
because wallets add up to no more than `MONEY_NANO_MAX` and prices and energies have limits
(`transactions`). Implements LEDGER sections 1 and 3.
"""

from typing import Any, TypeVar

import msgspec

from p2penergy.ledger import keys
from p2penergy.ledger.transactions import EnergyType
from p2penergy.messages import INTEGER_MAX, Stage

MONEY_NANO_MAX = INTEGER_MAX
"""All wallets together; money is conserved, so that no wallet can ever hold more."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value of several fields: an array of fixed length."""


class MemberRecord(Record, frozen=True, gc=False):
    """`member/ID`."""

    public_key: bytes
    validator: bool
    verifier: bool
    rated_w: int
    cluster: int


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
    """`contract/TRADE`: executed; (height, index) is where its receipt with all the rest stands."""

    valid_until_period: int
    height: int
    index: int


class EvidenceRecord(Record, frozen=True, gc=False):
    """`evidence/ID/KIND/HEIGHT/VIEW`: (height, index) is where the two statements stand on the chain."""

    height: int
    index: int


class TipRecord(Record, frozen=True, gc=False):
    """`chain/tip`: what the last block said for the next one."""

    period: int
    next_stage: Stage


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
        PeriodRecord,
        PacketRecord,
        BillRecord,
        ContractRecord,
        EvidenceRecord,
        TipRecord,
        TotalsRecord,
    )
}

encode_record = _encoder.encode
"""A record's bytes."""


def decode_record(shape: type[R], value: bytes) -> R:
    """A record from bytes of the state, which are trusted: execution wrote them."""
    record: R = _decoders[shape].decode(value)
    return record


def encode_integer(value: int) -> bytes:
    """A balance, score or period as bytes."""
    return _encoder.encode(value)


def encode_balance(value: int) -> bytes | None:
    """An energy balance: nothing at all stands for zero, so that what came and went leaves no entry."""
    return _encoder.encode(value) if value else None


def decode_integer(value: bytes | None) -> int:
    """The integer, 0 for no entry."""
    return 0 if value is None else _integer_decoder.decode(value)


def expiry(key: bytes, value: bytes, life_periods: int) -> int | None:
    """Last period in which an entry is part of the current state; None: no such end."""
    if key.startswith(keys.NONCE):
        return decode_integer(value)
    if key.startswith(keys.CONTRACT):
        return decode_record(ContractRecord, value).valid_until_period
    if key.startswith(keys.BILL):
        return int.from_bytes(key[-8:], "big") + life_periods
    return None
