"""The shapes of membership: what is signed, and that every reason has words."""

from typing import Any

import msgspec
import pytest
from village import QuickSigner

from p2penergy.digests import TAG_TRANSACTION, TAG_VERDICT
from p2penergy.ledger import (
    Admission,
    JoinRequest,
    Verdict,
    VerdictCode,
    request_digest,
    sign_chain,
    sign_join,
    sign_leave,
    sign_renewal,
    sign_revocation,
    sign_verdict,
    sign_volunteer,
    verdict_words,
)
from p2penergy.ledger.memberships import MEMBERSHIP_KINDS, request_bytes, verdict_bytes
from p2penergy.messages import encode

CHAIN, OTHER_CHAIN = bytes(32), b"\1" * 32
NEWCOMER, VERIFIER = QuickSigner(70), QuickSigner(1)


def a_join(**changes: Any) -> JoinRequest:
    values: dict[str, Any] = {
        "public_key": NEWCOMER.public_key,
        "meter_pseudonym": b"m" * 32,
        "rated_w": 10_000,
        "cluster": 3,
        "sealed_digest": b"s" * 32,
        "committee_root": b"c" * 32,
        "nonce": 1,
        "expires_period": 100,
    }
    return sign_join(NEWCOMER, CHAIN, **(values | changes))


def test_what_is_signed_begins_with_tag_kind_and_chain_and_covers_all_but_the_signature() -> None:
    signed = request_bytes(a_join(), CHAIN)
    assert signed.startswith(TAG_TRANSACTION + bytes([32]) + CHAIN)
    assert TAG_TRANSACTION + bytes([32]) + CHAIN + encode(a_join())[:-66] == signed
    for changes in (
        {"rated_w": 1},
        {"cluster": 4},
        {"nonce": 2},
        {"expires_period": 101},
        {"sealed_digest": bytes(32)},
        {"committee_root": bytes(32)},
        {"meter_pseudonym": bytes(32)},
        {"public_key": b"\3" * 33},
    ):
        assert request_digest(a_join(**changes), CHAIN) != request_digest(a_join(), CHAIN)
    assert request_digest(a_join(), OTHER_CHAIN) != request_digest(a_join(), CHAIN)


def test_the_id_of_a_request_does_not_cover_its_signature() -> None:
    other = msgspec.structs.replace(a_join(), signature=b"x" * 64)
    assert request_digest(other, CHAIN) == request_digest(a_join(), CHAIN)


def test_a_join_and_a_renewal_never_have_one_digest() -> None:
    shared: dict[str, Any] = {
        "public_key": NEWCOMER.public_key,
        "meter_pseudonym": b"m" * 32,
        "sealed_digest": b"s" * 32,
        "committee_root": b"c" * 32,
        "nonce": 1,
        "expires_period": 100,
    }
    renewal = sign_renewal(NEWCOMER, CHAIN, **shared)
    assert request_digest(renewal, CHAIN) != request_digest(a_join(), CHAIN)


def test_a_verdict_names_verifier_request_committee_and_code() -> None:
    request = a_join()
    verdict = sign_verdict(VERIFIER, CHAIN, request, VerdictCode.REVOKED)
    digest, root = request_digest(request, CHAIN), request.committee_root
    assert verdict == Verdict(
        VERIFIER.participant_id,
        digest,
        root,
        VerdictCode.REVOKED,
        VERIFIER.sign(verdict_bytes(CHAIN, VERIFIER.participant_id, digest, root, VerdictCode.REVOKED)),
    )
    signed = {
        verdict_bytes(CHAIN, VERIFIER.participant_id, digest, root, VerdictCode.REVOKED),
        verdict_bytes(OTHER_CHAIN, VERIFIER.participant_id, digest, root, VerdictCode.REVOKED),
        verdict_bytes(CHAIN, NEWCOMER.participant_id, digest, root, VerdictCode.REVOKED),
        verdict_bytes(CHAIN, VERIFIER.participant_id, b"d" * 32, root, VerdictCode.REVOKED),
        verdict_bytes(CHAIN, VERIFIER.participant_id, digest, b"d" * 32, VerdictCode.REVOKED),
        verdict_bytes(CHAIN, VERIFIER.participant_id, digest, root, VerdictCode.ACCEPT),
    }
    assert len(signed) == 6
    assert all(each.startswith(TAG_VERDICT) for each in signed)


@pytest.mark.parametrize(
    ("order", "ordered"), [((1, 2, 3), True), ((), True), ((1, 1), False), ((2, 1), False)]
)
def test_votes_have_one_order(order: tuple[int, ...], ordered: bool) -> None:
    votes = tuple((bytes([number]) * 20, bytes(64)) for number in order)
    assert Admission(a_join(), VerdictCode.ACCEPT, votes).is_ordered() is ordered


def test_every_finding_has_words_of_its_own() -> None:
    assert len({verdict_words(code) for code in VerdictCode}) == len(VerdictCode)


def test_kinds_are_those_of_the_verification_stage() -> None:
    assert sorted(kind[0] for kind in MEMBERSHIP_KINDS.values()) == list(range(32, 40))


def test_own_transactions_are_signed_by_whom_they_name() -> None:
    roles: dict[str, Any] = {"validator": True, "verifier": False, "beacon_tip": None}
    for signed in (
        sign_leave(NEWCOMER, CHAIN, 1, 5),
        sign_volunteer(NEWCOMER, CHAIN, nonce=1, expires_period=5, **roles),
        sign_chain(NEWCOMER, CHAIN, b"t" * 32, 1, 5),
    ):
        assert signed.submitter == NEWCOMER.participant_id
        kind = MEMBERSHIP_KINDS[type(signed)]
        assert signed.signature == NEWCOMER.sign(TAG_TRANSACTION + kind + CHAIN + encode(signed)[:-66])


def test_a_revocation_is_signed_by_whoever_holds_the_authority_s_key() -> None:
    revocation = sign_revocation(VERIFIER, CHAIN, NEWCOMER.participant_id, NEWCOMER.public_key)
    assert (revocation.participant_id, revocation.public_key) == (
        NEWCOMER.participant_id,
        NEWCOMER.public_key,
    )
    assert revocation.signature == VERIFIER.sign(
        TAG_TRANSACTION + bytes([37]) + CHAIN + encode(revocation)[:-66]
    )
