"""Contracts for a period to come: escrow, and delivery once that period's readings are in.

Lives here: what a contract or a match of the auction puts aside, and how it is settled. Never here:
whether it is taken (`contracts`, `gate`), bills (`settlement`). Owns the invariants that money in escrow
ends at the seller or back at the buyer, all of it, and that metered Wh are given out first in, first
out. Implements LEDGER section 4, step 6, and the contract for a future period.
"""

from typing import NamedTuple

from msgspec.structs import replace

from p2penergy.ledger import keys, qscore, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT
from p2penergy.ledger.receipts import leg_figures
from p2penergy.ledger.records import (
    ContractRecord,
    EscrowRecord,
    PromiseRecord,
    decode_integer,
    decode_record,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.relay import holdings, relay, write_trade
from p2penergy.ledger.state import State
from p2penergy.ledger.transactions import Terms


def open_escrow(block: BlockContext, trade_id: bytes, terms: Terms, number: int, chosen: bool) -> None:
    """Note a contract whose price has left the buyer's wallet, and what it claims of both meters.

    Its trade id is used up: it stays known for a transaction's life after its period, or for as long as
    the terms are valid.
    """
    scratch, height = block.scratch, block.draft.height
    held = EscrowRecord(
        terms.seller,
        terms.buyer,
        terms.period,
        terms.energy_wh,
        terms.price_micro_per_kwh,
        height,
        scratch.index,
        number,
        chosen,
    )
    scratch.put(keys.escrow(trade_id), encode_record(held))
    known_until = max(terms.valid_until_period, terms.period + block.market.transaction_life_periods)
    scratch.put(keys.contract(trade_id), encode_record(ContractRecord(known_until, height, scratch.index)))
    for who, sell_wh, buy_wh in ((terms.seller, terms.energy_wh, 0), (terms.buyer, 0, terms.energy_wh)):
        before = query.promise(scratch.get, who, terms.period)
        after = PromiseRecord(before.sell_wh + sell_wh, before.buy_wh + buy_wh)
        scratch.put(keys.promise(who, terms.period), encode_record(after))


def settle_due(block: BlockContext, state: State, period: int) -> None:
    """Settle the contracts of `period`, the parent's; call off those of periods that had no block.

    Costs in proportion to the contracts.
    """
    due = [
        (decode_record(EscrowRecord, value), keys.trade_of(key))
        for key in state.due(keys.ESCROW, block.draft.period - 1)
        if (value := state.get(key)) is not None
    ]
    due.sort(key=lambda held: (held[0].period, held[0].height, held[0].index, held[0].number))
    for escrow, trade_id in due:
        _release(block, escrow, trade_id)
        done = _CALLED_OFF
        seller_ppm, buyer_ppm = (block.standings.score(who) for who in (escrow.seller, escrow.buyer))
        if escrow.period == period:
            done = _deliver(block, escrow)
        total = qscore.transaction_total(block.market.scores, done.x_ppm, seller_ppm, buyer_ppm, done.alpha)
        record = query.trade(block.scratch.get, trade_id)
        assert record is not None, "a contract was forgotten before its period was settled"
        ended = replace(
            record,
            delivered_wh=done.delivered_wh,
            x_ppm=done.x_ppm,
            quality_ppm=total,
            leader=block.draft.proposer if done.legs else b"",
            legs=done.legs,
        )
        block.scratch.put(keys.contract(trade_id), encode_record(ended))


def _release(block: BlockContext, escrow: EscrowRecord, trade_id: bytes) -> None:
    """End the escrow: its money is the buyer's again, to pay with or to keep."""
    scratch = block.scratch
    scratch.put(keys.escrow(trade_id), None)
    wallet = keys.wallet(escrow.buyer)
    scratch.put(wallet, encode_integer(decode_integer(scratch.get(wallet)) + escrow.amount_nano))
    for who in (escrow.seller, escrow.buyer):
        promise = keys.promise(who, escrow.period)
        if scratch.get(promise) is not None:
            scratch.put(promise, None)


class _Delivery(NamedTuple):
    """How a contract in escrow ended."""

    x_ppm: int = 0
    alpha: int = 0
    delivered_wh: int = 0
    legs: tuple[int, ...] = ()


_CALLED_OFF = _Delivery()


def _deliver(block: BlockContext, escrow: EscrowRecord) -> _Delivery:
    """Trade what both meters bear out.

    The side whose meter fell shorter answers for it, the seller if both did alike; nobody when neither
    reading came in: then it was not the parties that failed.
    """
    scratch, leader, rules = block.scratch, block.draft.proposer, block.market.scores
    terms = Terms(
        escrow.seller, escrow.buyer, escrow.period, escrow.energy_wh, escrow.price_micro_per_kwh, 0, 0
    )
    held = holdings(scratch, terms, leader)
    sell_wh, buy_wh = (min(wh, escrow.energy_wh) for wh in (held.unclaimed_wh, held.uncovered_wh))
    delivered_wh = min(sell_wh, buy_wh)
    legs: tuple[int, ...] = ()
    if delivered_wh:
        part = replace(terms, energy_wh=delivered_wh)
        execution, final, mismatch = relay(part, leader, held)
        assert mismatch is None, "an escrow did not cover its trade"
        write_trade(scratch, part, leader, held, execution, final)
        legs = leg_figures(execution, final)
    if query.reading(scratch.get, escrow.seller, escrow.period) is None and held.reading is None:
        return _CALLED_OFF
    x_ppm = qscore.outcome(rules, delivered_wh, escrow.energy_wh)
    if x_ppm >= 0:
        if x_ppm:
            block.standings.trade(escrow.seller, escrow.buyer, x_ppm, escrow.energy_wh, escrow.chosen)
        return _Delivery(x_ppm, 0, delivered_wh, legs)
    alpha = SELLER_AT_FAULT if sell_wh <= buy_wh else BUYER_AT_FAULT
    block.standings.default(escrow.seller if alpha == SELLER_AT_FAULT else escrow.buyer, x_ppm)
    return _Delivery(x_ppm, alpha, delivered_wh, legs)
