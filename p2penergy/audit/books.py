"""Balances kept a second time, from the receipts alone.

Lives here: energy and money of every participant as the receipts' legs move them, and the four conditions
of the paper on each trade. Never here: the ledger's state or its rules. Owns the audit's own view of
conservation: a trade moves what the terms say from one to the other, and nothing comes or goes. Implements
LEDGER section 4.
"""

from collections.abc import Iterator, Sequence

from p2penergy.genesis import Genesis
from p2penergy.ledger import ReadingReceipt, TradeReceipt, decode_receipt, query

_LEGS = 8


class Books:
    """Two balances per participant."""

    def __init__(self, genesis: Genesis) -> None:
        self.energy_wh = {bytes.fromhex(member.participant_id): 0 for member in genesis.members}
        self.wallet_nano = {bytes.fromhex(each.participant_id): each.wallet_nano for each in genesis.members}
        self._money_nano = sum(self.wallet_nano.values())
        self.traded_wh = 0
        self.paid_nano = 0
        self.accepted = 0

    def begin_with(self, get: query.Get) -> None:
        """Take the balances of a state, where the blocks before it are not there to be booked."""
        for who in self.wallet_nano:
            held = query.balance(get, who)
            self.energy_wh[who], self.wallet_nano[who] = held.energy_wh, held.wallet_nano

    def close_period(self) -> None:
        """At a later period all open energy is settled: with neighbours or with the retailer."""
        self.energy_wh = dict.fromkeys(self.energy_wh, 0)

    def book(self, receipts: Sequence[bytes], leader: bytes) -> Iterator[tuple[int, str]]:
        """Book one block's receipts; yields (index, what is wrong)."""
        for index, encoded in enumerate(receipts):
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
        if sum(self.wallet_nano.values()) != self._money_nano:
            return f"all wallets hold {sum(self.wallet_nano.values())}, genesis gave {self._money_nano}"
        below = [who.hex() for book in (self.energy_wh, self.wallet_nano) for who, n in book.items() if n < 0]
        return f"the balance of {below[0]} is below zero" if below else None

    def _trade(self, receipt: TradeReceipt, leader: bytes) -> str | None:
        wh, nano = receipt.energy_wh, receipt.amount_nano
        if receipt.leader != leader:
            return f"its leader is {receipt.leader.hex()}, the block's proposer {leader.hex()}"
        if len(receipt.legs) != 2 * _LEGS:
            return f"an executed trade has {2 * _LEGS} balances, this {len(receipt.legs)}"
        seller, buyer = receipt.seller, receipt.buyer
        legs = [
            *_moved(self.energy_wh, seller, leader, wh),
            *_moved(self.wallet_nano, buyer, leader, nano),
            *reversed(_moved(self.energy_wh, leader, buyer, wh)),
            *reversed(_moved(self.wallet_nano, leader, seller, nano)),
        ]
        self.traded_wh += wh
        self.paid_nano += nano
        names = ("1", "1", "2", "2", "3", "3", "4", "4")
        booked = list(zip(receipt.legs[::2], receipt.legs[1::2], strict=True))
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
