"""Contracts: from the request to the trade, or to the decline.

Lives here: the rules on one contract, stage by stage, and what executing it writes. Never here: the
legs and conditions themselves (`stages`). Owns the invariants that only an execution uses up a trade id,
that a decline changes nothing but scores and the log, and that one metered Wh backs one trade.
Implements LEDGER section 4, steps 3 to 5, and section 5.
"""

from dataclasses import dataclass

from p2penergy.ledger import keys, query, stages
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.receipts import ACCEPTED, Decline, Refusal, TradeReceipt, TradeStage
from p2penergy.ledger.records import (
    ContractRecord,
    PacketRecord,
    PeriodRecord,
    decode_integer,
    encode_balance,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.scores import NOTHING_DELIVERED_PPM, TRADING_BAR_PPM, after_default
from p2penergy.ledger.stages import Book, StageLegs
from p2penergy.ledger.state import Scratch, VersionStage
from p2penergy.ledger.transactions import Contract, Terms, answer_key, generate_trade_id, terms_bytes

SELLER_AT_FAULT = 1
BUYER_AT_FAULT = -1


@dataclass(frozen=True, slots=True)
class _Holdings:
    """What a trade draws on, as it stands before it."""

    energy: Book
    wallet: Book
    packet: PacketRecord | None
    reading: PeriodRecord | None

    @property
    def available_wh(self) -> int:
        """What the seller's packet of the period has left."""
        return self.packet.amount_wh - self.packet.claimed_wh if self.packet else 0

    @property
    def wanted_wh(self) -> int:
        """What the buyer's meter drew in the period and no neighbour has covered yet."""
        return self.reading.import_wh - self.reading.bought_wh if self.reading else 0


def create_trade(block: BlockContext, contract: Contract, transaction_id: bytes) -> TradeReceipt:
    """Execute a contract whose submitter's signature holds, or decline it (the paper's createTrade).

    Its nonce is answered either way.
    """
    scratch, terms, leader = block.scratch, contract.terms, block.draft.proposer
    scratch.put(answer_key(contract), encode_integer(contract.expires_period))
    trade_id = generate_trade_id(terms, block.chain_id)
    legs: tuple[int, ...] = ()
    refusal = _preparation(block, contract, trade_id) or _authorisation(block, contract)
    if refusal is None:
        holdings = _holdings(scratch, terms, leader)
        refusal = _cover(terms, holdings)
        if refusal is None:
            execution, final, refusal = _relay(terms, leader, holdings)
            if refusal is None:
                _write(block, terms, trade_id, holdings, execution, final)
                legs = tuple(figure for leg in (*execution, *final) for figure in leg)
    elif refusal.code is Decline.ALTERED_CONTRACT:
        _punish(scratch, contract.submitter)
    code, expected, found, stage, condition, alpha = refusal or ACCEPTED
    return TradeReceipt(
        transaction_id,
        code,
        expected,
        found,
        stage,
        condition,
        alpha,
        leader,
        trade_id,
        terms.seller,
        terms.buyer,
        terms.energy_wh,
        terms.price_micro_per_kwh,
        legs,
    )


def _preparation(block: BlockContext, contract: Contract, trade_id: bytes) -> Refusal | None:
    """Preparation stage: may these two trade on these terms at all?"""
    get, terms, period = block.scratch.get, contract.terms, block.draft.period
    if terms.seller == terms.buyer:
        return Refusal(Decline.SELF_TRADE, 2, 1)
    if contract.submitter not in (terms.seller, terms.buyer):
        return Refusal(Decline.NOT_A_PARTY, 1, 0)
    if get(keys.member(contract.counterparty)) is None:
        return Refusal(Decline.UNKNOWN_PARTY, 2, 1)
    q_ppm = min(query.score(get, terms.seller), query.score(get, terms.buyer))
    if q_ppm < TRADING_BAR_PPM:
        return Refusal(Decline.SCORE_TOO_LOW, TRADING_BAR_PPM, q_ppm)
    if terms.valid_until_period < period:
        return Refusal(Decline.TERMS_EXPIRED, period, terms.valid_until_period)
    latest = period + block.market.transaction_life_periods
    if terms.valid_until_period > latest:
        return Refusal(Decline.VALIDITY_TOO_FAR, latest, terms.valid_until_period)
    if terms.period != period:
        return Refusal(Decline.WRONG_PERIOD, period, terms.period)
    executed = query.trade(get, trade_id)
    if executed is not None:
        return Refusal(Decline.TRADE_REPLAYED, 0, executed.height)
    return None


def _authorisation(block: BlockContext, contract: Contract) -> Refusal | None:
    """Execution stage: has the counterparty agreed to what the legs will be?

    A signature that does not fit stands for other terms or for none: nothing of these is agreed.
    """
    terms = contract.terms
    member = query.member(block.scratch.get, contract.counterparty)
    assert member is not None, "preparation let a stranger through"
    signed = terms_bytes(terms, block.chain_id)
    if block.checker.check(member.public_key, signed, contract.counterparty_signature):
        return None
    if contract.submitter == terms.seller:
        fault, condition, figure = SELLER_AT_FAULT, 1, terms.energy_wh
    else:
        fault, condition, figure = BUYER_AT_FAULT, 2, terms.amount_nano
    return Refusal(Decline.ALTERED_CONTRACT, figure, 0, TradeStage.EXECUTION, condition, fault)


def _holdings(scratch: Scratch, terms: Terms, leader: bytes) -> _Holdings:
    get, parties = scratch.get, (terms.seller, terms.buyer, leader)
    return _Holdings(
        {who: decode_integer(get(keys.energy(who))) for who in parties},
        {who: decode_integer(get(keys.wallet(who))) for who in parties},
        query.packet_record(get, terms.seller, terms.period),
        query.reading(get, terms.buyer, terms.period),
    )


def _cover(terms: Terms, holdings: _Holdings) -> Refusal | None:
    """Is there enough for every leg? Conditions 1 and 2 belong to the execution stage, 3 to the final."""
    if holdings.available_wh < terms.energy_wh:
        return Refusal(
            Decline.TOO_LITTLE_ENERGY,
            terms.energy_wh,
            holdings.available_wh,
            TradeStage.EXECUTION,
            1,
            SELLER_AT_FAULT,
        )
    if holdings.wallet[terms.buyer] < terms.amount_nano:
        return Refusal(
            Decline.TOO_LITTLE_MONEY,
            terms.amount_nano,
            holdings.wallet[terms.buyer],
            TradeStage.EXECUTION,
            2,
            BUYER_AT_FAULT,
        )
    if holdings.wanted_wh < terms.energy_wh:
        return Refusal(
            Decline.TOO_LITTLE_IMPORT,
            terms.energy_wh,
            holdings.wanted_wh,
            TradeStage.FINAL,
            3,
            BUYER_AT_FAULT,
        )
    return None


def _relay(terms: Terms, leader: bytes, holdings: _Holdings) -> tuple[StageLegs, StageLegs, Refusal | None]:
    """The leader's legs of both stages, and what the validators say to them."""
    energy, wallet = dict(holdings.energy), dict(holdings.wallet)
    execution = stages.execution_legs(terms, leader, energy, wallet)
    final = stages.final_legs(terms, leader, energy, wallet)
    mismatch = stages.check_conditions(terms, leader, holdings.energy, holdings.wallet, execution, final)
    if mismatch is None:
        return execution, final, None
    stage = TradeStage.EXECUTION if mismatch.condition <= 2 else TradeStage.FINAL
    wrong = Refusal(Decline.WRONG_LEG, mismatch.expected, mismatch.found, stage, mismatch.condition)
    return execution, final, wrong


def _write(
    block: BlockContext,
    terms: Terms,
    trade_id: bytes,
    holdings: _Holdings,
    execution: StageLegs,
    final: StageLegs,
) -> None:
    scratch, leader = block.scratch, block.draft.proposer
    _write_stage(scratch, VersionStage.EXECUTION, terms.seller, terms.buyer, leader, execution)
    _write_stage(scratch, VersionStage.FINAL, terms.buyer, terms.seller, leader, final)
    assign_energy(scratch, terms, holdings)
    record = ContractRecord(terms.valid_until_period, block.draft.height, scratch.index)
    scratch.put(keys.contract(trade_id), encode_record(record))


def _write_stage(
    scratch: Scratch,
    stage: VersionStage,
    energy_of: bytes,
    wallet_of: bytes,
    leader: bytes,
    legs: StageLegs,
) -> None:
    """One version per balance that the stage changes."""
    for key, leg in (
        (keys.energy(energy_of), legs.energy),
        (keys.energy(leader), legs.leader_energy),
    ):
        if leg.before != leg.after:
            scratch.put(key, encode_balance(leg.after), stage)
    for key, leg in (
        (keys.wallet(wallet_of), legs.wallet),
        (keys.wallet(leader), legs.leader_wallet),
    ):
        if leg.before != leg.after:
            scratch.put(key, encode_integer(leg.after), stage)


def assign_energy(scratch: Scratch, terms: Terms, holdings: _Holdings) -> None:
    """Claim the Wh in the seller's packet for the buyer's meter (the paper's assignEnergy)."""
    packet, reading = holdings.packet, holdings.reading
    assert packet is not None and reading is not None, "cover let a trade without readings through"
    claimed = PacketRecord(
        packet.energy_type,
        packet.amount_wh,
        packet.claimed_wh + terms.energy_wh,
        packet.sold_nano + terms.amount_nano,
    )
    scratch.put(keys.packet(terms.seller, terms.period), encode_record(claimed))
    covered = PeriodRecord(
        reading.import_wh,
        reading.export_wh,
        reading.transaction_id,
        reading.bought_wh + terms.energy_wh,
        reading.bought_nano + terms.amount_nano,
    )
    scratch.put(keys.period(terms.buyer, terms.period), encode_record(covered))


def _punish(scratch: Scratch, at_fault: bytes) -> None:
    q_ppm = query.score(scratch.get, at_fault)
    scratch.put(keys.score(at_fault), encode_integer(after_default(q_ppm, NOTHING_DELIVERED_PPM)))
