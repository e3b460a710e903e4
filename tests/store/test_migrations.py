"""A ledger of an earlier schema: brought up at the next start, whole or not at all, and nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from store_samples import CHAIN, decided, signed_at

from p2penergy.store import FILE_NAME, Store, StoreError, migrations
from p2penergy.store.migrations import OLDEST, STEPS
from p2penergy.store.schema import SCHEMA_VERSION, connect_reader, lay_out_tables
from p2penergy.store.store import check_whose


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def of_version_1(path: Path) -> list[str]:
    """A ledger with blocks and votes, as version 1 laid it out; everything in it but the tables' words."""
    with contextlib.closing(Store.create(path, CHAIN)) as store:
        for height in range(1, 4):
            store.persist_now([*signed_at(height), decided(height)])
        store.persist_now(signed_at(4))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE committees")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    return rows(path)


def rows(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if line.startswith("INSERT")]


def schema(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_every_version_has_its_step() -> None:
    assert sorted(STEPS) == list(range(OLDEST, SCHEMA_VERSION))


def test_opening_brings_an_old_ledger_up_with_all_it_holds(path: Path) -> None:
    before = of_version_1(path)
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        assert store.tip() == 3
        restored = store.restored()
        assert len(restored.votes) > 0
        store.persist_now([decided(4)])
    assert version(path) == SCHEMA_VERSION
    # What an audit compares: the very words of the present schema.
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        lay_out_tables(fresh)
        with contextlib.closing(sqlite3.connect(path)) as migrated:
            assert schema(migrated) == schema(fresh)
    kept = set(rows(path))
    votes = [row for row in before if '"votes"' in row or '"prepared"' in row or '"decisions"' in row]
    assert len(votes) > 6
    assert kept.issuperset(votes)


def test_a_failure_on_the_way_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_version_1(path)
    monkeypatch.setattr(migrations, "STEPS", {1: STEPS[1] + "INSERT INTO nowhere VALUES (1);\n"})
    with pytest.raises(StoreError, match="no such table: nowhere"):
        Store.open(path, CHAIN)
    assert (version(path), rows(path)) == (1, before)
    monkeypatch.undo()
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        assert store.tip() == 3


@pytest.mark.parametrize("cut_bytes", [0, 32, 2_000, 4_152])
def test_a_power_cut_on_the_way_leaves_one_version_or_the_other(path: Path, cut_bytes: int) -> None:
    """The log cut at a byte is what a disk without power may keep of a commit that never returned."""
    before = of_version_1(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    migrations.migrate(connection, 1)
    torn = path.with_name("torn")
    torn.mkdir()
    log = path.with_name(path.name + "-wal").read_bytes()
    assert len(log) > cut_bytes
    (torn / FILE_NAME).write_bytes(path.read_bytes())
    (torn / f"{FILE_NAME}-wal").write_bytes(log[: len(log) - cut_bytes])
    connection.close()
    assert version(torn / FILE_NAME) == (SCHEMA_VERSION if cut_bytes == 0 else 1)
    assert rows(torn / FILE_NAME) == before
    with contextlib.closing(Store.open(torn / FILE_NAME, CHAIN)) as store:
        assert store.tip() == 3


def test_tools_that_read_leave_an_old_ledger_as_it_is(path: Path) -> None:
    of_version_1(path)
    with contextlib.closing(connect_reader(path)) as connection:
        with pytest.raises(StoreError, match="the next `p2penergy start` brings the file up to it"):
            check_whose(connection, path, CHAIN)
        assert check_whose(connection, path, CHAIN, oldest=1) == 1
    assert version(path) == 1


def test_versions_before_the_first_step_are_refused(path: Path) -> None:
    of_version_1(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.commit()
    with pytest.raises(StoreError, match="has schema version 0"):
        Store.open(path, CHAIN)
