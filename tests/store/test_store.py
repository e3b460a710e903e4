"""The ledger's file as a whole: made, opened, refused, locked, damaged, and read by other programs."""

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import CHAIN, HOUSE, OTHER_CHAIN, SampleVersion, decided, signed_at, transaction_id, vote

from p2penergy.store import FILE_NAME, HistoryEntry, Store, StoreError, StoreMissingError
from p2penergy.store.schema import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def filled(path: Path, heights: int = 3) -> None:
    store = Store.create(path, CHAIN)
    for height in range(1, heights + 1):
        store.persist_now([*signed_at(height), decided(height)])
    store.persist_now(signed_at(heights + 1))
    store.close()


def test_a_new_store_holds_nothing_and_opens_again(path: Path) -> None:
    Store.create(path, CHAIN).close()
    store = Store.open(path, CHAIN)
    restored = store.restored()
    assert (restored.tip, restored.view, restored.votes, restored.blocks) == (None, None, (), ())
    assert (restored.prepared, restored.amnesia_slot) == (None, None)
    assert store.tip() == 0
    assert list(store.current_state()) == []
    store.close()


def test_create_never_overwrites_and_leaves_the_lock_free(path: Path) -> None:
    filled(path)
    with pytest.raises(StoreError, match="exists already"):
        Store.create(path, CHAIN)
    store = Store.open(path, CHAIN)
    assert store.tip() == 3
    store.close()


def test_an_interrupted_create_leaves_no_ledger_and_may_be_repeated(path: Path) -> None:
    half = path.with_name(FILE_NAME + ".new")
    half.write_bytes(b"half a page")
    with pytest.raises(StoreMissingError):
        Store.open(path, CHAIN)
    Store.create(path, CHAIN).close()
    assert not half.exists()


def test_a_missing_ledger_is_taken_for_lost_votes(path: Path) -> None:
    with pytest.raises(StoreMissingError, match="p2penergy start --votes-lost"):
        Store.open(path, CHAIN)
    assert not path.exists()


def test_the_slot_of_a_loss_is_remembered_over_restarts(path: Path) -> None:
    Store.create(path, CHAIN, amnesia_slot=77).close()
    store = Store.open(path, CHAIN)
    assert store.restored().amnesia_slot == 77
    store.close()


def test_a_damaged_slot_of_a_loss_is_not_believed(path: Path) -> None:
    Store.create(path, CHAIN, amnesia_slot=77).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE about SET value = '7' WHERE name = 'amnesia_slot'")
    connection.close()
    store = Store.open(path, CHAIN)
    with pytest.raises(StoreError, match="table about"):
        store.restored()
    store.close()


def test_another_chain_and_another_schema_are_refused(path: Path) -> None:
    Store.create(path, CHAIN).close()
    with pytest.raises(StoreError, match=f"belongs to the chain {CHAIN.hex()}"):
        Store.open(path, OTHER_CHAIN)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}"):
        Store.open(path, CHAIN)


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like a page of one " * 20)
    with pytest.raises(StoreError, match=r"can't be opened: file is not a database"):
        Store.open(path, CHAIN)


def test_everything_signed_above_the_tip_comes_back(path: Path) -> None:
    filled(path)
    store = Store.open(path, CHAIN)
    restored = store.restored()
    *_, prepared, _ = signed_at(4)
    assert restored.tip is not None
    assert restored.tip[0].header.height == 3
    assert restored.tip[1].height == 3
    assert restored.view == 7
    assert list(restored.votes) == [each for each in signed_at(4) if isinstance(each, type(vote(1, 1)))]
    assert list(restored.blocks) == [signed_at(4)[3]]
    assert restored.prepared == prepared
    assert restored.proposed_slots == (4, 5, 6), "of heights 1 to 3; that of the tip's block is 3"
    assert store.votes(2) == [each for each in signed_at(2) if isinstance(each, type(vote(1, 1)))]
    store.close()


def test_genesis_values_are_the_first_versions(path: Path) -> None:
    key = b"wallet/" + HOUSE
    store = Store.create(path, CHAIN, genesis_versions=[SampleVersion(key, -1, 2, b"start")])
    assert list(store.current_state()) == [(key, b"start")]
    store.persist_now([decided(1, (SampleVersion(key, 1, 2, b"later"),))])
    assert store.history(key) == [
        HistoryEntry(0, -1, 2, b"start", None),
        HistoryEntry(1, 1, 2, b"later", transaction_id(1, 1)),
    ]
    store.close()


def test_a_second_process_is_told_who_holds_the_ledger(path: Path) -> None:
    store = Store.create(path, CHAIN)
    script = f"""
import sys
from pathlib import Path
from p2penergy.store import Store, StoreError
try:
    Store.open(Path({str(path)!r}), bytes.fromhex({CHAIN.hex()!r}))
except StoreError as error:
    sys.exit(str(error))
"""
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert f"in use by another process (pid {os.getpid()})" in other.stderr
    with pytest.raises(StoreError, match="in use by another process"):
        Store.open(path, CHAIN)
    store.close()
    Store.open(path, CHAIN).close()


def test_a_folder_that_may_not_be_written_is_refused(path: Path) -> None:
    filled(path)
    path.parent.chmod(0o555)
    script = f"""
import os, sys
from pathlib import Path
from p2penergy.store import Store, StoreError
os.chmod(Path({str(path)!r}), 0o444)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Store.open(Path({str(path)!r}), bytes.fromhex({CHAIN.hex()!r}))
except StoreError as error:
    sys.exit(str(error))
"""
    # Somebody else must be able to walk to the folder at all.
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    try:
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    finally:
        path.parent.chmod(0o755)
    assert other.returncode == 1
    assert "must exist and be writable" in other.stderr


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must exist and be writable"):
        Store.create(tmp_path / "nowhere" / FILE_NAME, CHAIN)


def test_other_programs_can_read_the_tables(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT height FROM state WHERE key = ?", (b"q/" + HOUSE,)).fetchone() == (
            3,
        )
        [schema] = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'votes'").fetchone()
    connection.close()
    assert "-- own signed messages" in schema


def test_a_damaged_page_is_found_at_the_start(path: Path) -> None:
    filled(path, heights=30)
    data = bytearray(path.read_bytes())
    page_bytes = 4096
    refused = 0
    for page in range(1, len(data) // page_bytes):
        damaged = bytearray(data)
        # The header of a page: its kind, and where its cells lie.
        damaged[page * page_bytes : page * page_bytes + 8] = b"\xff" * 8
        path.write_bytes(damaged)
        try:
            Store.open(path, CHAIN).close()
        except StoreError as error:
            refused += 1
            assert "--votes-lost" in str(error)
    # All but the pages that SQLite uses for nothing but long contents (no structure to check).
    assert refused >= len(data) // page_bytes // 2


def test_no_damage_escapes_as_anything_but_a_store_error(path: Path) -> None:
    filled(path, heights=3)
    data = path.read_bytes()
    chance = random.Random(3)
    for _ in range(80):
        # The first page, with the schema, gets its share.
        place = chance.randrange(len(data) if chance.random() < 0.7 else 4096)
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :])
        with contextlib.suppress(StoreError):
            store = Store.open(path, CHAIN)
            try:
                store.restored()
                list(store.current_state())
                store.headers(1, 10)
                store.blocks(1, 10, 10**6)
                store.history(b"wallet/" + HOUSE)
                store.receipts(2)
                store.transaction(transaction_id(2, 1))
            finally:
                store.close()


@pytest.mark.parametrize(
    ("table", "column", "names"),
    [
        ("votes", "message", "table votes, height 4, kind 1, view 7"),
        ("votes", "slot", "table votes, height 4, kind 1, view 7"),
        ("views", "view", "table views, height 4"),
        ("prepared", "certificate", "table prepared, height 4"),
        ("blocks", "block", "table blocks, height 4, undecided"),
        ("decisions", "certificate", "table decisions, height 3"),
        ("decisions", "block_id", "table decisions, height 3"),
    ],
)
def test_a_damaged_row_is_named(path: Path, table: str, column: str, names: str) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        for row, value in rows:
            damaged = value + 1 if isinstance(value, int) else value[:-1] + bytes([value[-1] ^ 1])
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (damaged, row))
    connection.close()
    store = Store.open(path, CHAIN)
    with pytest.raises(StoreError, match=names) as raised:
        store.restored()
    assert "--votes-lost" in str(raised.value)
    store.close()


def test_close_may_be_repeated_and_ends_writing(path: Path) -> None:
    store = Store.create(path, CHAIN)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.persist_now([vote(1, 1)])
