"""The record of what was issued: strict JSON, and no serial twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from p2penergy.membership import authority_index
from p2penergy.membership.authority_index import Index, IssuedRecord
from p2penergy.membership.errors import AuthorityError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def record(serial: str, key: str = "02aa") -> IssuedRecord:
    return IssuedRecord(
        serial=serial,
        kind="device",
        participant_id=f"id of {key}",
        public_key=key,
        issued_at=NOW,
        not_after=NOW,
    )


FULL = Index().with_issued(record("1")).with_issued(record("2", "02bb")).with_revoked("1", NOW, "superseded")


def test_comes_back_from_json() -> None:
    assert Index.from_json(FULL.to_json()) == FULL


def test_answers_from_its_records() -> None:
    assert FULL.revocation_list_number == 1
    assert FULL.owner_of("02bb") == "id of 02bb"
    assert FULL.owner_of("02cc") is None
    assert FULL.knows("id of 02aa")
    assert not FULL.knows("id of 02cc")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"format": 2}', b'{"unknown": 1}', b'{"records": [{"serial": 1}]}', b"\xff"]
)
def test_damaged_json_is_refused(text: bytes) -> None:
    with pytest.raises(AuthorityError, match="damaged"):
        Index.from_json(text)


def test_a_serial_is_used_once() -> None:
    with pytest.raises(AuthorityError, match="used already"):
        FULL.with_issued(record("1"))


def test_a_certificate_is_revoked_once_and_only_if_issued() -> None:
    with pytest.raises(AuthorityError, match="revoked already"):
        FULL.with_revoked("1", NOW, "unspecified")
    with pytest.raises(AuthorityError, match="No certificate 9"):
        FULL.with_revoked("9", NOW, "unspecified")


def test_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority_index, "RECORDS_MAX", 2)
    with pytest.raises(AuthorityError, match="at most 2"):
        FULL.with_issued(record("3"))
