"""Joining and renewing: by a quorum of the right committee only, one meter and one key for one member."""

from __future__ import annotations

import msgspec
import pytest
from newcomers import Newcomers, meter_of, newcomer, with_new_key
from test_ledger_evidence import proof, submitted

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Admission, Decline, VerdictCode, keys, query, sentence, sign_verdict
from p2penergy.ledger.memberships import MembershipKind
from p2penergy.ledger.transactions import parse
from p2penergy.messages import encode
from p2penergy.score_rules import ScoreRules

METER = b"m" * 32


def code_of(village: Newcomers, *transactions: bytes) -> str:
    """Why a verification block with these is refused; "" when it is not."""
    village.to_verification()
    try:
        village.ledger.execute(village.verification_draft(*transactions))
    except InvalidBlockError as error:
        return error.code
    return ""


# ---- joining -------------------------------------------------------------------------------------


def test_a_quorum_makes_a_newcomer_a_member() -> None:
    village, who = Newcomers(), newcomer(0)
    request = village.join_request(who, METER)
    receipt = village.verify_one(village.admission(request))
    assert receipt.accepted
    assert (receipt.participant, receipt.kind) == (who.participant_id, MembershipKind.JOIN_REQUEST)
    assert receipt.transaction_id == village.ledger.transaction_id(encode(request))
    member = query.member(village.ledger.get, who.participant_id)
    assert member is not None
    assert (member.public_key, member.rated_w, member.cluster) == (who.public_key, 10_000, 1)
    assert (member.validator, member.verifier, member.joined_height) == (False, False, 2)
    assert village.ledger.get(keys.meter(METER)) == who.participant_id
    assert village.score_of(who.participant_id) == 300_000
    assert village.key_of(who) == who.public_key
    assert village.ledger.member_key(who.participant_id, 1) is None


def test_a_new_member_does_what_members_do() -> None:
    village, who = Newcomers(), newcomer(0)
    village.join(who)
    village.signers.append(who)
    village.ids.append(who.participant_id)
    receipts = village.block(village.reading(4, export_wh=500), village.reading(1, import_wh=400))
    assert all(receipt.accepted for receipt in receipts)
    assert village.one(village.contract(4, 1, 300)).accepted
    assert village.ledger.audit_totals().is_conserved()


def test_verifiers_refuse_by_f_plus_one_equal_verdicts_and_say_why() -> None:
    village, who = Newcomers(), newcomer(0)
    request = village.join_request(who)
    receipt = village.verify_one(village.admission(request, VerdictCode.REVOKED, (1, 3)))
    assert receipt.code is Decline.VERIFIERS_REFUSED
    said = "declined: 2 verifiers agree that the authority has revoked a certificate"
    assert sentence(receipt) == said
    assert village.key_of(who) is None
    again = village.verify_one(village.admission(village.join_request(who)))
    assert again.accepted


@pytest.mark.parametrize(("code", "by"), [(VerdictCode.ACCEPT, (0, 1)), (VerdictCode.REVOKED, (2,))])
def test_one_verdict_too_few_decides_nothing(code: VerdictCode, by: tuple[int, ...]) -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0))
    assert code_of(village, village.admission(request, code, by)) == "too_few_verdicts"


@pytest.mark.parametrize(
    ("members", "accepts", "refusals"), [(1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 3, 2), (5, 4, 2), (6, 4, 2)]
)
def test_thresholds_follow_the_committee(members: int, accepts: int, refusals: int) -> None:
    for code, needed in ((VerdictCode.ACCEPT, accepts), (VerdictCode.EXPIRED, refusals)):
        for count, refused in ((needed, ""), (needed - 1, "too_few_verdicts")):
            village = Newcomers(members)
            request = village.join_request(newcomer(0))
            assert code_of(village, village.admission(request, code, tuple(range(count)))) == refused


def test_a_verdict_counted_twice_decides_nothing() -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0))
    one, two = village.verdicts(request, VerdictCode.ACCEPT, (0, 1))
    for votes in ((one, one, two), (two, one, two), (one, two, two)):
        assert code_of(village, encode(Admission(request, VerdictCode.ACCEPT, votes))) == "too_few_verdicts"


def test_forged_and_foreign_verdicts_are_none() -> None:
    village, who = Newcomers(), newcomer(0)
    request, other = village.join_request(who), village.join_request(newcomer(1))
    good = dict(village.verdicts(request, VerdictCode.ACCEPT, (0, 1)))
    stranger = sign_verdict(newcomer(5), village.chain_id, request, VerdictCode.ACCEPT)
    elsewhere = sign_verdict(village.signers[2], bytes(32), request, VerdictCode.ACCEPT)
    of_other = sign_verdict(village.signers[2], village.chain_id, other, VerdictCode.ACCEPT)
    refusing = sign_verdict(village.signers[2], village.chain_id, request, VerdictCode.EXPIRED)
    sealed_to_others = msgspec.structs.replace(request, committee_root=bytes(32))
    of_others = sign_verdict(village.signers[2], village.chain_id, sealed_to_others, VerdictCode.ACCEPT)
    for verdict in (stranger, elsewhere, of_other, refusing, of_others):
        votes = tuple(sorted((good | {verdict.verifier: verdict.signature}).items()))
        assert code_of(village, encode(Admission(request, VerdictCode.ACCEPT, votes))) == "bad_verdict"
    swapped = tuple(zip(sorted(village.ids[:3]), (bytes(64),) * 3, strict=True))
    assert code_of(village, encode(Admission(request, VerdictCode.ACCEPT, swapped))) == "bad_verdict"


def test_a_request_to_another_committee_is_nobody_s() -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0), committee_root=bytes(32))
    assert code_of(village, village.admission(request)) == "other_committee"


def test_after_a_verification_block_requests_to_the_old_committee_count_no_more() -> None:
    village, who = Newcomers(), newcomer(0)
    late = village.join_request(newcomer(1))
    village.join(who)
    village.verify(village.volunteer(who, verifier=True, tip=b"t" * 32))
    # The newcomer's score is below the bar: the committee stays the same set, and so does its root.
    assert code_of(village, village.admission(late)) == ""
    village = Newcomers(market={"scores": generous()})
    late = village.join_request(newcomer(1))
    village.join(who)
    village.verify(village.volunteer(who, verifier=True, tip=b"t" * 32))
    village.verify()
    assert len(village.ledger.verification_committee().members) == 5
    assert code_of(village, village.admission(late, by=(0, 1, 2, 3))) == "other_committee"


def generous() -> ScoreRules:
    """Whoever volunteers is eligible."""
    return ScoreRules(committee_bar_ppm=100_000)


def test_a_request_that_its_device_did_not_sign_is_invalid() -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0), public_key=newcomer(1).public_key)
    assert code_of(village, village.admission(request)) == "bad_signature"


def test_a_request_is_answered_once_and_in_time() -> None:
    village, who = Newcomers(), newcomer(0)
    admission = village.admission(village.join_request(who))
    assert village.verify_one(admission).accepted
    assert village.verify_one(village.leave(who)).accepted
    assert code_of(village, admission) == "answered_twice"
    late = village.admission(village.join_request(newcomer(1), expires_period=village.ledger.period))
    village.verify()
    village.next_period()
    assert code_of(village, late) == "transaction_expired"
    village.verify()
    soon = village.join_request(newcomer(1), expires_period=village.ledger.period + 97)
    assert code_of(village, village.admission(soon)) == "expiry_too_far"
    village.verify()
    # The admission is forgotten with its expiry, and expired by then.
    for _ in range(11):
        village.next_period()
    assert code_of(village, admission) == "transaction_expired"


def test_verdicts_and_requests_stand_in_no_block_by_themselves() -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0))
    verdict = sign_verdict(village.signers[0], village.chain_id, request, VerdictCode.ACCEPT)
    for bare in (request, verdict, village.renewal(village.signers[0])):
        assert code_of(village, encode(bare)) == "wrong_transactions"


# ---- one meter, one key --------------------------------------------------------------------------


def test_one_meter_joins_once() -> None:
    village = Newcomers()
    assert village.join(newcomer(0), METER).accepted
    receipt = village.join(newcomer(1), METER)
    assert (receipt.code, receipt.found) == (Decline.METER_JOINED, 2)
    assert village.verify_one(village.leave(newcomer(0))).accepted
    assert village.join(newcomer(1), METER).accepted


def test_two_of_one_meter_in_one_block_are_one_member() -> None:
    village = Newcomers()
    both = [village.admission(village.join_request(newcomer(number), METER)) for number in range(2)]
    receipts = village.verify(*both)
    assert [receipt.code for receipt in receipts] == [Decline.NONE, Decline.METER_JOINED]


def test_a_meter_of_genesis_joins_once() -> None:
    village = Newcomers(1, member={"meter_pseudonym": METER.hex()})
    receipt = village.verify_one(village.admission(village.join_request(newcomer(0), METER), by=(0,)))
    assert receipt.code is Decline.METER_JOINED


def test_nobody_joins_twice_and_no_key_serves_two() -> None:
    village, who = Newcomers(), newcomer(0)
    assert village.join(who).accepted
    assert village.join(who).code is Decline.ALREADY_MEMBER
    assert village.join(village.signers[0]).code is Decline.ALREADY_MEMBER
    thief = newcomer(1)
    thief.public_key = who.public_key
    assert village.join(thief).code is Decline.KEY_TAKEN


# ---- coming back ---------------------------------------------------------------------------------


def test_who_left_may_join_again_with_no_better_score_than_a_newcomer() -> None:
    village = Newcomers()
    who = village.signers[3]
    assert village.score_of(who.participant_id) == 600_000
    assert village.verify_one(village.leave(who)).accepted
    assert village.score_of(who.participant_id) == 0
    assert village.join(who).accepted
    assert village.score_of(who.participant_id) == 300_000
    assert query.gone(village.ledger.get, who.participant_id) is None
    member = query.member(village.ledger.get, who.participant_id)
    assert member is not None
    assert (member.validator, member.verifier) == (False, False)
    left, back = 2, member.joined_height
    known = [village.ledger.member_key(who.participant_id, at) for at in (left, back - 1, back)]
    assert known == [None, None, who.public_key]


def test_a_bad_score_stays_with_the_meter_whatever_the_certificate() -> None:
    village, first, second = Newcomers(), newcomer(0), newcomer(1)
    village.join(first, METER)
    village.signers.append(first)
    village.ids.append(first.participant_id)
    village.next_period()
    lost = village.terms(seller=4, buyer=0, energy_wh=10)
    altered = msgspec.structs.replace(lost, energy_wh=20)
    village.one(encode(village.submit(4, altered, village.signed_by(0, lost))))
    bad = village.score_of(first.participant_id)
    assert bad < 300_000
    assert village.verify_one(village.leave(first)).accepted
    assert village.join(second, METER).accepted
    assert village.score_of(second.participant_id) == bad
    # With a meter of its own nobody inherits anything.
    assert village.join(newcomer(2)).accepted
    assert village.score_of(newcomer(2).participant_id) == 300_000


def test_a_block_holds_one_transaction_about_each_participant() -> None:
    village = Newcomers()
    leaving = village.signers[3]
    assert code_of(village, village.leave(leaving), village.leave(leaving)) == "same_participant"
    assert code_of(village, village.revocation(leaving), village.volunteer(leaving)) == "same_participant"
    request = village.join_request(newcomer(0))
    again = village.join_request(newcomer(0), meter_of(9))
    assert code_of(village, village.admission(request), village.admission(again)) == "same_participant"
    # A refusal changes nothing about anybody.
    refused = village.admission(again, VerdictCode.MISMATCH, (0, 1))
    assert code_of(village, village.admission(request), refused) == ""
    # Whoever has a key is concerned by its revocation, whomever that names.
    sold = village.revocation(with_new_key(leaving))
    assert code_of(village, sold, village.leave(village.signers[2])) == ""


def test_who_was_expelled_never_joins_again_nor_does_its_meter() -> None:
    village, who = Newcomers(), newcomer(0)
    village.join(who, METER)
    village.signers.append(who)
    village.ids.append(who.participant_id)
    assert village.one(submitted(village, proof(village, 4))).accepted
    assert village.join(who, b"other".ljust(32)).code is Decline.EXPELLED
    assert village.join(newcomer(1), METER).code is Decline.EXPELLED


# ---- renewal -------------------------------------------------------------------------------------


def test_a_renewal_changes_the_key_and_nothing_else() -> None:
    village, old = Newcomers(), newcomer(0)
    village.join(old)
    before = query.member(village.ledger.get, old.participant_id)
    new = with_new_key(old)
    receipt = village.verify_one(village.admission(village.renewal(new)))
    assert (receipt.code, receipt.kind) == (Decline.NONE, MembershipKind.RENEWAL)
    after = query.member(village.ledger.get, old.participant_id)
    assert before is not None
    assert after == msgspec.structs.replace(
        before, public_key=new.public_key, changes=after.changes if after is not None else ()
    )
    height = village.ledger.height
    known = [village.ledger.member_key(old.participant_id, at) for at in (height - 1, height)]
    assert known == [old.public_key, new.public_key]
    assert code_of(village, village.leave(old)) == "bad_signature"
    assert village.verify_one(village.leave(new)).accepted


def test_a_renewal_is_declined_for_strangers_old_keys_and_other_meters() -> None:
    village, who = Newcomers(), newcomer(0)
    assert village.verify_one(village.admission(village.renewal(who))).code is Decline.NOT_A_MEMBER
    village.join(who)
    assert village.verify_one(village.admission(village.renewal(who))).code is Decline.KEY_TAKEN
    new = with_new_key(who)
    moved = village.verify_one(village.admission(village.renewal(new, METER)))
    assert moved.code is Decline.METER_CHANGED
    new.public_key = village.signers[0].public_key
    assert village.verify_one(village.admission(village.renewal(new))).code is Decline.KEY_TAKEN
    assert village.key_of(who) == who.public_key


def test_what_was_pending_under_the_old_key_is_forgotten() -> None:
    village, who = Newcomers(), newcomer(0)
    village.join(who)
    village.signers.append(who)
    village.ids.append(who.participant_id)
    assert village.ledger.pool.add(village.reading(4, export_wh=5)).accepted
    assert village.ledger.pool.add(village.reading(0, export_wh=5)).accepted
    village.verify(village.admission(village.renewal(with_new_key(who))))
    assert len(village.ledger.pool) == 1
    assert len(village.propose().receipts) == 1


def test_an_id_is_the_request_s_whatever_the_verdicts() -> None:
    village = Newcomers()
    request = village.join_request(newcomer(0))
    made = {
        parse(village.admission(request, code, by), village.chain_id).transaction_id
        for code, by in (
            (VerdictCode.ACCEPT, (0, 1, 2)),
            (VerdictCode.ACCEPT, (1, 2, 3)),
            (VerdictCode.PATH, (0,)),
        )
    }
    assert made == {parse(encode(request), village.chain_id).transaction_id}
