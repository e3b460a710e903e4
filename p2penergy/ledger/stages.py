"""The execution and final stages of a trade: the leader's legs, and the validators' four conditions.

Lives here: what the leader books (`execution_legs`, `final_legs`) and what validators expect
(`check_conditions`), worked out apart from each other: the legs by moving amounts from account to
account, the conditions from the contract and the balances before it alone. Never here: the state, or
whether somebody has enough. Owns the invariant that a wrong leg is found out. Implements LEDGER
section 4, steps 3 to 5 (paper 2.2.2).
"""

from typing import NamedTuple

from p2penergy.ledger.transactions import Terms

Book = dict[bytes, int]
"""Balances by participant: seller, buyer and leader of one trade, of which two may be the same."""


class Leg(NamedTuple):
    """One balance before and after."""

    before: int
    after: int


class StageLegs(NamedTuple):
    """What one stage does to four balances.

    In the execution stage the energy is the seller's and the wallet the buyer's, each against the
    leader's; in the final stage the energy is the buyer's and the wallet the seller's.
    """

    energy: Leg
    leader_energy: Leg
    wallet: Leg
    leader_wallet: Leg


class Mismatch(NamedTuple):
    """The first condition that does not hold, with the figure it demands and the one booked."""

    condition: int
    expected: int
    found: int


def _move(book: Book, origin: bytes, destination: bytes, amount: int) -> tuple[Leg, Leg]:
    """Book a transfer; from somebody to himself it changes nothing."""
    gives, takes = book[origin], book[destination]
    if origin == destination:
        return Leg(gives, gives), Leg(takes, takes)
    book[origin], book[destination] = gives - amount, takes + amount
    return Leg(gives, gives - amount), Leg(takes, takes + amount)


def execution_legs(terms: Terms, leader: bytes, energy: Book, wallet: Book) -> StageLegs:
    """The seller's energy and the buyer's money go to the leader; books change in place."""
    seller_energy, leader_energy = _move(energy, terms.seller, leader, terms.energy_wh)
    buyer_wallet, leader_wallet = _move(wallet, terms.buyer, leader, terms.amount_nano)
    return StageLegs(seller_energy, leader_energy, buyer_wallet, leader_wallet)


def final_legs(terms: Terms, leader: bytes, energy: Book, wallet: Book) -> StageLegs:
    """The leader passes the energy to the buyer and the money to the seller; books change in place."""
    leader_energy, buyer_energy = _move(energy, leader, terms.buyer, terms.energy_wh)
    leader_wallet, seller_wallet = _move(wallet, leader, terms.seller, terms.amount_nano)
    return StageLegs(buyer_energy, leader_energy, seller_wallet, leader_wallet)


def _expected(book: Book, origin: bytes, destination: bytes, amount: int) -> Book:
    """The balances that the contract demands once `amount` has got from one to the other."""
    balances = book.copy()
    balances[origin] -= amount
    balances[destination] += amount
    return balances


def check_conditions(
    terms: Terms, leader: bytes, energy: Book, wallet: Book, execution: StageLegs, final: StageLegs
) -> Mismatch | None:
    """Conditions 1 to 4 on the legs, with the books as they were before the trade.

    After execution the contract's energy has left the seller and is with the leader, and its money
    has left the buyer and is with the leader. In the end the buyer has the energy, the seller the
    money, and the leader what it had.
    """
    seller, buyer, wh, nano = terms.seller, terms.buyer, terms.energy_wh, terms.amount_nano
    relayed, delivered = _expected(energy, seller, leader, wh), _expected(energy, seller, buyer, wh)
    collected, paid = _expected(wallet, buyer, leader, nano), _expected(wallet, buyer, seller, nano)
    demands = (
        (1, execution.energy, energy[seller], relayed[seller]),
        (1, execution.leader_energy, energy[leader], relayed[leader]),
        (2, execution.wallet, wallet[buyer], collected[buyer]),
        (2, execution.leader_wallet, wallet[leader], collected[leader]),
        (3, final.energy, relayed[buyer], delivered[buyer]),
        (3, final.leader_energy, relayed[leader], delivered[leader]),
        (4, final.wallet, collected[seller], paid[seller]),
        (4, final.leader_wallet, collected[leader], paid[leader]),
    )
    for condition, leg, before, after in demands:
        if leg.before != before:
            return Mismatch(condition, before, leg.before)
        if leg.after != after or after < 0:
            return Mismatch(condition, max(after, 0), leg.after)
    return None
