"""One transaction of a verification block: who signed it, and the way to its rules.

Lives here: signatures and the dispatch. Never here: the rules (`admissions`, `departures`, `volunteering`).
Owns the invariant that requests and verdicts are in no block by themselves, only in an admission. Implements
the verification stage of CONSENSUS section 9.
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import query
from p2penergy.ledger.admissions import decide_admission
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.departures import leave, revoke
from p2penergy.ledger.memberships import (
    Admission,
    JoinRequest,
    Leave,
    MembershipTransaction,
    RegisterChain,
    Renewal,
    Revocation,
    Verdict,
    Volunteer,
)
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.ledger.records import MemberRecord
from p2penergy.ledger.transactions import Submitted
from p2penergy.ledger.volunteering import register_chain, volunteer


def decide(
    block: BlockContext, transaction: MembershipTransaction, submitted: Submitted
) -> MembershipReceipt:
    """Execute or decline one transaction that was not answered before, and return its receipt.

    Raises:
        InvalidBlockError: `wrong_transactions`, `unknown_submitter`, `bad_signature`, or a code of
            `decide_admission`.
    """
    identifier = submitted.transaction_id
    if isinstance(transaction, JoinRequest | Renewal | Verdict):
        said = "a request or a verdict is not for blocks: an admission holds them"
        raise InvalidBlockError("wrong_transactions", said)
    if isinstance(transaction, Admission):
        request = transaction.request
        _require_signed(block, request.public_key, submitted, request.signature)
        return decide_admission(block, transaction, identifier)
    if isinstance(transaction, Revocation):
        _require_signed(block, block.community.authority_key, submitted, transaction.signature)
        return revoke(block, transaction, identifier)
    member = _member(block, transaction)
    _require_signed(block, member.public_key, submitted, transaction.signature)
    if isinstance(transaction, Leave):
        return leave(block, transaction, identifier)
    if isinstance(transaction, Volunteer):
        return volunteer(block, transaction, identifier, member)
    return register_chain(block, transaction, identifier)


def _member(block: BlockContext, transaction: Leave | Volunteer | RegisterChain) -> MemberRecord:
    member = query.member(block.scratch.get, transaction.submitter)
    if member is None:
        raise InvalidBlockError("unknown_submitter", f"{transaction.submitter.hex()} is not a member")
    return member


def _require_signed(block: BlockContext, key: bytes | None, submitted: Submitted, signature: bytes) -> None:
    if key is None or not block.checker.check(key, submitted.signed, signature):
        said = f"transaction {submitted.transaction_id.hex()} is not signed by whom it must be"
        raise InvalidBlockError("bad_signature", said)
