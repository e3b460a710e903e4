"""The conflict rule: what accuses a member, and all that must not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from p2penergy.conflicts import conflict
from p2penergy.messages import SignedStatement, VoteKind

SIGNER = b"s" * 20
VOTE = SignedStatement(VoteKind.PREPARE, 5, 7, b"a" * 32, None, None, b"\1" * 64)
CHANGE = SignedStatement(VoteKind.VIEW_CHANGE, 5, 7, None, 6, b"a" * 32, b"\1" * 64)


@pytest.mark.parametrize("kind", [VoteKind.PRE_PREPARE, VoteKind.PREPARE, VoteKind.COMMIT])
def test_two_digests_in_one_view_conflict(kind: VoteKind) -> None:
    one = replace(VOTE, kind=kind)
    assert conflict(SIGNER, one, replace(one, digest=b"b" * 32))


@pytest.mark.parametrize(
    "other", [{"prepared_digest": b"b" * 32}, {"prepared_view": 5}, {"prepared_view": None}]
)
def test_two_claims_in_one_view_change_conflict(other: dict[str, Any]) -> None:
    assert conflict(SIGNER, CHANGE, replace(CHANGE, **other))


@pytest.mark.parametrize("other", [{"kind": VoteKind.COMMIT}, {"height": 6}, {"view": 8}])
def test_statements_about_different_things_do_not(other: dict[str, Any]) -> None:
    assert not conflict(SIGNER, VOTE, replace(VOTE, digest=b"b" * 32, **other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (VOTE, {"signature": b"\2" * 64}),
        (VOTE, {"prepared_view": 3}),
        (VOTE, {"prepared_digest": b"b" * 32}),
        (CHANGE, {"digest": bytes(32)}),
        (replace(CHANGE, prepared_view=None, prepared_digest=None), {"prepared_digest": bytes(32)}),
    ],
)
def test_what_the_signature_does_not_cover_accuses_nobody(
    one: SignedStatement, other: dict[str, Any]
) -> None:
    # Otherwise whoever holds one genuine vote could make two of it.
    changed = replace(one, **other)
    assert changed != one
    assert not conflict(SIGNER, one, changed)


STATEMENTS = st.builds(
    SignedStatement,
    kind=st.sampled_from(VoteKind),
    height=st.integers(0, 2),
    view=st.integers(0, 2),
    digest=st.sampled_from([None, bytes(32), b"a" * 32]),
    prepared_view=st.sampled_from([None, 0, 1]),
    prepared_digest=st.sampled_from([None, bytes(32), b"a" * 32]),
    signature=st.just(bytes(64)),
)


@given(STATEMENTS, STATEMENTS)
def test_one_signature_never_makes_a_conflict(one: SignedStatement, other: SignedStatement) -> None:
    same = one.signed_bytes(b"c" * 32, SIGNER) == other.signed_bytes(b"c" * 32, SIGNER)
    assert conflict(SIGNER, one, other) == conflict(SIGNER, other, one)
    assert not (same and conflict(SIGNER, one, other))
