"""The authority's own record of what it issued: plain data, and its JSON form.

What lives here: one immutable record per certificate and the index that holds them. What never
does: files, keys, and personal data: a record names a participant id, never a person. Serves
LEDGER section 2 (one participant per device key, revocation by the authority).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from p2penergy.membership.errors import AuthorityError

RECORDS_MAX = 50_000


class IssuedRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issued certificate. Ids and keys are hex; ``serial`` is the certificate's, in hex."""

    serial: str
    kind: Literal["device", "identity"]
    participant_id: str
    public_key: str
    issued_at: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: str | None = None


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All records in the order of issuing, and the number of the latest revocation list."""

    format: Literal[1] = 1
    revocation_list_number: int = 0
    records: tuple[IssuedRecord, ...] = ()

    @classmethod
    def from_json(cls, text: bytes) -> Index:
        """Strict inverse of :meth:`to_json`; raises AuthorityError."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise AuthorityError(f"The authority's index.json is damaged: {error}.") from None

    def to_json(self) -> bytes:
        """Readable JSON, one key a line."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def with_issued(self, record: IssuedRecord) -> Index:
        """A new index with one more record; raises AuthorityError when full or doubled."""
        if len(self.records) >= RECORDS_MAX:
            raise AuthorityError(f"An authority issues at most {RECORDS_MAX} certificates.")
        if self.find(record.serial) is not None:
            raise AuthorityError(f"The serial number {record.serial} is used already.")
        return msgspec.structs.replace(self, records=(*self.records, record))

    def with_revoked(self, serial: str, at: datetime, reason: str) -> Index:
        """A new index with that record revoked; raises AuthorityError when there is no such."""
        found = self.find(serial)
        if found is None:
            raise AuthorityError(f"No certificate {serial} was issued here; `p2penergy ca list` shows them.")
        if found.revoked_at is not None:
            raise AuthorityError(f"Certificate {serial} was revoked already, on {found.revoked_at:%Y-%m-%d}.")
        revoked = msgspec.structs.replace(found, revoked_at=at, reason=reason)
        return msgspec.structs.replace(
            self,
            revocation_list_number=self.revocation_list_number + 1,
            records=tuple(revoked if record is found else record for record in self.records),
        )

    def find(self, serial: str) -> IssuedRecord | None:
        """The record with that serial number in hex."""
        return next((record for record in self.records if record.serial == serial), None)

    def owner_of(self, public_key: str) -> str | None:
        """The participant id (hex) that this device key (hex) was certified for."""
        for record in self.records:
            if record.kind == "device" and record.public_key == public_key:
                return record.participant_id
        return None

    def knows(self, participant_id: str) -> bool:
        """Whether any device certificate was issued for that participant id (hex)."""
        return any(
            record.kind == "device" and record.participant_id == participant_id for record in self.records
        )
