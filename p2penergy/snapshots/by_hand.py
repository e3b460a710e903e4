"""A snapshot made and examined by hand, beside a node that runs or not.

Lives here: reading the ledger's file at one moment, and holding a snapshot's file against all that it must
lead to. Never here: when a node makes one by itself (`serving`). Owns the invariant that nothing is written
that does not lead to the state root of the block it names. Implements the snapshots of CONSENSUS section 7.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p2penergy import home as homes
from p2penergy.ledger import Ledger
from p2penergy.ledger.snapshot import WrongPartError, read_part
from p2penergy.messages import SNAPSHOT_PARTS, MalformedMessageError, decode_block
from p2penergy.signing import EcdsaChecker
from p2penergy.snapshots.fetching import opens
from p2penergy.snapshots.files import Held, SnapshotError, SnapshotFolder, files_in, read_file, write_file
from p2penergy.store import StoreError
from p2penergy.store.reader import Reader
from p2penergy.store.schema import READ_ERRORS


@dataclass(frozen=True, slots=True)
class Examined:
    """One file of the folder."""

    path: Path
    held: Held | None
    fault: str
    """Why it is no use, in one sentence; empty when all of it leads to its block."""


def make(home: Path) -> Held:
    """Write the state after the last decided block; a running node tells of it from its next start on.

    The oldest goes where there are more than the two that are kept.

    Raises:
        SnapshotError: nothing is decided yet, the ledger is damaged or can't be read, or the disk refuses.
        HomeError: genesis can't be read.
    """
    genesis = homes.read_genesis(home / homes.GENESIS_FILE)
    with _reading(home) as reader:
        found = reader.whole()
    if found is None:
        raise SnapshotError(f"nothing is decided in {home} yet: there is no state but that of genesis")
    height, block, items = found
    try:
        ledger = Ledger.restore(genesis, EcdsaChecker(), height, items)
        is_named = ledger.state_root == decode_block(block).header.state_root
    except (MalformedMessageError, ValueError, TypeError):
        is_named = False
    if not is_named:
        raise SnapshotError(
            f"the state at height {height} is not the one that its block names: run `p2penergy audit {home}`"
        )
    folder = SnapshotFolder(home / homes.SNAPSHOTS_FOLDER, genesis.chain_id)
    held = write_file(folder.path, genesis.chain_id, block, ledger.snapshot())
    folder.add(held)
    return held


def examine(home: Path, whole: bool) -> list[Examined]:
    """The files of a home, oldest first; `whole`: every part of each, and its block against the ledger.

    Raises:
        SnapshotError: the ledger can't be read.
        HomeError: genesis can't be read.
    """
    chain_id = homes.read_genesis(home / homes.GENESIS_FILE).chain_id
    found = []
    for path in files_in(home / homes.SNAPSHOTS_FOLDER):
        try:
            held = read_file(path, chain_id)
        except SnapshotError as error:
            found.append(Examined(path, None, str(error)))
        else:
            found.append(Examined(path, held, _fault(home, held) if whole else ""))
    return found


def _fault(home: Path, held: Held) -> str:
    with _reading(home) as reader:
        decided = reader.block(held.height)
    if decided is None:
        return f"the ledger holds no block {held.height} to hold it against"
    if not opens(held.opening, decode_block(decided[0]).header):
        return f"it does not lead to block {held.height} of the ledger"
    try:
        # One after the other: a whole state need not fit the memory twice.
        for number in range(SNAPSHOT_PARTS):
            (part,) = held.read(number, 1, 0)
            read_part(number, part, held.opening.part_roots)
    except (SnapshotError, WrongPartError) as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _reading(home: Path) -> Iterator[Reader]:
    ledger = home / homes.LEDGER_FILE
    if not ledger.is_file():
        raise SnapshotError(f"there is no ledger at {ledger}")
    reader = Reader(ledger)
    try:
        yield reader
    except (StoreError, *READ_ERRORS) as error:
        raise SnapshotError(f"{ledger} can't be read: {error}") from None
    finally:
        reader.close()
