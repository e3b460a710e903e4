"""The revocation list as a node reads it: a file that may be exchanged while the node runs.

What lives here: noticing another file, and which list counts. What never does: fetching a list, ending
sessions (whoever owns them asks ``changed``). Implements the revocation of LEDGER section 2 for certificates;
members are revoked on the ledger.

Invariants: what was revoked once stays revoked while the node runs, whatever becomes of the file; an older
list never takes the place of a newer one; and a list that the authority did not sign changes nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cryptography import x509

from p2penergy.membership.errors import CertificateRefused, KeyFileError
from p2penergy.membership.issuing import REVOCATION_LIST_BYTES_MAX, RevocationEntries, read_revocation_list

log = logging.getLogger(__name__)

_NONE = RevocationEntries(-1, frozenset())


class RevocationFile:
    """A container of revoked serial numbers, as a folder's file has them."""

    def __init__(self, path: Path, authority: x509.Certificate) -> None:
        """Read the file if there is one.

        Raises :class:`CertificateRefused` or :class:`KeyFileError`: a node does not start on a list that it
        can't read.
        """
        self._path = path
        self._authority = authority
        self._entries = _NONE
        self._seen = self._stamp()
        if self._seen is not None:
            self._entries = self._read()

    def __contains__(self, serial: object) -> bool:
        return serial in self._entries.serials

    def __len__(self) -> int:
        return len(self._entries.serials)

    def changed(self) -> bool:
        """Look at the file again; whether there is a newer list than before.

        Costs one look at the folder while nothing changes. A file that can't be used is logged once.
        """
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return False
        self._seen = stamp
        try:
            found = self._read()
        except (CertificateRefused, KeyFileError) as error:
            log.warning("revocation list refused", extra={"file": str(self._path), "reason": str(error)})
            return False
        if found.number <= self._entries.number:
            reason = f"it has number {found.number}, the one in force {self._entries.number}"
            log.warning("revocation list refused", extra={"file": str(self._path), "reason": reason})
            return False
        self._entries = found
        log.info("revocation list read", extra={"number": found.number, "revoked": len(found.serials)})
        return True

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> RevocationEntries:
        try:
            with self._path.open("rb") as file:
                pem = file.read(REVOCATION_LIST_BYTES_MAX + 1)
        except OSError as error:
            raise KeyFileError(f"{self._path} can't be read: {error.strerror}.") from None
        return read_revocation_list(pem, self._authority)
