"""How membership ends: by leaving, by revocation, by expulsion.

Lives here: the rules of `Leave` and `Revocation`, and what every end has in common. Never here: evidence
itself (`evidence`), joining again (`admissions`). Owns the invariants that who is no member any more has a
`gone/ID` and no `member/ID`, and that its wallet stays what it was: money is never lost. Implements LEDGER
section 2 and the struck members of CONSENSUS section 9.

Who leaves settles its business first. Revocation and expulsion don't wait for that: open orders are left out
at their gate and their money returns, and contracts in escrow fall due as ever, with no reading to fulfil
them.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from p2penergy.ledger import keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.memberships import Leave, MembershipKind, Revocation
from p2penergy.ledger.places import roles
from p2penergy.ledger.receipts import ACCEPTED, Decline, MembershipReceipt, Refusal
from p2penergy.ledger.records import (
    Departure,
    GoneRecord,
    KeyChange,
    OrderEnd,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.transactions import ORDER_PLACES, answer_key
from p2penergy.messages import Stage


def leave(block: BlockContext, transaction: Leave, transaction_id: bytes) -> MembershipReceipt:
    """End the submitter's membership, or decline it; its nonce is answered either way."""
    who = transaction.submitter
    block.scratch.put(answer_key(transaction), encode_integer(transaction.expires_period))
    refusal = _unsettled(block, who)
    if refusal is None:
        refusal = last_of_stage(block, who, _LAST)
    if refusal is None:
        end(block, who, Departure.LEFT)
    code, expected, found, *_ = refusal or ACCEPTED
    return MembershipReceipt(transaction_id, code, expected, found, who, MembershipKind.LEAVE)


_LAST = {Stage.VALIDATION: Decline.LAST_VALIDATOR, Stage.VERIFICATION: Decline.LAST_VERIFIER}


def last_of_stage(block: BlockContext, who: bytes, given_up: Iterable[Stage]) -> Refusal | None:
    """Why `who` may not give up these stages: nobody else of age serves one that it serves itself.

    Others are looked at only for whoever serves, and no more of them than it takes to find one.
    """

    def serves(member: bytes, stage: Stage) -> bool:
        known = query.member(block.scratch.get, member)
        return bool(roles(block.community.timing, known, block.draft.height) >> stage & 1)

    for stage in given_up:
        others = (other for other in block.community.volunteers if other != who)
        if serves(who, stage) and not any(serves(other, stage) for other in others):
            return Refusal(_LAST[stage], 1, 0)
    return None


def _unsettled(block: BlockContext, who: bytes) -> Refusal | None:
    """Whether something of the member waits for a period to end."""
    get = block.scratch.get
    for period in sorted({block.draft.period, *block.community.busy_periods}):
        ordered = (query.order(get, who, period, place) for place in range(ORDER_PLACES))
        if (
            query.reading(get, who, period) is not None
            or get(keys.promise(who, period)) is not None
            or any(order is not None and order.end is OrderEnd.OPEN for order in ordered)
        ):
            return Refusal(Decline.OPEN_BUSINESS, block.draft.period, period)
    return None


def revoke(block: BlockContext, revocation: Revocation, transaction_id: bytes) -> MembershipReceipt:
    """Bar a key for good, and end the membership of who has it; the authority's signature holds.

    It is the key that counts: a participant that has renewed since stays a member.
    """
    scratch, key = block.scratch, revocation.public_key
    owner = scratch.get(keys.key(key)) or revocation.participant_id
    member = query.member(scratch.get, owner)
    if member is not None and member.public_key == key:
        end(block, owner, Departure.REVOKED)
    scratch.put(answer_key(revocation), encode_integer(block.draft.height))
    return MembershipReceipt(transaction_id, Decline.NONE, 0, 0, owner, MembershipKind.REVOCATION)


def expel(block: BlockContext, who: bytes) -> None:
    """End the membership of a proven equivocator; who had left can't join again, either."""
    block.standings.expel(who)
    gone = query.gone(block.scratch.get, who)
    if gone is None:
        end(block, who, Departure.EXPELLED)
    elif gone.why is not Departure.EXPELLED:
        block.scratch.put(keys.gone(who), encode_record(replace(gone, why=Departure.EXPELLED)))


def end(block: BlockContext, who: bytes, why: Departure) -> None:
    """Take a present member out; what was staked on it, if not lost, goes back without a bonus."""
    scratch, height = block.scratch, block.draft.height
    member = query.member(scratch.get, who)
    assert member is not None, "who is no member can't stop being one"
    changes = block.community.needed.kept((*member.changes, KeyChange(height, None)))
    scratch.put(keys.member(who), None)
    scratch.put(keys.gone(who), encode_record(GoneRecord(replace(member, changes=changes), why, height)))
    block.standings.return_stake(who, bonus=False)
    block.community.places.look_again([who])
