"""The retailer's two prices, between which neighbours agree.

Here: `Tariffs` and its limits. Never here: prices between neighbours (bilateral.py).
Owns the invariant 0 <= feed-in <= retail. Implements the tariffs of LEDGER sections 1 and 4.6.
"""

import re
from dataclasses import dataclass
from typing import Final

PRICE_MICRO_PER_KWH_MAX: Final = 1_000_000_000  # a thousand of the currency per kWh

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tariffs:
    """What the retailer takes and pays per kWh, in millionths of the currency.

    The defaults are those of a German household in 2016, the year of the sample data: about
    0.29 EUR for drawing and 0.12 EUR for feeding in. Raises `ValueError` outside the limits.
    """

    retail_micro_per_kwh: int = 290_000
    feed_in_micro_per_kwh: int = 120_000
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if not 0 <= self.feed_in_micro_per_kwh <= self.retail_micro_per_kwh:
            raise ValueError(
                f"feed-in is from 0 to the retail price of {self.retail_micro_per_kwh}, "
                f"not {self.feed_in_micro_per_kwh} (millionths per kWh)"
            )
        if self.retail_micro_per_kwh > PRICE_MICRO_PER_KWH_MAX:
            raise ValueError(
                f"the retail price is at most {PRICE_MICRO_PER_KWH_MAX}, "
                f"not {self.retail_micro_per_kwh} (millionths per kWh)"
            )
        if _CURRENCY.fullmatch(self.currency) is None:
            raise ValueError(f"the currency is three capital letters such as EUR, not {self.currency!r}")
