"""What is no ledger of this community at all, and so can't be audited.

Lives here: telling a wrong or cut file from a damaged ledger. Never here: findings in a ledger. A file
that is refused here is the user's mistake, or half a copy; anything else that is wrong is a finding.
"""

import sqlite3
from pathlib import Path

from p2penergy.audit.findings import AuditError
from p2penergy.audit.tables import opened
from p2penergy.store.schema import READ_ERRORS, about_rows

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100


def refuse_unusable(path: Path, chain_id: bytes) -> None:
    """Return when `path` can be audited against the genesis of `chain_id`.

    Raises:
        AuditError: it is no SQLite file, it is cut short, it is something else's, or another chain's.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise AuditError(f"{path} is no ledger: it does not begin as an SQLite file does.")
    page_bytes = int.from_bytes(header[16:18], "big")
    whole_bytes = (page_bytes if page_bytes > 1 else 65536) * int.from_bytes(header[28:32], "big")
    size_bytes = path.stat().st_size
    # SQLite trusts the count of pages only when these two counters agree.
    if size_bytes < whole_bytes and header[24:28] == header[92:96]:
        raise AuditError(
            f"{path} is cut short: it has {size_bytes} of its {whole_bytes} bytes. Copy it again while its "
            "node is stopped, together with the files beside it."
        )
    try:
        with opened(path) as tables:
            stored: dict[str, str] = dict(tables.rows("SELECT name, value FROM about"))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise AuditError(f"{path} is no ledger: it is an SQLite file of something else.") from error
        return
    except READ_ERRORS:
        return
    _refuse_foreign(path, stored, chain_id)


def _refuse_foreign(path: Path, stored: dict[str, str], chain_id: bytes) -> None:
    named, slot = stored.get("chain_id", ""), stored.get("amnesia_slot")
    if named == chain_id.hex():
        return
    try:
        whole = about_rows(bytes.fromhex(named), None if slot is None else int(slot))
    except ValueError:
        return
    # With its checksum right it is another chain's; otherwise the name itself is damaged, a finding.
    if stored == whole:
        raise AuditError(
            f"{path} is the ledger of another chain: it belongs to {named[:16]}…, the genesis beside it is "
            f"{chain_id.hex()[:16]}…."
        )
