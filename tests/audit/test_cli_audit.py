"""`p2penergy audit`: what it prints, and how it ends."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_chain import SmallChain

from p2penergy.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    chain = SmallChain(tmp_path / "home")
    chain.grow(3)
    return chain.close()


def damaged(home: Path) -> Path:
    with sqlite3.connect(home / "ledger.sqlite3") as connection:
        connection.execute("UPDATE state SET height = 77 WHERE key = ?", (b"chain/tip",))
    connection.close()
    return home


def test_a_clean_ledger_ends_with_zero(home: Path) -> None:
    done = CliRunner().invoke(main, ["audit", str(home)])
    assert done.exit_code == 0, done.output
    assert "home: 3 of 3 blocks, 11 transactions (9 accepted), 0.150 kWh traded for 0.03" in done.stdout
    assert "Clean: everything is as genesis and the transactions make it." in done.stdout


def test_findings_are_named_and_end_with_one(home: Path) -> None:
    done = CliRunner().invoke(main, ["audit", str(damaged(home))])
    assert done.exit_code == 1
    assert "table state, key chain/tip: column height: 77, should be 3" in done.stdout
    assert "Not clean: 1 finding." in done.stdout


def test_json_holds_all_of_it(home: Path) -> None:
    clean = json.loads(CliRunner().invoke(main, ["audit", "--json", str(home)]).stdout)
    assert (clean["clean"], clean["findings"], clean["ledgers"][0]["height"]) == (True, [], 3)
    done = CliRunner().invoke(main, ["audit", "--json", str(damaged(home))])
    assert done.exit_code == 1
    [ledger] = json.loads(done.stdout)["ledgers"]
    assert ledger["findings"] == [
        {"table": "state", "row": "key chain/tip", "what": "column height: 77, should be 3"}
    ]


def test_a_folder_without_a_ledger_ends_with_two(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["audit", str(tmp_path)])
    assert done.exit_code == 2
    assert "There is no ledger in" in done.output
