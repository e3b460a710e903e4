"""What an audit finds and reports.

Lives here: the values of a report. Never here: looking for anything.
"""

from dataclasses import dataclass, field
from pathlib import Path

FINDINGS_MAX = 100
"""Findings kept of one ledger; a damaged beginning makes thousands of them."""


class AuditError(Exception):
    """There is nothing here that could be audited; the sentence says what is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as genesis and the rules make it."""

    table: str
    """Table of the ledger's file; `file` for the file itself, `chain` for what several ledgers say."""
    row: str
    what: str

    def __str__(self) -> str:
        return f"table {self.table}, {self.row}: {self.what}"


@dataclass(slots=True)
class LedgerReport:
    """One ledger, and how far it could be checked."""

    home: Path
    base_height: int = 0
    """Of the snapshot that it begins with, 0: genesis. Nothing before that can be audited here."""
    founders_changed: int = 0
    """Members of genesis that by the snapshot's own word had another key by then, or had gone."""
    height: int = 0
    """Of its last decided block."""
    checked_height: int = 0
    """Of the last block that was executed again; below `height` where a block can't be."""
    transactions: int = 0
    accepted: int = 0
    energy_wh: int = 0
    """Traded between neighbours."""
    amount_nano: int = 0
    """Paid between neighbours."""
    votes: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_dropped: int = 0
    digests: list[bytes] = field(default_factory=list)
    """Of the decided blocks, from height 1 on, or from the snapshot's."""

    @property
    def digest_at(self) -> dict[int, bytes]:
        """Height -> digest of every block that was checked."""
        return dict(enumerate(self.digests, start=max(1, self.base_height)))

    def add(self, table: str, row: str, what: str) -> None:
        """Note a finding; beyond a limit they are only counted."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(table, row, what))
        else:
            self.findings_dropped += 1


@dataclass(slots=True)
class AuditReport:
    """All ledgers of a folder."""

    ledgers: list[LedgerReport]
    findings: list[Finding] = field(default_factory=list)
    """What the ledgers say against each other."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found at all."""
        return not self.findings and not any(ledger.findings for ledger in self.ledgers)
