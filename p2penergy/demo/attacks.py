"""The paper's two attacks (section 4), run for real against the running network.

Lives here: a malicious seller and a malicious buyer, each altering a contract that the neighbour has
signed, and what everybody sees of it. Never here: the rule that catches them (`ledger`). Both attacks
happen in one period after the replayed days, with readings staged for them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from p2penergy.demo.households import Household
from p2penergy.ledger import keys
from p2penergy.ledger.receipts import TradeReceipt, sentence
from p2penergy.ledger.records import decode_integer
from p2penergy.ledger.transactions import Terms, transaction_id
from p2penergy.market.bill import format_money

ENERGY_WH = 100
PRICE_MICRO_PER_KWH = 200_000


@dataclass(frozen=True, slots=True)
class AttackResult:
    """One attack, its end, and what it cost whom."""

    name: str
    attacker: str
    victim: str
    signed: str
    """What the victim signed, in a householder's words."""
    submitted: str
    """What the attacker made of it."""
    declined: bool
    condition: int
    alpha: int
    victim_told: str
    genuine_executed: bool
    """Once the victim, told of the mismatch, has sent the genuine contract; proven by its certificate."""
    repeat_declined: bool
    double_spent: bool


@dataclass(frozen=True, slots=True)
class _Balances:
    seller_wallet_nano: int
    buyer_wallet_nano: int
    seller_energy_wh: int
    buyer_energy_wh: int


async def _balance(asking: Household, key: bytes) -> int:
    value = await asking.client.agreed("state", keys.text(key).encode())
    return decode_integer(value or None)


async def _balances(seller: Household, buyer: Household) -> _Balances:
    return _Balances(
        await _balance(seller, keys.wallet(seller.participant_id)),
        await _balance(buyer, keys.wallet(buyer.participant_id)),
        await _balance(seller, keys.energy(seller.participant_id)),
        await _balance(buyer, keys.energy(buyer.participant_id)),
    )


def _paid_once(before: _Balances, after: _Balances, terms: Terms) -> bool:
    amount_nano, energy_wh = terms.amount_nano, terms.energy_wh
    return (
        after.buyer_wallet_nano == before.buyer_wallet_nano - amount_nano
        and after.seller_wallet_nano == before.seller_wallet_nano + amount_nano
        and after.seller_energy_wh == before.seller_energy_wh - energy_wh
        and after.buyer_energy_wh == before.buyer_energy_wh + energy_wh
    )


async def _attack(
    name: str,
    seller: Household,
    buyer: Household,
    attacker: Household,
    period: int,
    alter: Callable[[Terms], Terms],
    currency: str,
) -> AttackResult:
    victim = buyer if attacker is seller else seller
    before = await _balances(seller, buyer)
    terms = seller.terms_with(buyer, period, ENERGY_WH, PRICE_MICRO_PER_KWH)
    signature = victim.agree(terms)
    # The attacker is first: the altered contract reaches the network before the genuine one.
    altered = alter(terms)
    forged = attacker.contract(altered, signature)
    key = transaction_id(forged, attacker.chain_id)
    caught = await attacker.send(forged)
    told = await victim.told(key)
    # The victim, told of the mismatch, sends the genuine contract; then the attacker repeats it.
    genuine = await victim.conclude(terms, attacker.agree(terms))
    proven = await victim.proven(genuine)
    repeated = await attacker.conclude(terms, signature)
    after = await _balances(seller, buyer)
    assert isinstance(caught, TradeReceipt)
    return AttackResult(
        name=name,
        attacker=attacker.name,
        victim=victim.name,
        signed=_words(terms, currency),
        submitted=_words(altered, currency),
        declined=not caught.accepted,
        condition=caught.condition,
        alpha=caught.alpha,
        victim_told=sentence(told.receipt),
        genuine_executed=genuine.accepted and proven,
        repeat_declined=not repeated.accepted,
        double_spent=not _paid_once(before, after, terms),
    )


def _words(terms: Terms, currency: str) -> str:
    return f"{terms.energy_wh} Wh for {format_money(terms.amount_nano, currency)}"


async def run(seller: Household, buyer: Household, period: int, currency: str) -> list[AttackResult]:
    """Both attacks, one after the other, in `period`, which this opens with two staged readings."""
    await seller.report(period, 0, 2 * ENERGY_WH)
    await buyer.report(period, 2 * ENERGY_WH, 0)

    def half_the_energy(terms: Terms) -> Terms:
        return msgspec.structs.replace(
            terms,
            energy_wh=terms.energy_wh // 2,
            price_micro_per_kwh=terms.price_micro_per_kwh * 2,
        )

    def half_the_price(terms: Terms) -> Terms:
        return msgspec.structs.replace(terms, price_micro_per_kwh=terms.price_micro_per_kwh // 2)

    return [
        await _attack(
            "malicious seller",
            seller,
            buyer,
            seller,
            period,
            half_the_energy,
            currency,
        ),
        await _attack(
            "malicious buyer",
            seller,
            buyer,
            buyer,
            period,
            half_the_price,
            currency,
        ),
    ]
