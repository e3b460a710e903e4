"""Leaving, revocation and expulsion: when membership ends, what remains, and who may say so."""

from __future__ import annotations

import pytest
from newcomers import Newcomers, newcomer, with_new_key
from test_ledger_evidence import proof, submitted

from p2penergy.blocks import InvalidBlockError
from p2penergy.grid.periods import period_start_text
from p2penergy.ledger import Decline, keys, query, sentence
from p2penergy.ledger.memberships import MembershipKind
from p2penergy.ledger.records import Departure, OrderEnd, decode_integer
from p2penergy.messages import Stage


def refused(village: Newcomers, *transactions: bytes, verifies: bool = True) -> str:
    draft = village.draft(*transactions)
    if verifies:
        village.to_verification()
        draft = village.verification_draft(*transactions)
    with pytest.raises(InvalidBlockError) as caught:
        village.ledger.execute(draft)
    return caught.value.code


def with_newcomer() -> tuple[Newcomers, int]:
    """A village of four, and the number of a fifth that joined."""
    village, who = Newcomers(), newcomer(0)
    village.join(who)
    village.signers.append(who)
    village.ids.append(who.participant_id)
    return village, 4


# ---- leaving -------------------------------------------------------------------------------------


def test_who_left_is_no_member_and_its_money_stays() -> None:
    village = Newcomers()
    who = village.signers[3]
    wallet = village.ledger.get(keys.wallet(who.participant_id))
    receipt = village.verify_one(village.leave(who))
    assert (receipt.code, receipt.kind) == (Decline.NONE, MembershipKind.LEAVE)
    assert query.member(village.ledger.get, who.participant_id) is None
    gone = query.gone(village.ledger.get, who.participant_id)
    assert gone is not None
    assert (gone.why, gone.height, gone.member.public_key) == (Departure.LEFT, 2, who.public_key)
    assert village.ledger.get(keys.wallet(who.participant_id)) == wallet
    assert village.ledger.audit_totals().is_conserved()
    assert refused(village, village.reading(3, export_wh=5), verifies=False) == "unknown_submitter"
    assert refused(village, village.leave(who)) == "unknown_submitter"
    village.verify()
    assert village.one(village.contract(0, 3, 5)).code is Decline.UNKNOWN_PARTY


def test_nobody_leaves_with_a_reading_an_order_or_a_contract_open() -> None:
    village, _ = with_newcomer()
    who, period = newcomer(0), village.ledger.period
    village.block(village.reading(4, export_wh=500))
    receipt = village.verify_one(village.leave(who))
    assert (receipt.code, receipt.found) == (Decline.OPEN_BUSINESS, period)
    assert f"for period {period_start_text(period)} is open" in sentence(receipt)
    village.next_period()
    assert village.verify_one(village.leave(who)).accepted

    village, _ = with_newcomer()
    assert village.one(village.ask(4, 100)).accepted
    receipt = village.verify_one(village.leave(who))
    assert (receipt.code, receipt.found) == (Decline.OPEN_BUSINESS, village.first_open_period)
    assert village.one(village.cancel(4)).accepted
    assert village.verify_one(village.leave(who)).accepted

    village, _ = with_newcomer()
    assert village.one(village.forward(4, 0, 100)).accepted
    assert village.verify_one(village.leave(who)).code is Decline.OPEN_BUSINESS
    village.next_period()
    village.next_period()
    assert village.verify_one(village.leave(who)).accepted


def test_the_last_validator_stays() -> None:
    village = Newcomers(2)
    one, other = village.signers
    assert village.verify_one(village.leave(one)).accepted
    receipt = village.verify_one(village.leave(other))
    assert receipt.code is Decline.LAST_VALIDATOR


def test_two_last_validators_who_leave_in_one_block_are_one_too_many() -> None:
    village = Newcomers(2)
    receipts = village.verify(*(village.leave(signer) for signer in village.signers))
    assert [receipt.code for receipt in receipts] == [Decline.NONE, Decline.LAST_VALIDATOR]


# ---- revocation ----------------------------------------------------------------------------------


def test_the_authority_ends_the_membership_of_a_key_for_good() -> None:
    village, _ = with_newcomer()
    who = newcomer(0)
    receipt = village.verify_one(village.revocation(who))
    assert (receipt.code, receipt.participant) == (Decline.NONE, who.participant_id)
    gone = query.gone(village.ledger.get, who.participant_id)
    assert gone is not None
    assert gone.why is Departure.REVOKED
    assert decode_integer(village.ledger.get(keys.revoked(who.public_key))) == village.ledger.height
    assert refused(village, village.reading(4, export_wh=5), verifies=False) == "unknown_submitter"
    assert village.join(who).code is Decline.KEY_REVOKED
    new = with_new_key(who)
    assert village.join(new).accepted
    assert village.key_of(who) == new.public_key
    assert refused(village, village.revocation(who)) == "answered_twice"


def test_nobody_but_the_authority_revokes() -> None:
    village, _ = with_newcomer()
    for impostor in (village.signers[0], newcomer(0)):
        assert refused(village, village.revocation(newcomer(0), by=impostor)) == "bad_signature"


def test_without_an_authority_nobody_revokes() -> None:
    village = Newcomers()
    village.ledger._authority_key = None
    assert refused(village, village.revocation(village.signers[0])) == "bad_signature"


def test_revoking_an_old_key_leaves_who_renewed_a_member() -> None:
    village, _ = with_newcomer()
    old, new = newcomer(0), with_new_key(newcomer(0))
    assert village.verify_one(village.admission(village.renewal(new))).accepted
    assert village.verify_one(village.revocation(old)).accepted
    assert village.key_of(old) == new.public_key
    assert village.verify_one(village.admission(village.renewal(old))).code is Decline.KEY_REVOKED


def test_a_key_can_be_revoked_before_it_joins() -> None:
    village, who = Newcomers(), newcomer(0)
    assert village.verify_one(village.revocation(who)).accepted
    assert query.gone(village.ledger.get, who.participant_id) is None
    assert village.join(who).code is Decline.KEY_REVOKED


def test_a_revocation_does_not_expire_and_is_that_of_one_key() -> None:
    village, _ = with_newcomer()
    early = village.revocation(newcomer(0))
    for _ in range(100):
        village.next_period()
    assert village.verify_one(early).accepted
    assert village.key_of(village.signers[0]) is not None


def test_what_the_revoked_left_open_ends_and_its_money_returns() -> None:
    village = Newcomers()
    who = village.signers[3]
    wallet = query.balance(village.ledger.get, who.participant_id).wallet_nano
    order_period, forward_period = village.first_open_period, village.ledger.period + 1
    receipts = village.block(
        village.bid(3, 1000),
        village.ask(1, 1000),
        village.forward(0, 3, 500),
        village.reading(3, import_wh=9),
    )
    assert all(receipt.accepted for receipt in receipts)
    assert village.verify_one(village.revocation(who)).accepted
    for _ in range(4):
        village.next_period()
        assert village.ledger.audit_totals().is_conserved()
    order = query.order(village.ledger.get, who.participant_id, order_period, 0)
    assert order is not None
    assert order.end is OrderEnd.SCORE
    assert query.balance(village.ledger.get, who.participant_id).wallet_nano == wallet
    assert query.promise(village.ledger.get, who.participant_id, forward_period).buy_wh == 0
    assert query.bill(village.ledger.get, who.participant_id, order_period - 2) is not None


# ---- expulsion -----------------------------------------------------------------------------------


def test_evidence_expels_even_who_left_before() -> None:
    village = Newcomers()
    evidence = submitted(village, proof(village, 3), by=1)
    assert village.verify_one(village.leave(village.signers[3])).accepted
    assert village.one(evidence).accepted
    gone = query.gone(village.ledger.get, village.ids[3])
    assert gone is not None
    assert (gone.why, gone.height) == (Departure.EXPELLED, 2)
    assert village.join(village.signers[3]).code is Decline.EXPELLED


def test_an_old_key_convicts_after_a_renewal() -> None:
    village = Newcomers()
    evidence = submitted(village, proof(village, 3), by=1)
    village.verify(village.admission(village.renewal(with_new_key(village.signers[3]))))
    assert village.ledger.pool.add(evidence).accepted
    assert village.one(evidence).accepted
    assert village.key_of(village.signers[3]) is None


def test_the_expelled_is_struck_and_the_chain_goes_on() -> None:
    village = Newcomers()
    village.one(submitted(village, proof(village, 3), by=1))
    height = village.ledger.height
    assert village.ids[3] in village.ledger.volunteers(Stage.VALIDATION, height - 1)
    assert village.ids[3] not in village.ledger.volunteers(Stage.VALIDATION, height)
    assert village.ids[3] not in village.ledger.reserves(Stage.VALIDATION, height)
    assert village.ledger.member_key(village.ids[3], height - 1) is not None
    assert village.ledger.member_key(village.ids[3], height) is None
