"""Contracts: from the request to the trade, to escrow, or to the decline.

Lives here: the rules on one contract, stage by stage, and who answers for a decline. Never here: the legs
and conditions (`stages`), what executing writes (`relay`), what becomes of contracts in escrow
(`deferred`). Owns the invariants that only an execution uses up a trade id, that a decline changes
nothing but scores and the log, and that one trade costs its parties' scores at most once. Implements
LEDGER section 4, steps 3 to 5, and section 5.
"""

from p2penergy.genesis import PPM
from p2penergy.ledger import deferred, keys, qscore, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.qscore import BUYER_AT_FAULT, SELLER_AT_FAULT
from p2penergy.ledger.receipts import (
    ACCEPTED,
    GRID_LIMITS,
    WAITS,
    Decline,
    GridReceipt,
    Refusal,
    TradeReceipt,
    TradeStage,
    leg_figures,
)
from p2penergy.ledger.records import ContractRecord, encode_integer, encode_record
from p2penergy.ledger.relay import Holdings, holdings, relay, write_trade
from p2penergy.ledger.transactions import Contract, Terms, answer_key, terms_bytes, trade_id_of


def create_trade(block: BlockContext, contract: Contract, transaction_id: bytes) -> TradeReceipt:
    """Execute a contract whose submitter's signature holds, or decline it (the paper's createTrade).

    One for a later period is put into escrow instead. Its nonce is answered either way.
    """
    scratch, terms = block.scratch, contract.terms
    scratch.put(answer_key(contract), encode_integer(contract.expires_period))
    agreed = terms_bytes(terms, block.chain_id)
    trade_id = trade_id_of(agreed)
    seller_ppm, buyer_ppm = block.standings.score(terms.seller), block.standings.score(terms.buyer)
    legs: tuple[int, ...] = ()
    outcome = _preparation(block, contract, trade_id, min(seller_ppm, buyer_ppm))
    outcome = outcome or _authorisation(block, contract, agreed)
    if outcome is None:
        if terms.period > block.draft.period:
            outcome = _put_aside(block, terms, trade_id)
        else:
            legs, outcome = _execute(block, terms)
    x_ppm = _judge(block, contract, trade_id, outcome)
    quality_ppm = qscore.transaction_total(block.market.scores, x_ppm, seller_ppm, buyer_ppm, outcome.alpha)
    if outcome is ACCEPTED:
        record = ContractRecord(
            terms.valid_until_period,
            block.draft.height,
            scratch.index,
            terms.energy_wh,
            x_ppm,
            quality_ppm,
        )
        scratch.put(keys.contract(trade_id), encode_record(record))
    figures = outcome.expected, outcome.found, outcome.stage, outcome.condition, outcome.alpha
    parties = terms.seller, terms.buyer, terms.energy_wh, terms.price_micro_per_kwh
    told = (
        transaction_id,
        outcome.code,
        *figures,
        block.draft.proposer,
        trade_id,
        *parties,
        legs,
        quality_ppm,
    )
    if outcome.violation is None:
        return TradeReceipt(*told)
    branch, limit = outcome.violation.branch, GRID_LIMITS[outcome.violation.limit]
    return GridReceipt(*told, limit, branch.parent, branch.node)


def _preparation(block: BlockContext, contract: Contract, trade_id: bytes, q_ppm: int) -> Refusal | None:
    """Preparation stage: may these two, of whom the lower score is `q_ppm`, trade on these terms at all?"""
    get, terms, period = block.scratch.get, contract.terms, block.draft.period
    if terms.seller == terms.buyer:
        return Refusal(Decline.SELF_TRADE, 2, 1)
    if contract.submitter not in (terms.seller, terms.buyer):
        return Refusal(Decline.NOT_A_PARTY, 1, 0)
    if get(keys.member(contract.counterparty)) is None:
        return Refusal(Decline.UNKNOWN_PARTY, 2, 1)
    rules = block.market.scores
    if not qscore.may_trade(rules, q_ppm):
        return Refusal(Decline.SCORE_TOO_LOW, rules.trading_bar_ppm, q_ppm)
    energy_wh_max = qscore.order_wh_max(rules, q_ppm)
    if terms.energy_wh > energy_wh_max:
        return Refusal(Decline.TOO_LARGE, energy_wh_max, terms.energy_wh)
    if terms.valid_until_period < period:
        return Refusal(Decline.TERMS_EXPIRED, period, terms.valid_until_period)
    latest = period + block.market.transaction_life_periods
    if terms.valid_until_period > latest:
        return Refusal(Decline.VALIDITY_TOO_FAR, latest, terms.valid_until_period)
    if terms.period != period and not _is_for_the_future(contract, period, latest):
        return Refusal(Decline.WRONG_PERIOD, period, terms.period)
    executed = query.trade(get, trade_id)
    if executed is not None:
        return Refusal(Decline.TRADE_REPLAYED, 0, executed.height)
    return None


def _authorisation(block: BlockContext, contract: Contract, agreed: bytes) -> Refusal | None:
    """Execution stage: has the counterparty agreed to what the legs will be, by signing `agreed`?

    A signature that does not fit stands for other terms or for none: nothing of these is agreed.
    """
    terms = contract.terms
    member = query.member(block.scratch.get, contract.counterparty)
    assert member is not None, "preparation let a stranger through"
    if block.checker.check(member.public_key, agreed, contract.counterparty_signature):
        return None
    if member.changes and member.changes[-1].height > member.joined_height:
        # It has renewed its key since it joined, and may have signed with the one before.
        return Refusal(Decline.RENEWED_COUNTERPARTY, member.changes[-1].height, 0, TradeStage.EXECUTION)
    if contract.submitter == terms.seller:
        fault, condition, figure = SELLER_AT_FAULT, 1, terms.energy_wh
    else:
        fault, condition, figure = BUYER_AT_FAULT, 2, terms.amount_nano
    return Refusal(Decline.ALTERED_CONTRACT, figure, 0, TradeStage.EXECUTION, condition, fault)


def _is_for_the_future(contract: Contract, period: int, latest: int) -> bool:
    """Whether both can only have meant escrow: a contract that lives to see its period waits for it."""
    return period < contract.terms.period <= latest and contract.expires_period < contract.terms.period


def _cover(terms: Terms, held: Holdings) -> Refusal | None:
    """Is there enough for every leg? Conditions 1 and 2 belong to the execution stage, 3 to the final."""
    if held.available_wh < terms.energy_wh:
        return Refusal(
            Decline.TOO_LITTLE_ENERGY,
            terms.energy_wh,
            held.available_wh,
            TradeStage.EXECUTION,
            1,
            SELLER_AT_FAULT,
        )
    money = _money(terms, held.wallet[terms.buyer])
    if money is not None:
        return money
    if held.wanted_wh < terms.energy_wh:
        return Refusal(
            Decline.TOO_LITTLE_IMPORT,
            terms.energy_wh,
            held.wanted_wh,
            TradeStage.FINAL,
            3,
            BUYER_AT_FAULT,
        )
    return None


def _money(terms: Terms, wallet_nano: int) -> Refusal | None:
    if wallet_nano >= terms.amount_nano:
        return None
    return Refusal(
        Decline.TOO_LITTLE_MONEY,
        terms.amount_nano,
        wallet_nano,
        TradeStage.EXECUTION,
        2,
        BUYER_AT_FAULT,
    )


def _undeliverable(block: BlockContext, terms: Terms) -> Refusal | None:
    """What the feeder says; a trade that it can carry counts on it from now on, so this comes last."""
    if block.grid is None:
        return None
    violation = block.grid.refusal(terms.seller, terms.buyer, terms.period, terms.energy_wh)
    return None if violation is None else Refusal.by_grid(violation)


def _execute(block: BlockContext, terms: Terms) -> tuple[tuple[int, ...], Refusal]:
    """Both stages on metered energy: the legs, and that it is accepted; or no legs, and why not."""
    scratch, leader = block.scratch, block.draft.proposer
    held = holdings(scratch, terms, leader)
    refusal = _cover(terms, held)
    if refusal is None:
        execution, final, refusal = relay(terms, leader, held)
        refusal = refusal or _undeliverable(block, terms)
        if refusal is None:
            write_trade(scratch, terms, leader, held, execution, final)
            return leg_figures(execution, final), ACCEPTED
    return (), refusal


def _put_aside(block: BlockContext, terms: Terms, trade_id: bytes) -> Refusal:
    """The price goes into escrow until the period's readings are in."""
    scratch, wallet = block.scratch, keys.wallet(terms.buyer)
    wallet_nano = query.balance(scratch.get, terms.buyer).wallet_nano
    refusal = _money(terms, wallet_nano) or _undeliverable(block, terms)
    if refusal is not None:
        return refusal
    scratch.put(wallet, encode_integer(wallet_nano - terms.amount_nano))
    deferred.open_escrow(block, trade_id, terms, number=0, chosen=True)
    return WAITS


def _judge(block: BlockContext, contract: Contract, trade_id: bytes, outcome: Refusal) -> int:
    """What the outcome does to scores; x of the transaction.

    An altered contract is its submitter's doing, each time. A party that signed for more than twice of
    what it has answers once for one trade, or whoever holds the signed terms could ruin it by sending
    them again; and for energy not before its meter has spoken, or they could be sent too early.
    """
    terms, standings = contract.terms, block.standings
    if outcome is ACCEPTED:
        standings.trade(terms.seller, terms.buyer, PPM, terms.energy_wh, chosen=True)
        return PPM
    if outcome.code is Decline.ALTERED_CONTRACT:
        standings.default(contract.submitter, -PPM)
        return -PPM
    if not outcome.alpha or not _is_default(block, terms, trade_id, outcome):
        return 0
    block.scratch.put(keys.default(trade_id), encode_integer(terms.valid_until_period))
    standings.default(terms.seller if outcome.alpha == SELLER_AT_FAULT else terms.buyer, -PPM)
    return -PPM


def _is_default(block: BlockContext, terms: Terms, trade_id: bytes, outcome: Refusal) -> bool:
    get = block.scratch.get
    if qscore.outcome(block.market.scores, outcome.found, outcome.expected) >= 0:
        return False
    if outcome.code is not Decline.TOO_LITTLE_MONEY:
        who = terms.seller if outcome.alpha == SELLER_AT_FAULT else terms.buyer
        if query.reading(get, who, terms.period) is None:
            return False
    return get(keys.default(trade_id)) is None
