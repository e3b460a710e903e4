"""What became of trades and scores, counted from what blocks wrote.

Lives here: reading receipts and versions of blocks, in their order, into trades, defaults and suspensions.
Never here: where blocks come from, whom the ids belong to. Owns the invariant that every figure follows from
the ledger alone. Implements LEDGER section 6 as whoever looks back reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from p2penergy.ledger import keys
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT
from p2penergy.ledger.receipts import Decline, TradeReceipt, decode_receipt, sentence
from p2penergy.ledger.records import ContractRecord, EscrowRecord, decode_integer, decode_record


class Written(Protocol):
    """One version, as a block wrote it."""

    @property
    def key(self) -> bytes:
        """Key of the state."""

    @property
    def index(self) -> int:
        """Number of the transaction in its block; -1: the block itself."""

    @property
    def value(self) -> bytes | None:
        """None: the key was ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A trade that was executed or delivered, or failed by somebody's fault."""

    period: int
    """The ledger's, as it ended."""
    for_period: int
    """That of the energy."""
    seller: bytes
    buyer: bytes
    promised_wh: int
    delivered_wh: int
    price_micro_per_kwh: int
    fault: int
    """alpha: +1 the seller, -1 the buyer, 0 nobody."""
    reason: str
    """Why it failed."""

    @property
    def at_fault(self) -> bytes | None:
        """Who failed."""
        return {SELLER_AT_FAULT: self.seller, BUYER_AT_FAULT: self.buyer}.get(self.fault)


@dataclass(slots=True)
class Census:
    """Everything counted so far."""

    bar_ppm: int
    """Below this score nobody trades."""
    ended: list[Ended] = field(default_factory=list)
    scores: dict[bytes, int] = field(default_factory=dict)
    """Participant -> score as last written."""
    suspended: dict[bytes, int] = field(default_factory=dict)
    """Participant -> the period in which its score first fell below the bar."""
    _escrows: dict[bytes, EscrowRecord] = field(default_factory=dict)
    _due: dict[bytes, EscrowRecord] = field(default_factory=dict)
    """Those that the block at hand settles."""

    @property
    def defaults(self) -> list[Ended]:
        """Trades that failed by somebody's fault."""
        return [each for each in self.ended if each.fault]

    def block(self, period: int, receipts: Iterable[bytes], versions: Iterable[Written]) -> None:
        """Count one block of the ledger's `period`; genesis is one without receipts."""
        fallen: bytes | None = None
        faults: set[int] = set()
        for version in versions:
            key, value = version.key, version.value
            if key.startswith(keys.ESCROW):
                self._escrow(keys.trade_of(key), value)
            elif value is None:
                continue
            elif key.startswith(keys.SCORE):
                who, q_ppm = key[len(keys.SCORE) :], decode_integer(value)
                fallen = who if q_ppm < self.scores.get(who, 0) else None
                self.scores[who] = q_ppm
                if q_ppm < self.bar_ppm:
                    self.suspended.setdefault(who, period)
            elif key.startswith(keys.DEFAULT):
                faults.add(version.index)
            elif key.startswith(keys.CONTRACT):
                due = self._due.pop(key[len(keys.CONTRACT) :], None)
                if due is not None:
                    self._delivered(period, due, decode_record(ContractRecord, value), fallen)
                    fallen = None
        for index, data in enumerate(receipts):
            receipt = decode_receipt(data)
            if isinstance(receipt, TradeReceipt):
                failed = index in faults or receipt.code is Decline.ALTERED_CONTRACT
                self._receipt(period, receipt, failed)

    def _escrow(self, trade_id: bytes, value: bytes | None) -> None:
        if value is not None:
            self._escrows[trade_id] = decode_record(EscrowRecord, value)
        elif trade_id in self._escrows:
            self._due[trade_id] = self._escrows.pop(trade_id)

    def _delivered(
        self, period: int, escrow: EscrowRecord, record: ContractRecord, fallen: bytes | None
    ) -> None:
        # A delivery that failed takes from a score right before it is noted.
        fault = 0
        if record.x_ppm < 0:
            fault = SELLER_AT_FAULT if fallen == escrow.seller else BUYER_AT_FAULT
        if fault or record.delivered_wh:
            self.ended.append(
                Ended(
                    period,
                    escrow.period,
                    escrow.seller,
                    escrow.buyer,
                    escrow.energy_wh,
                    record.delivered_wh,
                    escrow.price_micro_per_kwh,
                    fault,
                    f"{record.delivered_wh} Wh of {escrow.energy_wh} Wh delivered" if fault else "",
                )
            )

    def _receipt(self, period: int, receipt: TradeReceipt, failed: bool) -> None:
        if failed or receipt.legs:
            self.ended.append(
                Ended(
                    period,
                    period,
                    receipt.seller,
                    receipt.buyer,
                    receipt.energy_wh,
                    0 if failed else receipt.energy_wh,
                    receipt.price_micro_per_kwh,
                    receipt.alpha if failed else 0,
                    sentence(receipt) if failed else "",
                )
            )
