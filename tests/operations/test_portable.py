"""A ledger in one file: nothing of the node's own in it, and not a byte believed when it comes back."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from operating_net import run
from small_chain import SmallChain

from p2penergy.home import LEDGER_FILE
from p2penergy.operations import portable
from p2penergy.operations.portable import PortableError, export, import_into
from p2penergy.store import Store


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    chain = SmallChain(tmp_path / "kept")
    chain.grow()
    return chain.close()


@pytest.fixture
def empty(tmp_path: Path, kept: Path) -> Path:
    home = tmp_path / "empty"
    home.mkdir()
    shutil.copy(kept / "genesis.json", home)
    return home


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_it_holds_the_chain_and_nothing_that_the_node_signed(kept: Path, tmp_path: Path) -> None:
    out = tmp_path / "saved"
    copied = export(kept, out)
    assert copied.size_bytes == out.stat().st_size
    assert copied.height == rows(kept / LEDGER_FILE, "SELECT max(height) FROM decisions")[0][0] > 0
    for table in ("votes", "views", "prepared"):
        assert rows(out, f"SELECT count(*) FROM {table}") == [(0,)]
    for table in ("decisions", "results", "state", "transactions", "ended"):
        query = f"SELECT * FROM {table} ORDER BY 1"
        assert rows(out, query) == rows(kept / LEDGER_FILE, query)
    assert not list(tmp_path.glob(".saved*"))
    assert not list(tmp_path.glob("saved-*"))


def test_taken_in_it_is_the_same_chain_and_votes_count_as_lost(
    kept: Path, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "wall_clock_ms", lambda: 77_500)
    export(kept, tmp_path / "saved")
    seen: list[int] = []
    report = import_into(empty, tmp_path / "saved", lambda _home, done, _total: seen.append(done))
    assert not report.findings
    assert seen == list(range(1, report.height + 1))
    chain_id = portable.read_genesis(empty / "genesis.json").chain_id
    with contextlib.closing(Store.open(empty / LEDGER_FILE, chain_id)) as store:
        restored = store.restored()
        assert restored.amnesia_slot == 77
        assert restored.votes == ()
        assert store.tip() == report.height
    assert [path.name for path in empty.glob(".import-*")] == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE state SET value = x'00' WHERE rowid = (SELECT 1)",
        "UPDATE results SET checksum = checksum + 1 WHERE height = 2",
        "DELETE FROM decisions WHERE height = 1",
        "UPDATE about SET value = 'other' WHERE name = 'what'",
    ],
)
def test_a_changed_file_is_not_taken_in(kept: Path, empty: Path, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "saved"
    export(kept, file)
    damage = damage.replace("WHERE rowid = (SELECT 1)", "WHERE key = (SELECT min(key) FROM state)")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(PortableError, match="was not taken in"):
        import_into(empty, file)
    assert not (empty / LEDGER_FILE).exists()


def test_a_ledger_that_is_there_is_never_replaced(kept: Path, empty: Path, tmp_path: Path) -> None:
    export(kept, tmp_path / "saved")
    before = (kept / LEDGER_FILE).read_bytes()
    with pytest.raises(PortableError, match="reset"):
        import_into(kept, tmp_path / "saved")
    assert (kept / LEDGER_FILE).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000])
def test_what_is_no_ledger_is_refused(empty: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved").write_bytes(content)
    with pytest.raises(PortableError):
        import_into(empty, tmp_path / "saved")
    with pytest.raises(PortableError):
        import_into(empty, tmp_path / "none")
    assert not (empty / LEDGER_FILE).exists()


def test_the_commands_say_what_comes_next(kept: Path, empty: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert run("export", "--home", kept, "--out", saved).exit_code == 0
    result = run("import", "--home", empty, saved)
    assert result.exit_code == 0, result.output
    assert "Taken in after a clean audit" in result.output
    assert run("import", "--home", empty, saved).exit_code == 2

    refused = run("reset", "--home", empty, typed="n\n")
    assert refused.exit_code == 1
    assert (empty / LEDGER_FILE).exists()
    agreed = run("reset", "--home", empty, typed="y\n")
    assert agreed.exit_code == 0
    assert "--votes-lost" in agreed.output
    assert not (empty / LEDGER_FILE).exists()
    assert run("reset", "--home", empty, "--yes").exit_code == 2
    assert run("export", "--home", empty, "--out", tmp_path / "more").exit_code == 2
