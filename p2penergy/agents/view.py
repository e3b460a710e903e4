"""What an agent knows when it decides, and what it decides.

Lives here: the shapes. Never here: strategies, or where the figures come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from p2penergy.ledger.transactions import Side


@dataclass(frozen=True, slots=True)
class View:
    """One period to come, as a household sees it before its gate closes."""

    period: int
    surplus_wh: int
    """Expected: above zero to feed in, below zero to draw."""
    spendable_nano: int
    """Of the wallet, what is put aside for this period's open bids included."""
    order_wh_max: int
    """What score and connection allow in one order; 0: this household may not trade now."""
    retail_micro_per_kwh: int
    feed_in_micro_per_kwh: int
    prices: Sequence[int]
    """Of the last auctions that had one, the latest last, millionths per kWh."""


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """An order that should stand in the period's book."""

    side: Side
    energy_wh: int
    price_micro_per_kwh: int
