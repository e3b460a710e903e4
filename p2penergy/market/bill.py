"""A household's bill in three lines: total, community, grid; exact until it is shown.

Here: `household_bill` over given periods, and the rounding of money for people.
Never here: who traded with whom, or how a trade was settled.
Owns the invariant community + grid = total in billionths of the currency, so that over a whole
neighbourhood the community lines add up to zero. Implements LEDGER sections 1 (money) and 4.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p2penergy.market.tariffs import Tariffs

NANO_PER_CENT: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class PeriodAccount:
    """A household's metered energy in one period, and its settled trades in it.

    `bought` and `sold` are pairs (energy_wh, price_micro_per_kwh). Raises `ValueError` for a
    negative figure, and when more is traded than was metered: a settled trade never exceeds it.
    """

    imported_wh: int
    exported_wh: int
    bought: tuple[tuple[int, int], ...] = ()
    sold: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for metered_wh, legs, did in (
            (self.imported_wh, self.bought, "bought"),
            (self.exported_wh, self.sold, "sold"),
        ):
            if metered_wh < 0 or any(wh < 0 or price < 0 for wh, price in legs):
                raise ValueError(f"energy and price are 0 or more: {metered_wh} Wh, {did} {legs}")
            traded_wh = sum(wh for wh, _ in legs)
            if traded_wh > metered_wh:
                raise ValueError(f"{did} {traded_wh} Wh, but the meter shows {metered_wh} Wh")


@dataclass(frozen=True, slots=True)
class Bill:
    """Amounts in billionths of the currency; direction by field for the parts, as on a statement.

    The three lines are properties: positive is to pay, negative is to receive.
    """

    currency: str
    paid_to_community_nano: int
    received_from_community_nano: int
    paid_to_grid_nano: int
    received_from_grid_nano: int
    without_community_nano: int

    @property
    def community_nano(self) -> int:
        """To pay to neighbours, less what they pay."""
        return self.paid_to_community_nano - self.received_from_community_nano

    @property
    def grid_nano(self) -> int:
        """To pay to the retailer, less what it pays."""
        return self.paid_to_grid_nano - self.received_from_grid_nano

    @property
    def total_nano(self) -> int:
        """The sum of the other two lines."""
        return self.community_nano + self.grid_nano

    @property
    def saved_nano(self) -> int:
        """By how much the community is better than the retailer alone (negative: worse)."""
        return self.without_community_nano - self.total_nano


def household_bill(accounts: Iterable[PeriodAccount], tariffs: Tariffs) -> Bill:
    """Add up a household's periods: trades at their prices, the rest at the retailer's tariffs.

    `without_community_nano` is the same metered energy at the tariffs alone.
    """
    retail, feed_in = tariffs.retail_micro_per_kwh, tariffs.feed_in_micro_per_kwh
    paid = received = paid_grid = received_grid = without = 0
    for account in accounts:
        paid += sum(wh * price for wh, price in account.bought)
        received += sum(wh * price for wh, price in account.sold)
        paid_grid += (account.imported_wh - sum(wh for wh, _ in account.bought)) * retail
        received_grid += (account.exported_wh - sum(wh for wh, _ in account.sold)) * feed_in
        without += account.imported_wh * retail - account.exported_wh * feed_in
    return Bill(tariffs.currency, paid, received, paid_grid, received_grid, without)


def in_cents(amount_nano: int) -> int:
    """The amount in whole cents, half to even, as it stands on a bill."""
    cents, rest = divmod(abs(amount_nano), NANO_PER_CENT)
    twice = 2 * rest
    if twice > NANO_PER_CENT or (twice == NANO_PER_CENT and cents % 2):
        cents += 1
    return -cents if amount_nano < 0 else cents


def billed_nano(*lines_nano: int) -> int:
    """The total that stands under these lines: the sum of what each line shows.

    Lines are rounded one by one; a total rounded by itself could differ from its own lines by a cent.
    """
    return sum(in_cents(line) for line in lines_nano) * NANO_PER_CENT


def format_money(amount_nano: int, currency: str) -> str:
    """Show an amount in whole cents, such as `-12.30 EUR`; never `-0.00`."""
    cents = in_cents(amount_nano)
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d} {currency}"
