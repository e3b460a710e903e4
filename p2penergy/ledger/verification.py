"""One transaction of a verification block: whom it is about, who signed it, and the way to its rules.

Lives here: signatures and the dispatch. Never here: the rules (`admissions`, `departures`, `volunteering`).
Owns the invariants that requests and verdicts are in no block by themselves, only in an admission, and that a
block holds one transaction about each participant, refusals by verifiers apart: so no leader can make a block
of thousands that all have to be declined at a price, and nobody keeps a newcomer out by requests in its name.
Implements the verification stage of CONSENSUS section 9.
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import keys, query
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
    VerdictCode,
    Volunteer,
)
from p2penergy.ledger.query import Get
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.ledger.records import MemberRecord
from p2penergy.ledger.transactions import Submitted, submitter_of
from p2penergy.ledger.volunteering import register_chain, volunteer


def decide(
    block: BlockContext, transaction: MembershipTransaction, submitted: Submitted
) -> MembershipReceipt:
    """Execute or decline one transaction that was not answered before, and return its receipt.

    Raises:
        InvalidBlockError: `wrong_transactions`, `same_participant`, `unknown_submitter`, `bad_signature`, or
            a code of `decide_admission`.
    """
    _require_first(block, transaction)
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


def affected(get: Get, transaction: MembershipTransaction) -> set[bytes]:
    """Participants whose membership a transaction may change; of a revocation: the owner of its key, too.

    Of a refusal nobody: anybody can ask in another's name, with a key of his own, and have it refused.
    """
    if isinstance(transaction, Admission) and transaction.code is not VerdictCode.ACCEPT:
        return set()
    named = submitter_of(transaction)
    owner = get(keys.key(transaction.public_key)) if isinstance(transaction, Revocation) else None
    return {named, owner or named}


def _require_first(block: BlockContext, transaction: MembershipTransaction) -> None:
    known, now = block.community.affected, affected(block.scratch.get, transaction)
    if not known.isdisjoint(now):
        said = f"another transaction of the block is about {min(known & now).hex()}, too"
        raise InvalidBlockError("same_participant", said)
    known |= now


def _member(block: BlockContext, transaction: Leave | Volunteer | RegisterChain) -> MemberRecord:
    member = query.member(block.scratch.get, transaction.submitter)
    if member is None:
        raise InvalidBlockError("unknown_submitter", f"{transaction.submitter.hex()} is not a member")
    return member


def _require_signed(block: BlockContext, key: bytes | None, submitted: Submitted, signature: bytes) -> None:
    if key is None or not block.checker.check(key, submitted.signed, signature):
        said = f"transaction {submitted.transaction_id.hex()} is not signed by whom it must be"
        raise InvalidBlockError("bad_signature", said)
