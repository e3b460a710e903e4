"""Joining and renewing: what the verifiers' verdicts on a request lead to.

Lives here: what makes an admission one that a block may hold, and its rules. Never here: opening seals and
judging certificates (the node's), who the verifiers are (`p2penergy.committees`). Owns the invariants that
nobody becomes a member, or changes its key, without a quorum of the committee that it sealed to, and that a
meter and a key are those of one present member. Implements the joining of LEDGER section 2 (paper 2.2.1).

Anybody can count signatures before proposing them: a block whose admission is not decided by its verdicts is
invalid. What the ledger knows and verifiers need not, such as that a meter has joined, is a decline.
"""

from msgspec.structs import replace

from p2penergy.blocks import InvalidBlockError
from p2penergy.committees import CommitteeRules, Roll
from p2penergy.ledger import keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.memberships import (
    MEMBERSHIP_KINDS,
    Admission,
    JoinRequest,
    MembershipKind,
    MembershipRequest,
    Renewal,
    VerdictCode,
    verdict_bytes,
)
from p2penergy.ledger.receipts import ACCEPTED, Decline, MembershipReceipt, Refusal
from p2penergy.ledger.records import (
    Departure,
    KeyChange,
    MemberRecord,
    decode_integer,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.transactions import answer_key

NEWCOMER_RATED_W_MAX = 30_000
"""Of a household's connection; a genesis may name another bound."""
_RULES = CommitteeRules()


def votes_needed(code: VerdictCode, committee_size: int) -> int:
    """How many equal verdicts decide a request: Q accepts, or f + 1 refusals."""
    if code is VerdictCode.ACCEPT:
        return _RULES.quorum(committee_size)
    return _RULES.weak(committee_size)


def decide_admission(block: BlockContext, admission: Admission, request_id: bytes) -> MembershipReceipt:
    """Admit, renew or decline; the request is signed by the key that it names.

    Raises:
        InvalidBlockError: `other_committee`, `too_few_verdicts` or `bad_verdict`.
    """
    _require_decided(block, admission, request_id)
    request = admission.request
    block.scratch.put(answer_key(admission), encode_integer(request.expires_period))
    refusal = _refusal(block, admission)
    before = block.scratch.get(keys.meter(request.meter_pseudonym))
    if refusal is None:
        _register(block, request)
    code, expected, found, *_ = refusal or ACCEPTED
    if code in (Decline.NONE, Decline.VERIFIERS_REFUSED):
        for verifier, _ in admission.votes:
            block.standings.vote(verifier, block.market.scores.verifier_gain_ppm)
    if refusal is None and isinstance(request, JoinRequest):
        block.standings.begin(request.participant_id, before)
        block.standings.stake(request.participant_id, [verifier for verifier, _ in admission.votes])
    kind = MembershipKind(MEMBERSHIP_KINDS[type(request)][0])
    return MembershipReceipt(request_id, code, expected, found, request.participant_id, kind)


def _require_decided(block: BlockContext, admission: Admission, request_id: bytes) -> None:
    committee = block.community.committee
    said = f"of request {request_id.hex()}"
    if committee is None or admission.request.committee_root != committee.root:
        raise InvalidBlockError("other_committee", f"the verdicts {said} are not of the serving committee")
    needed = votes_needed(admission.code, len(committee.members))
    if len(admission.votes) < needed or not admission.is_ordered():
        found = f"{len(admission.votes)} verdicts {said}, in their order, where {needed} decide"
        raise InvalidBlockError("too_few_verdicts", found)
    if not _are_signed(block, admission, request_id, committee):
        raise InvalidBlockError("bad_verdict", f"a verdict {said} is not signed by a verifier")


def _are_signed(block: BlockContext, admission: Admission, request_id: bytes, committee: Roll) -> bool:
    for verifier, signature in admission.votes:
        key = committee.keys.get(verifier)
        signed = verdict_bytes(block.chain_id, verifier, request_id, committee.root, admission.code)
        if key is None or not block.checker.check(key, signed, signature):
            return False
    return True


def _refusal(block: BlockContext, admission: Admission) -> Refusal | None:
    get, request = block.scratch.get, admission.request
    if admission.code is not VerdictCode.ACCEPT:
        return Refusal(Decline.VERIFIERS_REFUSED, len(admission.votes), admission.code)
    revoked = get(keys.revoked(request.public_key))
    if revoked is not None:
        return Refusal(Decline.KEY_REVOKED, 0, decode_integer(revoked))
    owner = get(keys.key(request.public_key))
    if owner is not None and owner != request.participant_id:
        return Refusal(Decline.KEY_TAKEN, 0, 1)
    return _meter_refusal(block, request) or (
        _join_refusal(block, request)
        if isinstance(request, JoinRequest)
        else _renewal_refusal(block, request)
    )


def _meter_refusal(block: BlockContext, request: MembershipRequest) -> Refusal | None:
    """A meter that somebody else joined with is free once that one has left, not once it was expelled."""
    get = block.scratch.get
    holder = get(keys.meter(request.meter_pseudonym))
    if holder is None or holder == request.participant_id:
        return None
    present, gone = query.member(get, holder), query.gone(get, holder)
    if present is not None and present.meter_pseudonym == request.meter_pseudonym:
        return Refusal(Decline.METER_JOINED, 0, present.joined_height)
    if gone is not None and gone.why is Departure.EXPELLED:
        return Refusal(Decline.EXPELLED, 0, gone.height)
    return None


def _join_refusal(block: BlockContext, request: JoinRequest) -> Refusal | None:
    get = block.scratch.get
    present, gone = query.member(get, request.participant_id), query.gone(get, request.participant_id)
    if present is not None:
        return Refusal(Decline.ALREADY_MEMBER, 0, present.joined_height)
    if gone is not None and gone.why is Departure.EXPELLED:
        return Refusal(Decline.EXPELLED, 0, gone.height)
    rated_w_max = block.market.newcomer_rated_w_max or NEWCOMER_RATED_W_MAX
    if not 1 <= request.rated_w <= rated_w_max:
        # 0 would mean no bound on its readings; only genesis may say so.
        return Refusal(Decline.RATED_POWER, rated_w_max, request.rated_w)
    return None


def _renewal_refusal(block: BlockContext, request: Renewal) -> Refusal | None:
    member = query.member(block.scratch.get, request.participant_id)
    if member is None:
        return Refusal(Decline.NOT_A_MEMBER, 1, 0)
    if member.public_key == request.public_key:
        return Refusal(Decline.KEY_TAKEN, 0, 1)
    if member.meter_pseudonym not in (None, request.meter_pseudonym):
        return Refusal(Decline.METER_CHANGED, 0, 1)
    return None


def _register(block: BlockContext, request: MembershipRequest) -> None:
    scratch, who, height = block.scratch, request.participant_id, block.draft.height
    gone = query.gone(scratch.get, who)
    known = query.member(scratch.get, who) or (gone.member if gone is not None else None)
    before = known.changes if known is not None else ()
    changes = block.community.needed.kept((*before, KeyChange(height, request.public_key)))
    if isinstance(request, JoinRequest):
        member = MemberRecord(
            request.public_key,
            False,
            False,
            request.rated_w,
            request.cluster,
            request.meter_pseudonym,
            height,
            changes,
        )
        if gone is not None:
            scratch.put(keys.gone(who), None)
    else:
        assert known is not None, "a stranger's renewal passed its rules"
        member = replace(
            known,
            public_key=request.public_key,
            meter_pseudonym=request.meter_pseudonym,
            changes=changes,
        )
    scratch.put(keys.member(who), encode_record(member))
    scratch.put(keys.meter(request.meter_pseudonym), who)
    scratch.put(keys.key(request.public_key), who)
    block.community.places.look_again([who])
