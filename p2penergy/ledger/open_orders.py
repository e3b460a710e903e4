"""How full a period's order book is while a block is executed.

Lives here: the count, and how many orders a book takes. Never here: the rules on one order (`orders`).
Owns the invariants that no gate has more than `BOOK_ORDERS_MAX` orders to clear, and that all gates together
have a few times as many: after an outage of hours they close in one block, in time in proportion to them.
Implements LEDGER section 4, step 2.
"""

from p2penergy.ledger.state import State

BOOK_ORDERS_MAX = 4_096
"""Open orders for one period, of all members together."""
BOOK_SECOND_ORDERS_MAX = 2_048
"""From here on only place 0 is taken: members with eight orders each leave room for those with one."""
ALL_BOOKS_ORDERS_MAX = 32_768
"""Of all periods together; the first open period's book takes orders all the same."""


def orders_max(place: int) -> int:
    """How many open orders a book may have for another to be taken at `place`."""
    return BOOK_ORDERS_MAX if place == 0 else BOOK_SECOND_ORDERS_MAX


class OpenOrders:
    """Open orders per period: the state's, and what this block has changed."""

    __slots__ = ("_all", "_changes", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._changes: dict[int, int] = {}
        self._all = state.all_open_orders()

    def count_all(self) -> int:
        """How many are open now, of all periods."""
        return self._all

    def count(self, period: int) -> int:
        """How many are open now."""
        return self._state.open_orders(period) + self._changes.get(period, 0)

    def change(self, period: int, by: int) -> None:
        """One more (1) or one less (-1)."""
        self._changes[period] = self._changes.get(period, 0) + by
        self._all += by
