"""One trade from request to final, and the history of any entry of the state.

Lives here: where a trade's receipt stands, and a version's value as people read it. Never here: how it is
shown. Implements LEDGER sections 3 and 4 as whoever looks back reads them.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from p2penergy.client import ClientError
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger import keys
from p2penergy.ledger.receipts import TradeReceipt, TradeStage, stage_legs
from p2penergy.ledger.records import (
    BillRecord,
    ContractRecord,
    EscrowRecord,
    EvidenceRecord,
    GoneRecord,
    MarketRecord,
    MemberRecord,
    NextChainRecord,
    OrderRecord,
    PacketRecord,
    PeriodRecord,
    PoolRecord,
    PromiseRecord,
    Record,
    StakeRecord,
    StandingRecord,
    TipRecord,
    TotalsRecord,
    VerificationsRecord,
    decode_integer,
    decode_record,
)
from p2penergy.ledger.stages import StageLegs

_VERSIONS_OF_A_CONTRACT = 8
"""Accepted, delivered, ended; there are no more."""
_SHAPES: dict[bytes, type[Record]] = {
    keys.MEMBER: MemberRecord,
    keys.GONE: GoneRecord,
    keys.POOL: PoolRecord,
    keys.STAKE: StakeRecord,
    keys.NEXT_CHAIN: NextChainRecord,
    keys.VERIFICATIONS: VerificationsRecord,
    keys.PERIOD: PeriodRecord,
    keys.PACKET: PacketRecord,
    keys.BILL: BillRecord,
    keys.CONTRACT: ContractRecord,
    keys.ESCROW: EscrowRecord,
    keys.STANDING: StandingRecord,
    keys.PROMISE: PromiseRecord,
    keys.ORDER: OrderRecord,
    keys.MARKET: MarketRecord,
    keys.EVIDENCE: EvidenceRecord,
    keys.TIP: TipRecord,
    keys.TOTALS: TotalsRecord,
}
_INTEGERS = (
    *(keys.ENERGY, keys.WALLET, keys.SCORE, keys.NONCE, keys.DEFAULT, keys.PROVEN),
    *(keys.ASKED, keys.REVOKED),
)


@dataclass(frozen=True, slots=True)
class Trade:
    """What the ledger knows of a trade."""

    height: int
    receipt: TradeReceipt | None
    """None for a match of the auction: its terms stand in `escrow`."""
    record: ContractRecord | None
    """None for a decline."""
    escrow: EscrowRecord | None
    """The terms of a contract whose period was to come when it was made."""
    delivered_height: int | None
    """Where a contract in escrow was settled."""

    @property
    def waits(self) -> bool:
        """Whether its period is still to be settled."""
        return self.escrow is not None and self.delivered_height is None

    @property
    def reached(self) -> TradeStage:
        """How far it has come; what waits in escrow, or was called off, is prepared and no more."""
        if self.stage_legs() is not None:
            return TradeStage.FINAL
        return self.receipt.stage if self.receipt is not None else TradeStage.PREPARATION

    @property
    def leader(self) -> bytes | None:
        """Through whom the trade went; None: it did not, or not yet."""
        if self.record is not None and self.record.legs:
            return self.record.leader
        return self.receipt.leader if self.receipt is not None else None

    def stage_legs(self) -> tuple[StageLegs, StageLegs] | None:
        """What both stages changed, at once or when the escrow was settled; None: nothing."""
        if self.record is not None and self.record.legs:
            return stage_legs(self.record.legs)
        return self.receipt.stage_legs() if self.receipt is not None else None


async def trade(network: Network, key: bytes) -> Trade:
    """A trade by its trade id, or by the id of the transaction that asked for it.

    Raises:
        HouseholdError: no trade has this id.
    """
    wanted = (keys.contract(key), keys.escrow(key))
    found = await network.histories(wanted, _VERSIONS_OF_A_CONTRACT)
    written = [each for each in found[wanted[0]] if each.value is not None]
    escrows = [each.value for each in found[wanted[1]] if each.value is not None]
    if not written:
        return await _requested(network, key)
    first, last = written[0], written[-1]
    receipt: TradeReceipt | None = None
    if first.cause is not None:
        proven, _ = await network.receipt(first.cause)
        assert isinstance(proven, TradeReceipt), "something else than a contract made a trade"
        receipt = proven
    assert last.value is not None
    return Trade(
        height=first.height,
        receipt=receipt,
        record=decode_record(ContractRecord, last.value),
        escrow=decode_record(EscrowRecord, escrows[-1]) if escrows else None,
        delivered_height=last.height if last is not first else None,
    )


async def _requested(network: Network, key: bytes) -> Trade:
    """A contract by its transaction: declined ones have no other name."""
    try:
        receipt, height = await network.receipt(key)
    except ClientError:
        raise HouseholdError(f"no trade and no transaction has the id {key.hex()}") from None
    if not isinstance(receipt, TradeReceipt):
        raise HouseholdError(f"transaction {key.hex()} is no contract")
    if receipt.accepted:
        return await trade(network, receipt.trade_id)
    return Trade(height, receipt, None, None, None)


def readable(key: bytes, value: bytes | None) -> Any:
    """A value of the state as JSON has it: an integer, an object of named fields, or hex digits."""
    if value is None:
        return None
    if key.startswith(_INTEGERS):
        return decode_integer(value)
    for prefix, shape in _SHAPES.items():
        if key.startswith(prefix):
            return _plain(decode_record(shape, value))
    return value.hex()


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    name = getattr(value, "name", None)
    return name.lower() if isinstance(name, str) else value
