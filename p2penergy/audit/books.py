"""Balances kept a second time, from receipts, orders and contracts in escrow alone.

Lives here: energy and money of every participant as legs, orders and escrows move them, and the four
conditions of the paper on each trade, executed at once or delivered later. Never here: the ledger's state or
its rules. Owns the audit's own view of conservation: a trade moves what the terms say from one to the other,
what is put aside comes back or is paid, and nothing comes or goes. Implements LEDGER section 4.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from p2penergy.genesis import Genesis
from p2penergy.ledger import ReadingReceipt, TradeReceipt, decode_receipt, keys, query
from p2penergy.ledger.receipts import TradeStage
from p2penergy.ledger.records import ContractRecord, EscrowRecord, OrderRecord, decode_record
from p2penergy.store.ports import Version

_LEGS = 8
OF_THE_BLOCK = -1
"""In the place of a receipt's number: what the block itself did."""


class Books:
    """Two balances per participant, and what is put aside."""

    def __init__(self, genesis: Genesis) -> None:
        self.energy_wh: dict[bytes, int] = defaultdict(int)
        self.wallet_nano: dict[bytes, int] = defaultdict(int)
        self.wallet_nano |= {bytes.fromhex(each.participant_id): each.wallet_nano for each in genesis.members}
        self._money_nano = sum(self.wallet_nano.values())
        self._orders_nano: dict[bytes, int] = {}
        self._escrows: dict[bytes, EscrowRecord] = {}
        self._due: dict[bytes, EscrowRecord] = {}
        """Released in the block at hand, and not yet delivered or called off."""
        self.traded_wh = 0
        self.paid_nano = 0
        self.accepted = 0

    def begin_with(self, get: query.Get, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the balances of a state, where the blocks before it are not there to be booked."""
        for who in list(self.wallet_nano):
            held = query.balance(get, who)
            self.energy_wh[who], self.wallet_nano[who] = held.energy_wh, held.wallet_nano
        for key, value in items:
            if key.startswith(keys.ORDER):
                self._orders_nano[key] = decode_record(OrderRecord, value).escrow_nano
            elif key.startswith(keys.ESCROW):
                self._escrows[keys.trade_of(key)] = decode_record(EscrowRecord, value)

    def book(
        self, receipts: Sequence[bytes], versions: Iterable[Version], leader: bytes, moves_on: bool
    ) -> Iterator[tuple[int, str]]:
        """Book one block; yields (receipt's number or `OF_THE_BLOCK`, what is wrong).

        First comes what the block settles and clears. Where it `moves_on` to a later period, all open energy
        is then settled: with neighbours or with the retailer. Then come its transactions.
        """
        grouped: dict[int, list[Version]] = defaultdict(list)
        for version in versions:
            grouped[version.index].append(version)
        yield from self._put_aside(OF_THE_BLOCK, grouped[OF_THE_BLOCK], leader)
        if moves_on:
            self.energy_wh.clear()
        for index, encoded in enumerate(receipts):
            yield from self._put_aside(index, grouped[index], leader)
            receipt = decode_receipt(encoded)
            if not receipt.accepted:
                continue
            self.accepted += 1
            if isinstance(receipt, ReadingReceipt):
                self.energy_wh[receipt.meter] += receipt.export_wh
            elif isinstance(receipt, TradeReceipt):
                fault = self._trade(receipt, leader)
                if fault is not None:
                    yield index, fault

    def fault(self) -> str | None:
        """What conservation says against the books."""
        aside_nano = sum(self._orders_nano.values()) + sum(e.amount_nano for e in self._escrows.values())
        held_nano = sum(self.wallet_nano.values()) + aside_nano
        if held_nano != self._money_nano:
            return f"all wallets hold {held_nano}, genesis gave {self._money_nano}"
        below = [who.hex() for book in (self.energy_wh, self.wallet_nano) for who, n in book.items() if n < 0]
        return f"the balance of {below[0]} is below zero" if below else None

    def _put_aside(self, index: int, versions: Iterable[Version], leader: bytes) -> Iterator[tuple[int, str]]:
        """What orders and contracts in escrow take from wallets and give back, and what is delivered."""
        for version in versions:
            key, value = version.key, version.value
            if key.startswith(keys.ORDER):
                owner, _, _ = keys.order_of(key)
                after = decode_record(OrderRecord, value).escrow_nano if value is not None else 0
                self.wallet_nano[owner] += self._orders_nano.pop(key, 0) - after
                if after:
                    self._orders_nano[key] = after
            elif key.startswith(keys.ESCROW):
                self._escrow(keys.trade_of(key), value)
            elif key.startswith(keys.CONTRACT) and value is not None:
                due = self._due.pop(key[len(keys.CONTRACT) :], None)
                fault = self._delivery(due, decode_record(ContractRecord, value), leader) if due else None
                if fault is not None:
                    yield index, fault

    def _escrow(self, trade_id: bytes, value: bytes | None) -> None:
        if value is not None:
            held = self._escrows[trade_id] = decode_record(EscrowRecord, value)
            self.wallet_nano[held.buyer] -= held.amount_nano
        elif trade_id in self._escrows:
            held = self._due[trade_id] = self._escrows.pop(trade_id)
            self.wallet_nano[held.buyer] += held.amount_nano

    def _delivery(self, escrow: EscrowRecord, record: ContractRecord, leader: bytes) -> str | None:
        wh = record.delivered_wh
        if not wh:
            return None
        nano = wh * escrow.price_micro_per_kwh
        return self._move(escrow.seller, escrow.buyer, wh, nano, record.leader, leader, record.legs)

    def _trade(self, receipt: TradeReceipt, leader: bytes) -> str | None:
        if receipt.stage is TradeStage.PREPARATION:
            # It waits for its period; its price was put aside.
            return None
        wh, nano, seller, buyer = receipt.energy_wh, receipt.amount_nano, receipt.seller, receipt.buyer
        return self._move(seller, buyer, wh, nano, receipt.leader, leader, receipt.legs)

    def _move(
        self,
        seller: bytes,
        buyer: bytes,
        wh: int,
        nano: int,
        said_leader: bytes,
        leader: bytes,
        figures: Sequence[int],
    ) -> str | None:
        """Both stages of one trade against the legs that the ledger says."""
        if said_leader != leader:
            return f"its leader is {said_leader.hex()}, the block's proposer {leader.hex()}"
        if len(figures) != 2 * _LEGS:
            return f"an executed trade has {2 * _LEGS} balances, this {len(figures)}"
        legs = [
            *_moved(self.energy_wh, seller, leader, wh),
            *_moved(self.wallet_nano, buyer, leader, nano),
            *reversed(_moved(self.energy_wh, leader, buyer, wh)),
            *reversed(_moved(self.wallet_nano, leader, seller, nano)),
        ]
        self.traded_wh += wh
        self.paid_nano += nano
        names = ("1", "1", "2", "2", "3", "3", "4", "4")
        booked = list(zip(figures[::2], figures[1::2], strict=True))
        for condition, expected, found in zip(names, legs, booked, strict=True):
            if expected != found:
                return f"condition {condition} demands {expected[0]} -> {expected[1]}, booked {found}"
        return None


def _moved(
    book: dict[bytes, int], giver: bytes, taker: bytes, amount: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(before, after) of giver and taker; a leg from somebody to himself changes nothing."""
    before = book[giver], book[taker]
    if giver != taker:
        book[giver] -= amount
        book[taker] += amount
    return (before[0], book[giver]), (before[1], book[taker])
