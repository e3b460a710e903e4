"""Evidence on the ledger: a proven equivocation is recorded once, for everybody and for ever.

Lives here: what makes evidence valid, and what follows from it. Never here: the conflict rule
(`p2penergy.conflicts`), noticing conflicts (`consensus`). Owns the invariant that nobody is on record whose
registered key did not sign two statements that no correct member signs both of. Implements the evidence of
CONSENSUS section 4 and the votes of LEDGER section 6.

Anybody can check evidence before proposing it, so that a block with evidence that proves nothing is invalid,
like one with an unsigned transaction. A member on record loses its whole score and its membership, for good.
"""

from p2penergy.blocks import InvalidBlockError
from p2penergy.conflicts import conflict
from p2penergy.ledger import keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.departures import expel
from p2penergy.ledger.query import Get
from p2penergy.ledger.receipts import ACCEPTED, Decline, EvidenceReceipt, Refusal
from p2penergy.ledger.records import EvidenceRecord, decode_integer, encode_integer, encode_record
from p2penergy.ledger.transactions import Accusation, answer_key
from p2penergy.messages import Evidence
from p2penergy.signing import SignatureChecker, SignatureItem

KEY_OUTLIVED_BLOCKS_MAX = 80
"""So long after a renewal the old key may sign votes: a committee's keys are those of L + 1 blocks ago."""
EVIDENCE_PER_MEMBER_MAX = 16
"""So many equivocations of one member stay in the state; a member that made more has nothing more to lose."""


def fault(get: Get, evidence: Evidence) -> tuple[str, str] | None:
    """Why evidence proves nothing, signatures aside: a code and a sentence; None: it does if they hold."""
    if not keys_of(get, evidence):
        return "unknown_accused", f"{evidence.sender.hex()} had no key for height {evidence.first.height}"
    if not conflict(evidence.sender, evidence.first, evidence.second):
        return "no_conflict", "a correct member may sign both statements"
    return None


def keys_of(get: Get, evidence: Evidence) -> list[bytes]:
    """The keys that the accused can have signed with at the statements' height, the latest first.

    Leaving, or renewing its key, does not make anybody innocent. But whoever finds or steals an old key can
    sign anything with it: what is said of a height after its time, or with a revoked key, proves nothing.
    """
    member, gone = query.member(get, evidence.sender), query.gone(get, evidence.sender)
    known = member if member is not None else gone.member if gone is not None else None
    changes = known.changes if known is not None else ()
    height = max(evidence.first.height, evidence.second.height)
    found = []
    for change, following in zip(changes, (*changes[1:], None), strict=False):
        outlived = following is not None and height > following.height + KEY_OUTLIVED_BLOCKS_MAX
        if change.public_key is None or outlived or get(keys.revoked(change.public_key)) is not None:
            continue
        found.append(change.public_key)
    return found[::-1]


def signature_items(get: Get, chain_id: bytes, evidence: Evidence) -> list[SignatureItem]:
    """The two signatures of the accused, by its latest key; [] when it never was a member."""
    return [item for key in keys_of(get, evidence)[:1] for item in _items(key, chain_id, evidence)]


def _items(key: bytes, chain_id: bytes, evidence: Evidence) -> list[SignatureItem]:
    return [
        (key, side.signed_bytes(chain_id, evidence.sender), side.signature)
        for side in (evidence.first, evidence.second)
    ]


def are_signed(get: Get, chain_id: bytes, checker: SignatureChecker, evidence: Evidence) -> bool:
    """Whether the accused signed both statements, with one key that it had."""
    return any(
        all(checker.check(*item) for item in _items(key, chain_id, evidence))
        for key in keys_of(get, evidence)
    )


def is_proven_enough(get: Get, accused: bytes) -> bool:
    """Whether no further evidence against a member is recorded."""
    return decode_integer(get(keys.proven(accused))) >= EVIDENCE_PER_MEMBER_MAX


def record_evidence(block: BlockContext, accusation: Accusation, transaction_id: bytes) -> EvidenceReceipt:
    """Put evidence on record that was not there before; its submitter's signature holds.

    Raises:
        InvalidBlockError: `proves_nothing`.
    """
    scratch, evidence = block.scratch, accusation.evidence
    found = fault(scratch.get, evidence)
    if found is not None:
        raise InvalidBlockError("proves_nothing", found[1])
    if not are_signed(scratch.get, block.chain_id, block.checker, evidence):
        raise InvalidBlockError("proves_nothing", f"{evidence.sender.hex()} did not sign both statements")
    proven = decode_integer(scratch.get(keys.proven(accusation.accused)))
    refusal = None
    if is_proven_enough(scratch.get, accusation.accused):
        refusal = Refusal(Decline.PROVEN_ENOUGH, EVIDENCE_PER_MEMBER_MAX, proven)
    else:
        where = EvidenceRecord(block.draft.height, scratch.index)
        scratch.put(answer_key(accusation), encode_record(where))
        scratch.put(keys.proven(accusation.accused), encode_integer(proven + 1))
        expel(block, accusation.accused)
    code, expected, figure, *_ = refusal or ACCEPTED
    return EvidenceReceipt(
        transaction_id,
        code,
        expected,
        figure,
        accusation.submitter,
        accusation.accused,
        evidence.first.kind,
        evidence.first.height,
        evidence.first.view,
    )
