"""The audit as a whole: silent on a sound ledger, and naming the record of any changed one."""

import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_chain import HEIGHTS, SmallChain

from p2penergy.audit import AuditError, AuditReport, audit
from p2penergy.audit.run import homes_in
from p2penergy.store import FILE_NAME, Store

FLIPS_IN_FILE = 60


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chain = SmallChain(tmp_path_factory.mktemp("sound") / "home")
    chain.grow()
    return chain.close()


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "home"))


def found(report: AuditReport) -> list[str]:
    return [str(each) for ledger in report.ledgers for each in ledger.findings]


def change(home: Path, statement: str, *arguments: Any) -> None:
    with sqlite3.connect(home / FILE_NAME) as connection:
        connection.execute(statement, arguments)
    connection.close()


def test_a_sound_ledger_is_clean(home: Path) -> None:
    told: list[tuple[int, int]] = []
    report = audit(home, lambda _, done, total: told.append((done, total)))
    assert found(report) == []
    assert report.is_clean
    [ledger] = report.ledgers
    assert (ledger.height, ledger.checked_height, len(ledger.digests)) == (HEIGHTS, HEIGHTS, HEIGHTS)
    # Two rounds of 7 readings, a trade, another, and two declined ones.
    assert (ledger.transactions, ledger.accepted, ledger.energy_wh) == (22, 18, 300)
    assert ledger.amount_nano == 300 * 200_000
    assert ledger.votes >= 2 * (HEIGHTS + 1)
    assert told == [(height, HEIGHTS) for height in range(1, HEIGHTS + 1)]


def test_a_new_ledger_is_clean(tmp_path: Path) -> None:
    assert audit(SmallChain(tmp_path / "new").close(undecided=False)).is_clean


def test_a_ledger_whose_node_was_killed_is_clean(tmp_path: Path, home: Path) -> None:
    chain = SmallChain(tmp_path / "killed")
    chain.grow(3)
    copied = tmp_path / "copied"
    shutil.copytree(chain.home, copied)
    chain.close()
    (copied / f"{FILE_NAME}-shm").unlink()
    assert (copied / f"{FILE_NAME}-wal").stat().st_size > 0
    report = audit(copied)
    assert found(report) == []
    assert report.ledgers[0].height == 3


def _cells(home: Path) -> list[tuple[str, str, str]]:
    """(table, column, key columns) of everything that the file holds."""
    with sqlite3.connect(home / FILE_NAME) as connection:
        tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        cells = []
        for table in tables:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            key = ", ".join(name for _, name, _, _, _, is_key in columns if is_key)
            cells += [(table, name, key) for _, name, *_ in columns]
    connection.close()
    return cells


def _flipped(value: int | bytes | str, chance: random.Random) -> int | bytes | str:
    if isinstance(value, int):
        return value + 1000
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[chance.randrange(len(raw))] ^= 1
    return raw.decode() if isinstance(value, str) else bytes(raw)


def test_a_change_in_any_column_is_found_and_its_table_named(sound: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    cells = _cells(sound)
    assert len(cells) > 35
    for table, column, key in cells:
        home = Path(shutil.copytree(sound, tmp_path / f"{table}.{column}"))
        with sqlite3.connect(home / FILE_NAME) as connection:
            rows = connection.execute(f"SELECT {column}, {key} FROM {table}").fetchall()
            value, *keys = chance.choice(rows if (table, column) != ("blocks", "id") else rows[:HEIGHTS])
            where = " AND ".join(f"{name} = ?" for name in key.split(", "))
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE {where}", (_flipped(value, chance), *keys)
            )
        connection.close()
        findings = found(audit(home))
        # The block that nothing names any more shows in the row that should name it.
        named = "decisions" if (table, column) == ("blocks", "id") else table
        assert any(each.startswith(f"table {named}, ") for each in findings), (table, column, findings)


def test_a_flipped_byte_of_the_file_is_found_or_means_nothing(sound: Path, tmp_path: Path) -> None:
    def dump(path: Path) -> list[str]:
        with sqlite3.connect(path) as connection:
            lines = [*connection.iterdump(), str(connection.execute("PRAGMA user_version").fetchone())]
        connection.close()
        return lines

    right = dump(sound / FILE_NAME)
    data = (sound / FILE_NAME).read_bytes()
    chance = random.Random(11)
    noticed = 0
    for number in range(FLIPS_IN_FILE):
        home = Path(shutil.copytree(sound, tmp_path / str(number)))
        place = chance.randrange(len(data))
        damaged = data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
        (home / FILE_NAME).write_bytes(damaged)
        if found(audit(home)):
            noticed += 1
        else:
            # Unused space of a page, or a hint that SQLite does not need.
            assert dump(home / FILE_NAME) == right, place
    assert noticed > FLIPS_IN_FILE // 4


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM decisions WHERE height = 4", "table decisions, height 4: the row, or the block"),
        ("DELETE FROM results WHERE height = 4", "table results, height 4: the row is missing"),
        ("DELETE FROM results WHERE height = 0", "table results, height 0: the row is missing"),
        ("INSERT INTO results SELECT 99, results, checksum FROM results WHERE height = 1", "height 99"),
        ("DELETE FROM transactions WHERE height = 2 AND idx = 1", "the row is missing"),
        ("INSERT INTO transactions VALUES (x'ab', 1, 99)", "transaction_id 0xab: the row should not be"),
        (
            "DELETE FROM state WHERE key = x'636861696e2f746970'",
            "table state, key chain/tip: the row is missing",
        ),
        ("INSERT INTO state VALUES (x'ab', x'01', 1)", "table state, key 0xab: the row should not be there"),
        ("DELETE FROM ended", "table ended, key_digest"),
        ("INSERT INTO ended VALUES (x'ab', 1)", "table ended, key_digest 0xab: the row should not be there"),
        ("DELETE FROM votes WHERE id = 3", "votes, should be"),
        ("UPDATE decisions SET height = -1 WHERE height = 6", "table decisions, height -1"),
        ("INSERT INTO blocks VALUES (99, 2, x'ab', x'01', 0)", "table blocks, height 2: another block"),
        ("UPDATE views SET height = 99 WHERE height = 2", "table views, height 99: the tip is 6"),
        ("DELETE FROM about WHERE name = 'chain_id'", "table about, name chain_id"),
        ("DROP TABLE ended", "SQLite can't read it: no such table: ended"),
        ("CREATE TABLE more (x)", "table sqlite_schema, more"),
        ("PRAGMA user_version = 9", "table file, user_version"),
    ],
)
def test_missing_and_surplus_rows_are_named(home: Path, statement: str, finding: str) -> None:
    change(home, statement)
    assert any(finding in each for each in found(audit(home))), found(audit(home))


def test_findings_behind_a_block_that_cannot_be_executed_are_not_hidden(home: Path) -> None:
    change(home, "UPDATE blocks SET block = x'00' WHERE height = 3")
    change(home, "UPDATE results SET results = x'00' WHERE height = 5")
    findings = found(audit(home))
    assert "table results, height 5: its contents do not fit its checksum" in findings
    assert "table blocks, height 3: blocks 3 to 6 could not be checked" in findings


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    chain = SmallChain(tmp_path / "killed")
    chain.grow(3)
    copied = Path(shutil.copytree(chain.home, tmp_path / "copied"))
    chain.close()
    log = copied / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    data[100] ^= 1
    log.write_bytes(data)
    assert any("table file, ledger.sqlite3-wal" in each for each in found(audit(copied)))


def test_homes_of_a_kept_demo_are_compared(tmp_path: Path) -> None:
    for name in ("H001", "H002"):
        chain = SmallChain(tmp_path / name, owner=int(name[-1]) - 1)
        chain.grow(4)
        chain.close()
    (tmp_path / "notes").mkdir()
    assert audit(tmp_path).is_clean
    forked = SmallChain(tmp_path / "H003")
    forked.grow(3)
    forked.decide(forked.build([], skip=1))
    forked.close()
    report = audit(tmp_path)
    assert not report.is_clean
    [finding] = report.findings
    assert (finding.table, finding.row) == ("chain", "height 4")
    assert "H001 decided" in finding.what
    assert "H003 decided" in finding.what


def test_a_folder_without_a_ledger_is_no_input(tmp_path: Path, home: Path) -> None:
    with pytest.raises(AuditError, match="There is no ledger in"):
        audit(tmp_path / "nowhere")
    with pytest.raises(AuditError, match="There is no ledger in"):
        audit(home / FILE_NAME)
    assert homes_in(home) == [home]
    (home / "genesis.json").write_text("{}")
    with pytest.raises(AuditError, match=r"genesis\.json"):
        audit(home)


def test_a_running_node_is_not_audited(home: Path) -> None:
    genesis = SmallChain(home / "other").genesis
    store = Store.open(home / FILE_NAME, genesis.chain_id)
    with pytest.raises(AuditError, match="in use by another process"):
        audit(home)
    store.close()


def test_an_audit_changes_nothing(home: Path) -> None:
    before = (home / FILE_NAME).read_bytes()
    audit(home)
    assert (home / FILE_NAME).read_bytes() == before
    assert not (home / f"{FILE_NAME}-wal").exists()
