"""Energy and money of the whole ledger, added up anew.

Lives here: the sums over all current entries, and what conservation means. Never here: anything that
execution depends on. Owns the statement of the invariant that energy and money are conserved to the
unit (CONSENSUS section 10, LEDGER section 4).
"""

import msgspec

from p2penergy.genesis import Genesis
from p2penergy.ledger import keys, query
from p2penergy.ledger.records import (
    EscrowRecord,
    OrderRecord,
    PacketRecord,
    PeriodRecord,
    decode_integer,
    decode_record,
)
from p2penergy.ledger.state import State


class Totals(msgspec.Struct, frozen=True):
    """From genesis to now; energies in Wh, money in billionths of the currency."""

    minted_wh: int
    """Exports of all accepted readings."""
    consumed_wh: int
    """Bought from neighbours and consumed, in settled periods."""
    grid_export_wh: int
    """Settled with the retailer at feed-in."""
    imported_wh: int
    """Imports of settled periods."""
    grid_import_wh: int
    """Settled with the retailer at retail."""
    held_wh: int
    """All energy balances of the open period."""
    available_wh: int
    """Left in the packets of the open period."""
    bought_wh: int
    """Covered by neighbours in the open period."""
    money_nano: int
    """All wallets, and what is put aside for open bids and contracts to come."""
    genesis_money_nano: int
    negative_balances: int

    def is_conserved(self) -> bool:
        """Nothing was made or lost, and nobody is below zero."""
        return (
            self.minted_wh == self.consumed_wh + self.grid_export_wh + self.held_wh
            and self.imported_wh == self.consumed_wh + self.grid_import_wh
            and self.held_wh == self.available_wh + self.bought_wh
            and self.money_nano == self.genesis_money_nano
            and not self.negative_balances
        )


def totals(genesis: Genesis, state: State) -> Totals:
    """Add up a state; costs in proportion to its entries."""
    settled = query.totals(state.get)
    minted_wh = available_wh = bought_wh = held_wh = money_nano = negative = 0
    for key, value in state.items():
        if key.startswith(keys.ENERGY):
            held_wh += decode_integer(value)
            negative += decode_integer(value) < 0
        elif key.startswith(keys.WALLET):
            money_nano += decode_integer(value)
            negative += decode_integer(value) < 0
        elif key.startswith(keys.ORDER):
            money_nano += decode_record(OrderRecord, value).escrow_nano
        elif key.startswith(keys.ESCROW):
            money_nano += decode_record(EscrowRecord, value).amount_nano
        elif key.startswith(keys.PACKET):
            packet = decode_record(PacketRecord, value)
            minted_wh += packet.amount_wh
            available_wh += packet.amount_wh - packet.claimed_wh
        elif key.startswith(keys.PERIOD):
            bought_wh += decode_record(PeriodRecord, value).bought_wh
    return Totals(
        minted_wh=settled.minted_wh + minted_wh,
        consumed_wh=settled.traded_wh,
        grid_export_wh=settled.grid_export_wh,
        imported_wh=settled.imported_wh,
        grid_import_wh=settled.grid_import_wh,
        held_wh=held_wh,
        available_wh=available_wh,
        bought_wh=bought_wh,
        money_nano=money_nano,
        genesis_money_nano=sum(member.wallet_nano for member in genesis.members),
        negative_balances=negative,
    )
