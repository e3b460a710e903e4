"""Offering to serve: roles, and the hash chain that a volunteer needs.

Lives here: the rules of `Volunteer` and `RegisterChain`. Never here: who is eligible (`places`), the chain's
links (`chains`). Owns the invariant that every volunteer has a hash chain. Implements the pools and the hash
chains of CONSENSUS section 9.
"""

from msgspec.structs import replace

from p2penergy.ledger import chains, keys, query
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.departures import last_of_stage
from p2penergy.ledger.memberships import MembershipKind, RegisterChain, Volunteer
from p2penergy.ledger.receipts import ACCEPTED, Decline, MembershipReceipt, Refusal
from p2penergy.ledger.records import MemberRecord, encode_integer, encode_record
from p2penergy.ledger.transactions import answer_key
from p2penergy.messages import Stage


def volunteer(
    block: BlockContext, offer: Volunteer, transaction_id: bytes, member: MemberRecord
) -> MembershipReceipt:
    """Take a member's roles, or decline them; its nonce is answered either way."""
    scratch, who = block.scratch, offer.submitter
    scratch.put(answer_key(offer), encode_integer(offer.expires_period))
    refusal = _refusal(block, offer)
    if refusal is None:
        if offer.beacon_tip is not None:
            chains.register(scratch, block.community.timing, who, block.draft.height, offer.beacon_tip)
        serving = replace(member, validator=offer.validator, verifier=offer.verifier)
        scratch.put(keys.member(who), encode_record(serving))
        block.community.places.look_again([who])
    code, expected, found, *_ = refusal or ACCEPTED
    return MembershipReceipt(transaction_id, code, expected, found, who, MembershipKind.VOLUNTEER)


def _refusal(block: BlockContext, offer: Volunteer) -> Refusal | None:
    has_chain = block.scratch.get(keys.beacon_tip(offer.submitter)) is not None
    if has_chain and offer.beacon_tip is not None:
        return Refusal(Decline.CHAIN_REGISTERED, 0, 1)
    if not has_chain and offer.beacon_tip is None and (offer.validator or offer.verifier):
        return Refusal(Decline.NO_CHAIN, 1, 0)
    kept = {Stage.VALIDATION: offer.validator, Stage.VERIFICATION: offer.verifier}
    return last_of_stage(block, offer.submitter, [stage for stage in Stage if not kept[stage]])


def register_chain(
    block: BlockContext, registration: RegisterChain, transaction_id: bytes
) -> MembershipReceipt:
    """Note a member's next hash chain, or decline it; its nonce is answered either way."""
    scratch, who, height = block.scratch, registration.submitter, block.draft.height
    scratch.put(answer_key(registration), encode_integer(registration.expires_period))
    coming = query.next_chain(scratch.get, who)
    refusal = None
    if coming is not None and coming.from_height > height:
        # Another in its place would be a choice between two reveals.
        refusal = Refusal(Decline.CHAIN_PENDING, coming.from_height, height)
    else:
        chains.register(scratch, block.community.timing, who, height, registration.beacon_tip)
    code, expected, found, *_ = refusal or ACCEPTED
    return MembershipReceipt(transaction_id, code, expected, found, who, MembershipKind.REGISTER_CHAIN)
