"""The pool of memberships: bounded, sealed to one committee, and never the cause of an invalid block."""

from __future__ import annotations

from typing import Any

import pytest
from newcomers import Newcomers, newcomer, own_chain, with_new_key
from test_ledger_evidence import proof, submitted

from p2penergy.ledger import Decline, VerdictCode, decode_receipt, membership_pool, sign_verdict
from p2penergy.messages import Stage, encode


class Proposed(Newcomers):
    """What leaders propose from the pool."""

    def take(self, *transactions: bytes) -> list[str]:
        """What the pool says of each; "" where it takes it."""
        return [self.ledger.pool.add(transaction).code for transaction in transactions]

    def verdict(self, who: int, request: Any, code: VerdictCode = VerdictCode.ACCEPT) -> bytes:
        return encode(sign_verdict(self.signers[who], self.chain_id, request, code))

    def lead(self) -> list[Any]:
        """Receipts of the ledger's own next draft."""
        drafted = self.draft()
        height = drafted.height
        draft = self.ledger.draft(height, height, drafted.proposer, drafted.reveal, 1 << 20)
        return [decode_receipt(receipt) for receipt in self.run(draft).receipts]

    @property
    def stage(self) -> Stage:
        return self.ledger.draft(self.ledger.height + 1, 1, self.ids[0], bytes(32), 1 << 20).stage


@pytest.fixture
def village() -> Proposed:
    return Proposed()


def test_a_request_becomes_an_admission_once_a_quorum_has_spoken(village: Proposed) -> None:
    request = village.join_request(newcomer(0))
    assert village.take(encode(request)) == [""]
    pool = village.ledger.pool.memberships
    request_id = village.ledger.transaction_id(encode(request)) or b""
    assert pool.requests() == [(request_id, request)]
    for who in range(3):
        assert not village.ledger.has_pending(1)
        assert village.take(village.verdict(who, request)) == [""]
    assert pool.verdicts(request_id) == dict.fromkeys(village.ids[:3], VerdictCode.ACCEPT)
    assert village.ledger.has_pending(1)
    assert village.lead() == []
    assert village.stage is Stage.VERIFICATION
    village.take(village.verdict(3, request))
    (receipt,) = village.lead()
    assert (receipt.accepted, receipt.transaction_id) == (True, request_id)
    assert not village.ledger.has_pending(1)
    assert len(pool) == 0
    assert village.stage is Stage.VALIDATION
    assert village.key_of(newcomer(0)) is not None


def test_refusals_for_different_reasons_do_not_add_up(village: Proposed) -> None:
    request = village.join_request(newcomer(0))
    village.take(encode(request), village.verdict(0, request, VerdictCode.EXPIRED))
    village.take(village.verdict(1, request, VerdictCode.REVOKED))
    assert not village.ledger.has_pending(1)
    village.take(village.verdict(2, request, VerdictCode.REVOKED))
    village.lead()
    (receipt,) = village.lead()
    assert (receipt.code, receipt.expected, receipt.found) == (
        Decline.VERIFIERS_REFUSED,
        2,
        VerdictCode.REVOKED,
    )


def test_what_a_verdict_must_be(village: Proposed) -> None:
    request, unknown = village.join_request(newcomer(0)), village.join_request(newcomer(1))
    village.take(encode(request))
    stranger = encode(sign_verdict(newcomer(3), village.chain_id, request, VerdictCode.ACCEPT))
    forged = village.verdict(0, request)[:-1] + b"x"
    assert village.take(village.verdict(0, unknown), stranger, forged) == [
        "unknown_request",
        "not_a_verifier",
        "bad_signature",
    ]
    assert village.take(village.verdict(0, request), village.verdict(0, request)) == ["", "pending"]
    assert village.take(village.verdict(0, request, VerdictCode.EXPIRED)) == ["other_pending"]


def test_what_a_request_must_be(village: Proposed) -> None:
    request = village.join_request(newcomer(0))
    other = village.join_request(newcomer(1), committee_root=bytes(32))
    forged = village.join_request(newcomer(1), public_key=newcomer(2).public_key)
    late = village.join_request(newcomer(1), expires_period=village.ledger.period + 97)
    over = village.join_request(newcomer(1), expires_period=village.ledger.period - 1)
    taken = village.take(*(encode(each) for each in (request, request, other, forged, late, over)))
    assert taken == ["", "pending", "other_committee", "bad_signature", "expiry_too_far", "expired"]
    earlier = village.join_request(newcomer(0), nonce=request.nonce - 1)
    assert village.take(encode(earlier)) == ["other_pending"]
    assert village.take(village.admission(request)) == ["not_for_pools"]


def test_members_and_the_authority_send_their_own(village: Proposed) -> None:
    leave = village.leave(village.signers[3])
    taken = village.take(leave, leave, village.leave(newcomer(0)), village.revocation(village.signers[2]))
    assert taken == ["", "pending", "unknown_submitter", ""]
    forged = village.revocation(village.signers[1], by=village.signers[0])
    assert village.take(forged) == ["bad_signature"]
    village.lead()
    receipts = village.lead()
    assert [receipt.kind.name for receipt in receipts] == ["REVOCATION", "LEAVE"]
    assert village.take(leave, village.revocation(village.signers[2])) == ["answered", "answered"]


def test_one_member_can_t_fill_the_pool(village: Proposed) -> None:
    each = [village.chain(village.signers[0], b"t" * 32) for _ in range(5)]
    assert village.take(*each) == [""] * 4 + ["submitter_full"]
    assert village.take(village.leave(village.signers[1])) == [""]


def test_a_full_pool_makes_room_by_the_oldest_that_nothing_decided(
    village: Proposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_pool, "REQUESTS_MAX", 2)
    first, second, third, fourth, fifth = (village.join_request(newcomer(number)) for number in range(5))
    pool = village.ledger.pool.memberships
    # Sealed so that each verifier finds something else: all have spoken, and nothing is ever decided.
    codes = [VerdictCode.GARBAGE, VerdictCode.SEAL_UNOPENED, VerdictCode.EXPIRED, VerdictCode.PATH]
    village.take(encode(first), *(village.verdict(who, first, code) for who, code in enumerate(codes)))
    village.take(encode(second))
    assert village.take(encode(third)) == [""]
    assert [request for _, request in pool.requests()] == [second, third]
    # One verifier's word may be a bad one's on requests of its own: it keeps nobody else out.
    village.take(village.verdict(0, second))
    assert village.take(encode(fourth)) == [""]
    assert [request for _, request in pool.requests()] == [third, fourth]
    for request in (third, fourth):
        village.take(*(village.verdict(who, request) for who in range(3)))
    assert village.take(encode(fifth)) == ["pool_full"]
    village.lead()
    assert len(village.lead()) == 2
    assert village.take(encode(fifth)) == [""]


def test_a_device_s_later_request_takes_the_place_of_one_that_nothing_decided(
    village: Proposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was handed the first may have passed on no seal; it must not be in the way for a day."""
    monkeypatch.setattr(membership_pool, "REQUESTS_MAX", 2)
    first, other = village.join_request(newcomer(0)), village.join_request(newcomer(1))
    second, third = village.join_request(newcomer(0)), village.join_request(newcomer(0))
    pool = village.ledger.pool.memberships
    village.take(encode(first), village.verdict(0, first), encode(other))
    assert village.take(encode(second)) == [""]
    assert [request for _, request in pool.requests()] == [other, second]
    # Sent again by somebody who kept it.
    assert village.take(encode(first), village.verdict(1, first)) == ["other_pending", "unknown_request"]
    village.take(*(village.verdict(who, second) for who in range(3)))
    assert village.take(encode(third)) == ["other_pending"]
    village.lead()
    (receipt,) = village.lead()
    assert receipt.accepted


def test_requests_in_a_newcomer_s_name_do_not_delay_it(village: Proposed) -> None:
    """Anybody may ask in its name with a key of his own; verifiers refuse, and that keeps nobody waiting."""
    honest = newcomer(0)
    forged = [
        village.join_request(with_new_key(honest, number), meter=b"%032d" % number) for number in range(20)
    ]
    for request in forged:
        village.take(encode(request))
        village.take(*(village.verdict(who, request, VerdictCode.MISMATCH) for who in range(2)))
    genuine = village.join_request(honest)
    village.take(encode(genuine), *(village.verdict(who, genuine) for who in range(3)))
    village.to_verification()
    committee, period = village.ledger.verification_committee(), village.ledger.period
    pool = village.ledger.pool.memberships
    # Who is admitted comes first, even where there is room for no more.
    (only,) = pool.select(period, len(village.admission(genuine)) + 5, committee)
    assert only == village.admission(genuine)
    receipts = village.lead()
    assert [receipt.accepted for receipt in receipts] == [True] + [False] * 20
    assert village.key_of(honest) is not None
    assert len(pool) == 0


def test_at_most_one_about_each_in_a_block(village: Proposed) -> None:
    """The second might not be valid after the first."""
    who, request = village.signers[3], None
    request = village.renewal(with_new_key(who))
    village.take(encode(request), *(village.verdict(number, request) for number in range(3)))
    village.take(village.leave(who), village.revocation(who), village.volunteer(who))
    for _ in range(12):
        village.lead()
    assert not village.ledger.has_pending(1)
    assert village.key_of(who) is None


def test_what_a_departure_makes_invalid_is_forgotten(village: Proposed) -> None:
    who = village.signers[3]
    village.take(village.chain(who, own_chain(who).tip), village.reading(3, export_wh=5))
    assert len(village.ledger.pool.memberships) == 1
    village.one(submitted(village, proof(village, 3), by=0))
    assert len(village.ledger.pool.memberships) == 0
    assert len(village.ledger.pool) == 0


def test_requests_to_a_committee_that_serves_no_more_are_forgotten(village: Proposed) -> None:
    request = village.join_request(newcomer(0))
    village.take(encode(request))
    village.one(submitted(village, proof(village, 3), by=0))
    village.block()
    village.block()
    assert len(village.ledger.pool.memberships) == 0
    assert village.ledger.verification_committee().members == tuple(sorted(village.ids[:3]))


def test_what_has_expired_is_forgotten(village: Proposed) -> None:
    request = village.join_request(newcomer(0), expires_period=village.ledger.period)
    village.take(encode(request))
    assert len(village.ledger.pool.memberships) == 1
    village.next_period()
    assert len(village.ledger.pool.memberships) == 0


def test_where_nobody_verifies_nothing_waits_for_it() -> None:
    village = Proposed(member={"verifier": False})
    assert village.take(village.leave(village.signers[0])) == ["no_verifiers"]
    assert not village.ledger.has_pending(1)


def test_verification_waits_until_a_committee_serves() -> None:
    village = Proposed(rules={"lag_blocks": 4})
    village.verify()
    height = village.ledger.height
    village.take(village.leave(village.signers[3]))
    while village.stage is Stage.VALIDATION:
        assert village.ledger.has_pending(1)
        village.lead()
    assert village.ledger.height + 1 == height + 4
    (receipt,) = village.lead()
    assert receipt.accepted


def test_a_block_too_small_for_all_takes_some(village: Proposed) -> None:
    village.take(village.leave(village.signers[3]), village.leave(village.signers[2]))
    village.to_verification()
    pool, committee = village.ledger.pool.memberships, village.ledger.verification_committee()
    assert len(pool.select(village.ledger.period, 1 << 20, committee)) == 2
    assert len(pool.select(village.ledger.period, 150, committee)) == 1
    assert pool.select(village.ledger.period, 50, committee) == ()


def test_signatures_are_those_of_who_must_sign(village: Proposed) -> None:
    request = village.join_request(newcomer(0))
    village.take(encode(request))
    pool = village.ledger.pool
    for transaction, key in (
        (encode(request), newcomer(0).public_key),
        (village.verdict(1, request), village.signers[1].public_key),
        (village.leave(village.signers[2]), village.signers[2].public_key),
        (village.revocation(village.signers[2]), village.authority.public_key),
    ):
        ((found, signed, signature),) = pool.signature_items(transaction)
        assert found == key
        assert village.checker.check(found, signed, signature)
    assert pool.signature_items(village.leave(newcomer(5))) == []
    assert pool.signature_items(village.admission(request)) == []
