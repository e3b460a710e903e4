"""What holds whatever a strategy wants: wallet, score, connection, places; and what must change in the book.

Lives here: `within_limits` and `difference`. Never here: strategies. Owns the invariants that an agent never
orders what the ledger would decline for its size or its money, and that it leaves an order alone that is
wanted as it stands.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2penergy.agents.view import View, Wanted
from p2penergy.ledger.transactions import ORDER_PLACES, PRICE_MICRO_PER_KWH_MAX, Side


def within_limits(view: View, wanted: Sequence[Wanted], keep_nano: int, share_ppm: int) -> tuple[Wanted, ...]:
    """The orders, cut to what may be placed: parts of at most `order_wh_max`, bids that can be paid.

    `share_ppm` of the energy is ordered, the rest left for forecasts that were wrong; `keep_nano` of the
    wallet is never put aside.
    """
    left_nano = max(view.spendable_nano - keep_nano, 0)
    placed: list[Wanted] = []
    for order in wanted:
        price = min(max(order.price_micro_per_kwh, 0), PRICE_MICRO_PER_KWH_MAX)
        left_wh = order.energy_wh * share_ppm // 1_000_000
        while left_wh and view.order_wh_max and len(placed) < ORDER_PLACES:
            energy_wh = min(left_wh, view.order_wh_max)
            if order.side is Side.BID and price:
                energy_wh = min(energy_wh, left_nano // price)
                left_nano -= energy_wh * price
            if not energy_wh:
                break
            placed.append(Wanted(order.side, energy_wh, price))
            left_wh -= energy_wh
    return tuple(placed)


@dataclass(frozen=True, slots=True)
class Difference:
    """What to do so that exactly the wanted orders stand."""

    cancel: tuple[int, ...]
    """Places, ascending."""
    place: tuple[Wanted, ...]


def difference(standing: Mapping[int, Wanted], wanted: Sequence[Wanted]) -> Difference:
    """From the open orders of a period, by place, to the wanted ones."""
    missing = Counter(wanted)
    cancel = []
    for place, order in sorted(standing.items()):
        if missing[order]:
            missing[order] -= 1
        else:
            cancel.append(place)
    return Difference(tuple(cancel), tuple(sorted(missing.elements())))
