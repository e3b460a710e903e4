"""One transaction of a block: is it one that a block may hold, and what becomes of it?

Lives here: the conditions under which a transaction makes its block invalid, and the way to its rules.
Never here: the rules (`readings`, `contracts`, `evidence`). Owns the invariant that each (submitter, nonce)
is answered once. Implements LEDGER section 5 and the validity of CONSENSUS section 4.

A proposer can see for itself that a transaction is malformed, unsigned, by a stranger, beyond its
expiry or answered before, and no decline of it would tell anybody anything: such a block is invalid,
or a bad proposer could fill the log, and make a client take an old answer for a new one. So no
transaction that was accepted ever has another receipt.
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import keys, query, verification
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.contracts import create_trade
from p2penergy.ledger.evidence import record_evidence
from p2penergy.ledger.memberships import (
    MEMBERSHIP_TYPES,
    JoinRequest,
    Renewal,
    Revocation,
    Verdict,
)
from p2penergy.ledger.orders import cancel_order, place_order
from p2penergy.ledger.readings import decide_reading
from p2penergy.ledger.receipts import Receipt
from p2penergy.ledger.transactions import (
    Accusation,
    Contract,
    PlaceOrder,
    Reading,
    Submitted,
    last_period,
    parse,
    submitter_of,
)
from p2penergy.messages import MalformedMessageError, Stage


def read(data: bytes, chain_id: bytes) -> Submitted:
    """One transaction of a block; raises `InvalidBlockError` with code `malformed_transaction`."""
    try:
        return parse(data, chain_id)
    except MalformedMessageError as error:
        raise InvalidBlockError("malformed_transaction", str(error)) from None


def decide(block: BlockContext, submitted: Submitted) -> Receipt:
    """Execute or decline one transaction, and return its receipt.

    Raises:
        InvalidBlockError: `unknown_submitter`, `bad_signature`, `answered_twice`,
            `transaction_expired`, `expiry_too_far`, `reading_too_early`, `proves_nothing` or
            `wrong_transactions`; and of memberships those of `verification.decide`.
    """
    transaction = submitted.transaction
    verifies = block.draft.stage is Stage.VERIFICATION
    if isinstance(transaction, MEMBERSHIP_TYPES) is not verifies:
        said = "memberships are for verification blocks, and all else is for validation blocks"
        raise InvalidBlockError("wrong_transactions", said)
    if isinstance(transaction, MEMBERSHIP_TYPES):
        if not isinstance(transaction, JoinRequest | Renewal | Verdict):
            _require_answerable(block, submitted)
        return verification.decide(block, transaction, submitted)
    submitter = submitter_of(transaction)
    member = query.member(block.scratch.get, submitter)
    if member is None:
        raise InvalidBlockError("unknown_submitter", f"{submitter.hex()} is not a member")
    _require_answerable(block, submitted)
    if not block.checker.check(member.public_key, submitted.signed, transaction.signature):
        said = f"transaction {submitted.transaction_id.hex()} is not signed by its submitter"
        raise InvalidBlockError("bad_signature", said)
    if isinstance(transaction, Reading):
        return decide_reading(block, transaction, submitted.transaction_id, member)
    if isinstance(transaction, Accusation):
        return record_evidence(block, transaction, submitted.transaction_id)
    if isinstance(transaction, Contract):
        return create_trade(block, transaction, submitted.transaction_id)
    if isinstance(transaction, PlaceOrder):
        return place_order(block, transaction, submitted.transaction_id, member)
    return cancel_order(block, transaction, submitted.transaction_id)


def _require_answerable(block: BlockContext, submitted: Submitted) -> None:
    transaction = submitted.transaction
    period, life_periods = block.draft.period, block.market.transaction_life_periods
    expires = last_period(transaction, life_periods)
    if expires < period:
        said = f"a transaction expired in period {expires}, the block's is {period}"
        raise InvalidBlockError("transaction_expired", said)
    if isinstance(transaction, Reading):
        return
    if not isinstance(transaction, Accusation | Revocation) and expires > period + life_periods:
        said = f"a transaction expires in period {expires}, too far after the block's, {period}"
        raise InvalidBlockError("expiry_too_far", said)
    if block.scratch.get(submitted.answer_key) is not None:
        said = f"{keys.text(submitted.answer_key)} was answered before"
        raise InvalidBlockError("answered_twice", said)
