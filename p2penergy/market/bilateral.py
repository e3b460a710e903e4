"""Who offers what to whom in a period when each has said what it has left or lacks.

Here: the merit-order walk that pairs sellers with buyers, and the price that is offered.
Never here: how the two then come to terms (`negotiation`), sending or settling; nor the ledger's auction.
Owns the invariants that all tradable energy finds a buyer, that nobody sells to himself, and that
the same inputs give the same agreements in whatever order they come.
Implements the bilateral way of LEDGER section 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from p2penergy.market.tariffs import Tariffs


@dataclass(frozen=True, slots=True)
class Agreement:
    """Terms between one seller and one buyer in a period; never zero Wh."""

    seller: str
    buyer: str
    energy_wh: int
    price_micro_per_kwh: int

    @property
    def amount_nano(self) -> int:
        """What the buyer pays, exactly, in billionths of the currency."""
        return self.energy_wh * self.price_micro_per_kwh


def agreements(
    surpluses: Mapping[str, int], deficits: Mapping[str, int], tariffs: Tariffs
) -> tuple[Agreement, ...]:
    """Pair the largest surplus left with the largest deficit left until one side is exhausted.

    `surpluses` and `deficits` are Wh per household; zeros are passed over. Both sides stand in
    order of their amounts, largest first, equal ones by name, and two pointers walk down them: at
    each step the pair trades what the smaller of the two has left. So with s sellers and b buyers
    there are at most s + b - 1 agreements, and they add up to the smaller side's total.

    All agreements of a period have the price of `fair_price_micro_per_kwh`. Raises `ValueError`
    for a negative amount and for a household on both sides.
    """
    for name, energy_wh in [*surpluses.items(), *deficits.items()]:
        if energy_wh < 0:
            raise ValueError(f"{name} has {energy_wh} Wh, expected 0 or more")
    both = sorted(name for name in surpluses if surpluses[name] and deficits.get(name))
    if both:
        raise ValueError(f"{both[0]} can't be seller and buyer in one period")
    price = fair_price_micro_per_kwh(sum(surpluses.values()), sum(deficits.values()), tariffs)
    sellers, buyers = _largest_first(surpluses), _largest_first(deficits)
    agreed: list[Agreement] = []
    seller_at = buyer_at = 0
    sold_wh = bought_wh = 0  # by the seller and the buyer that the pointers are at
    while seller_at < len(sellers) and buyer_at < len(buyers):
        seller, surplus_wh = sellers[seller_at]
        buyer, deficit_wh = buyers[buyer_at]
        energy_wh = min(surplus_wh - sold_wh, deficit_wh - bought_wh)
        agreed.append(Agreement(seller, buyer, energy_wh, price))
        sold_wh += energy_wh
        bought_wh += energy_wh
        if sold_wh == surplus_wh:
            seller_at, sold_wh = seller_at + 1, 0
        if bought_wh == deficit_wh:
            buyer_at, bought_wh = buyer_at + 1, 0
    return tuple(agreed)


def fair_price_micro_per_kwh(surplus_wh: int, deficit_wh: int, tariffs: Tariffs) -> int:
    """Return the price at which neighbours agree, between feed-in and retail.

    It leans by scarcity: feed-in + (retail - feed-in) * deficit / (surplus + deficit), rounded
    down. As much on offer as wanted gives the middle, where both sides gain alike; little on offer
    moves it towards retail, plenty towards feed-in. Outside that span one side would do better
    with the retailer. With nothing on either side it is the middle.
    """
    total_wh = surplus_wh + deficit_wh
    span = tariffs.retail_micro_per_kwh - tariffs.feed_in_micro_per_kwh
    if total_wh == 0:
        return tariffs.feed_in_micro_per_kwh + span // 2
    return tariffs.feed_in_micro_per_kwh + span * deficit_wh // total_wh


def _largest_first(amounts_wh: Mapping[str, int]) -> list[tuple[str, int]]:
    some = [(name, energy_wh) for name, energy_wh in amounts_wh.items() if energy_wh]
    return sorted(some, key=lambda item: (-item[1], item[0]))
