"""A ledger as one portable file: the chain and its state, without anything that the node itself signed.

Lives here: writing such a file beside a running node, and taking it in after a full audit. Never here: the
checks (`p2penergy.audit`). Owns the invariant that a node that takes a ledger in does not vote from it: what
it signed before is not in the file, so the present slot is noted as at `start --votes-lost`
(CONSENSUS section 6).
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p2penergy.audit import AuditError, LedgerReport, audit
from p2penergy.audit.run import Progress
from p2penergy.coordinator import wall_clock_ms
from p2penergy.genesis import Genesis
from p2penergy.home import GENESIS_FILE, LEDGER_FILE, read_genesis
from p2penergy.store import StoreError
from p2penergy.store.lock import FileLock
from p2penergy.store.schema import READ_ERRORS, about_rows, connect_reader

OWN_TABLES = ("votes", "views", "prepared")
"""What only the node that wrote it may act upon."""
_UNDECIDED = "DELETE FROM blocks WHERE id NOT IN (SELECT block_id FROM decisions)"


class PortableError(Exception):
    """The file can't be made or taken in; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was written or taken in."""

    height: int
    size_bytes: int


def present_slot(genesis: Genesis) -> int:
    """The slot of this moment."""
    rules = genesis.consensus
    return max(0, wall_clock_ms() - rules.t0_ms) // rules.alpha_ms


def export(home: Path, out: Path) -> Copied:
    """Write the ledger of a home, whose node may run, into the new file `out`.

    Raises:
        PortableError: `out` is there already, or a file can't be read or written.
        HomeError: genesis can't be read.
    """
    chain_id = read_genesis(home / GENESIS_FILE).chain_id
    ledger = home / LEDGER_FILE
    if not ledger.is_file():
        raise PortableError(f"there is no ledger at {ledger}")
    if out.exists():
        raise PortableError(f"{out} exists already and is not overwritten")
    draft = out.with_name(f".{out.name}.part")
    try:
        draft.unlink(missing_ok=True)
        # In one step, so that the copy is one moment's; a node that runs goes on meanwhile.
        with contextlib.closing(connect_reader(ledger)) as source, _alone(draft) as copy:
            source.backup(copy)
            height = _reduce(copy, chain_id, None)
        _make_durable(draft)
        draft.rename(out)
    except READ_ERRORS as error:
        raise PortableError(f"{ledger} can't be copied: {error}") from error
    except OSError as error:
        raise PortableError(f"{out} can't be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return Copied(height, out.stat().st_size)


def import_into(
    home: Path, file: Path, progress: Progress = lambda _home, _done, _total: None
) -> LedgerReport:
    """Check every byte of `file` from genesis; only when all is right it becomes the ledger of `home`.

    Raises:
        PortableError: the home has a ledger, the file is none of this chain, or a finding of the audit.
        HomeError: genesis can't be read.
    """
    genesis = read_genesis(home / GENESIS_FILE)
    ledger = home / LEDGER_FILE
    try:
        lock = FileLock(ledger.with_name(ledger.name + ".lock"))
    except StoreError as error:
        raise PortableError(str(error)) from None
    try:
        if ledger.exists():
            raise PortableError(
                f"{ledger} is there already: run `p2penergy reset --home {home}` first, or keep it elsewhere"
            )
        with tempfile.TemporaryDirectory(prefix=".import-", dir=home) as name:
            return _taken_in(genesis, home, file, Path(name), progress)
    except READ_ERRORS as error:
        raise PortableError(f"{file} is no ledger: {error}") from None
    except OSError as error:
        raise PortableError(f"{error.filename or file} can't be used: {error.strerror}") from error
    finally:
        lock.release()


def _taken_in(genesis: Genesis, home: Path, file: Path, draft: Path, progress: Progress) -> LedgerReport:
    copy = draft / LEDGER_FILE
    shutil.copyfile(file, copy)
    shutil.copyfile(home / GENESIS_FILE, draft / GENESIS_FILE)
    try:
        report = audit(draft, progress)
    except AuditError as error:
        raise PortableError(str(error)) from None
    if not report.is_clean:
        findings = [*report.findings, *(f for ledger in report.ledgers for f in ledger.findings)]
        raise PortableError(f"{file} was not taken in: {findings[0]} ({len(findings)} findings in all)")
    with _alone(copy) as connection:
        _reduce(connection, genesis.chain_id, present_slot(genesis))
    _make_durable(copy)
    copy.rename(home / LEDGER_FILE)
    _make_durable(home)
    return report.ledgers[0]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def _reduce(connection: sqlite3.Connection, chain_id: bytes, amnesia_slot: int | None) -> int:
    """Leave the decided chain only, in one file without a log; its height."""
    connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    connection.execute("BEGIN")
    for table in OWN_TABLES:
        connection.execute(f"DELETE FROM {table}")
    connection.execute(_UNDECIDED)
    connection.execute("DELETE FROM about")
    connection.executemany(
        "INSERT INTO about VALUES (?, ?)", sorted(about_rows(chain_id, amnesia_slot).items())
    )
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    return int(connection.execute("SELECT coalesce(max(height), 0) FROM decisions").fetchone()[0])


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ledger_files(home: Path) -> list[Path]:
    """The ledger of a home and the logs beside it, as far as they exist."""
    names = (LEDGER_FILE, f"{LEDGER_FILE}-wal", f"{LEDGER_FILE}-shm")
    return [path for name in names if (path := home / name).exists()]


def remove_ledger(home: Path) -> None:
    """Remove the ledger; what the node signed is gone with it.

    Raises:
        PortableError: its node runs, or a file can't be removed.
    """
    try:
        lock = FileLock(home / f"{LEDGER_FILE}.lock")
        try:
            for path in ledger_files(home):
                path.unlink()
            _make_durable(home)
        finally:
            lock.release()
    except StoreError as error:
        raise PortableError(str(error)) from None
    except OSError as error:
        raise PortableError(f"{error.filename or home} can't be removed: {error.strerror}") from None
