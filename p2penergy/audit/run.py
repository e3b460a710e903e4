"""From a folder to a report: which ledgers there are, each one audited, then all against each other.

Lives here: the order of the checks. Never here: a check. Implements `p2penergy audit`.
"""

from collections.abc import Callable
from pathlib import Path

from p2penergy.audit.beginning import UnsoundError, base_of
from p2penergy.audit.findings import AuditError, AuditReport, Finding, LedgerReport
from p2penergy.audit.own_votes import OwnVotes
from p2penergy.audit.tables import (
    Tables,
    check_checksums,
    check_committees,
    check_heights,
    check_log,
    check_structure,
    opened,
)
from p2penergy.audit.usable import refuse_unusable
from p2penergy.audit.walk import Walk
from p2penergy.genesis import Genesis
from p2penergy.home import GENESIS_FILE, HomeError, read_genesis
from p2penergy.signing import EcdsaChecker, SignatureChecker
from p2penergy.store import FILE_NAME, StoreError
from p2penergy.store.lock import FileLock
from p2penergy.store.schema import READ_ERRORS

Progress = Callable[[Path, int, int], None]
"""(home, blocks done, blocks in all)"""


def audit(folder: Path, progress: Progress = lambda _home, _done, _total: None) -> AuditReport:
    """Check every ledger of a folder from genesis; the nodes that own them must not run.

    Args:
        folder: a home with `genesis.json` and `ledger.sqlite3`, or a folder of such homes.
        progress: told after every block.

    Raises:
        AuditError: there is no ledger, its genesis can't be read, or its node runs.
    """
    # One cache for all: the ledgers of one community hold the same signatures.
    checker = EcdsaChecker()
    report = AuditReport([_audit_home(home, checker, progress) for home in homes_in(folder)])
    report.findings.extend(_contradictions(report.ledgers))
    return report


def homes_in(folder: Path) -> list[Path]:
    """The folder itself if it holds a ledger, else those of its subfolders that do.

    Raises:
        AuditError: neither.
    """
    if _is_home(folder):
        return [folder]
    homes = sorted(each for each in folder.iterdir() if _is_home(each)) if folder.is_dir() else []
    if not homes:
        raise AuditError(
            f"There is no ledger in {folder}: name a folder that holds {GENESIS_FILE} and {FILE_NAME}, "
            "or one whose subfolders do, such as that of `p2penergy demo --keep`."
        )
    return homes


def _is_home(folder: Path) -> bool:
    return (folder / GENESIS_FILE).is_file() and (folder / FILE_NAME).is_file()


def _audit_home(home: Path, checker: SignatureChecker, progress: Progress) -> LedgerReport:
    report = LedgerReport(home)
    path = home / FILE_NAME
    try:
        genesis = read_genesis(home / GENESIS_FILE)
        lock = FileLock(path.with_name(path.name + ".lock"))
    except (HomeError, StoreError) as error:
        raise AuditError(str(error)) from error
    try:
        refuse_unusable(path, genesis.chain_id)
        check_log(path, report)
        with opened(path) as tables:
            _audit_tables(genesis, tables, checker, report, progress)
    except READ_ERRORS as error:
        # Damage in a page's structure: SQLite can't say which row was there.
        report.add("file", path.name, f"SQLite can't read it: {error}")
    finally:
        lock.release()
    return report


def _audit_tables(
    genesis: Genesis, tables: Tables, checker: SignatureChecker, report: LedgerReport, progress: Progress
) -> None:
    check_structure(tables, genesis.chain_id, report)
    check_checksums(tables, report)
    check_committees(tables, report)
    report.base_height = base_of(tables)
    check_heights(tables, report)
    votes = OwnVotes(tables, report)
    votes.check_ids()
    try:
        walk = Walk(genesis, tables, checker, report)
    except UnsoundError:
        return
    walk.run(votes.at, lambda done: progress(report.home, done, report.height))
    books = walk.books
    report.accepted, report.energy_wh, report.amount_nano = books.accepted, books.traded_wh, books.paid_nano
    if report.checked_height < report.height:
        behind = f"blocks {report.checked_height + 1} to {report.height} could not be checked"
        report.add("blocks", f"height {report.checked_height + 1}", behind)


def _contradictions(ledgers: list[LedgerReport]) -> list[Finding]:
    """Where ledgers of one folder decided differently: the first height of each."""
    findings = []
    first = ledgers[0]
    for other in ledgers[1:]:
        theirs = other.digest_at
        for height, one in first.digest_at.items():
            two = theirs.get(height, one)
            if one != two:
                said = f"{first.home.name} decided {one.hex()}, {other.home.name} decided {two.hex()}"
                findings.append(Finding("chain", f"height {height}", said))
                break
    return findings
