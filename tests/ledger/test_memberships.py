"""The shapes of membership: what is signed, and that every reason has words."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from village import QuickSigner

from p2penergy.digests import TAG_TRANSACTION, TAG_VERDICT
from p2penergy.ledger import (
    Admission,
    JoinRequest,
    Leave,
    RegisterChain,
    Renewal,
    Revocation,
    Verdict,
    VerdictCode,
    Volunteer,
    keys,
    parse,
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
from p2penergy.ledger.memberships import (
    MEMBERSHIP_KINDS,
    request_bytes,
    verdict_bytes,
)
from p2penergy.ledger.transactions import (
    answer_key,
    concerned,
    first_period,
    last_period,
    period_of,
    signed_bytes,
    submitter_of,
    transaction_id,
)
from p2penergy.messages import MalformedMessageError, encode

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


# ---- any content ---------------------------------------------------------------------------------

ids, digests = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
public_keys, signatures = st.binary(min_size=33, max_size=33), st.binary(min_size=64, max_size=64)
counts, periods = st.integers(0, 2**63 - 1), st.integers(0, 2**40)
figures = st.integers(0, 10**8)
verdicts = st.sampled_from(VerdictCode)
ends = (counts, periods, signatures)
joins = st.builds(JoinRequest, ids, public_keys, digests, figures, figures, digests, digests, *ends)
renewals = st.builds(Renewal, ids, public_keys, digests, digests, digests, *ends)
votes = st.lists(st.tuples(ids, signatures), max_size=3).map(tuple)
admissions = st.builds(Admission, joins | renewals, verdicts, votes)
any_membership = st.one_of(
    joins,
    renewals,
    admissions,
    st.builds(Verdict, ids, digests, digests, verdicts, signatures),
    st.builds(Leave, ids, *ends),
    st.builds(Revocation, ids, public_keys, signatures),
    st.builds(Volunteer, ids, st.booleans(), st.booleans(), st.none() | digests, *ends),
    st.builds(RegisterChain, ids, digests, *ends),
)


@given(any_membership)
def test_one_encoding_back_and_forth(transaction: Any) -> None:
    submitted = parse(encode(transaction), CHAIN)
    assert submitted.transaction == transaction
    assert submitted.signed == signed_bytes(transaction, CHAIN)
    assert submitted.transaction_id == transaction_id(transaction, CHAIN)
    assert submitted.signed != signed_bytes(transaction, OTHER_CHAIN)


@given(any_membership, st.data())
def test_other_bytes_are_another_transaction_or_none(transaction: Any, data: st.DataObject) -> None:
    raw = encode(transaction)
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    try:
        other = parse(changed, CHAIN).transaction
    except MalformedMessageError:
        return
    assert other != transaction
    assert encode(other) == changed


@given(any_membership)
def test_each_is_answered_under_a_key_and_concerns_somebody(transaction: Any) -> None:
    assert concerned(transaction) == (submitter_of(transaction),)
    assert period_of(transaction) == first_period(transaction) == 0
    if isinstance(transaction, Verdict):
        with pytest.raises(TypeError):
            answer_key(transaction)
    else:
        assert keys.parse_text(keys.text(answer_key(transaction))) == answer_key(transaction)


@given(admissions)
def test_an_admission_answers_its_request(admission: Admission) -> None:
    assert answer_key(admission) == answer_key(admission.request)
    assert transaction_id(admission, CHAIN) == request_digest(admission.request, CHAIN)
    assert last_period(admission, 5) == admission.request.expires_period
