"""Auditing a kept ledger from genesis: every byte of it is computed again and compared.

`audit(folder)` answers with an `AuditReport`; the command line is `p2penergy audit`. Reads files only, needs
no key and no network. Headers, leaders, committees and balances are computed here anew from the
specification (CONSENSUS sections 1, 2, 3 and 9; LEDGER section 4), apart from the node's own code;
transactions are executed by the ledger itself.
"""

from p2penergy.audit.findings import AuditError, AuditReport, Finding, LedgerReport
from p2penergy.audit.run import audit

__all__ = ["AuditError", "AuditReport", "Finding", "LedgerReport", "audit"]
