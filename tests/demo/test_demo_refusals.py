"""Whatever is wrong with what a demo or a node is given: one clear sentence, exit code 2, nothing lost."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from demo_village import PATIENCE_S, run_demo, write_village

from p2penergy.cli import main
from p2penergy.demo.options import EPS_MS
from p2penergy.founding import HOST, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.home import LEDGER_FILE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_village(tmp_path / "village")


def told(arguments: list[str]) -> str:
    """The one sentence that a command ends with."""
    result: Result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    return lines[-1]


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


@pytest.mark.parametrize("name", ["week.csv", "households.csv", "feeder.csv"])
def test_a_missing_table_is_named(data: Path, name: str) -> None:
    (data / name).unlink()
    assert f"{name}: found no such file" in told(["demo", "--data", str(data)])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    said = told(["demo", "--data", str(tmp_path / "nowhere")])
    assert str(tmp_path / "nowhere") in said
    assert "no such directory" in said


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("week.csv", lambda t: t.replace("09:30Z,", "09:30Z,x"), "line 4, column H001_load_wh: found 'x"),
        ("week.csv", lambda t: t.replace("H002_load_wh", "H999_load_wh"), "line 1"),
        ("week.csv", lambda t: t.replace("09:30Z", "09:31Z"), "line 4, column period_start"),
        ("week.csv", lambda t: t[: len(t) // 2].rpartition(",")[0] + "\n", "found"),
        ("week.csv", lambda _: "", "found an empty file"),
        ("households.csv", lambda t: t.replace("3.0", "three", 1), "line 2, column load_kw: found 'three'"),
        ("households.csv", lambda t: t.replace("H002", "H001"), "line 3, column household: found 'H001'"),
        ("feeder.csv", lambda t: t.replace("1,0,2439", "1,77,2439"), "column parent"),
        ("feeder.csv", lambda t: t.replace("H008", "H00X"), "H00X"),
    ],
)  # fmt: skip
def test_a_malformed_table_is_told_by_row_and_column(
    data: Path, name: str, change: Callable[[str], str], words: str
) -> None:
    edit(data / name, change)
    said = told(["demo", "--data", str(data)])
    assert name in said
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--day", "2016-07-01"], "have no day 2016-07-01: they cover 2016-06-23 to 2016-06-23"),
        (["--day", "June"], "'June' is not a day such as 2016-06-23"),
        (["--days", "2"], "have no day 2016-06-24"),
        (["--days", "0"], "0 is not in the range"),
        (["--validators", "0"], "--validators 0: from 1 to 8 are possible here"),
        (["--validators", "9"], "--validators 9: from 1 to 8 are possible here"),
        (["--validators", "four"], "'four' is not a valid integer"),
        (["--crash", "2"], "--crash 2: 4 validators tolerate 1; 7 would tolerate 2"),
        (["--validators", "3", "--crash", "1"], "--crash 1: 3 validators tolerate 0; 4 would tolerate 1"),
        (["--market", "bazaar"], "'bazaar' is not one of"),
        (["--bad-actors", "5"], "--bad-actors 5: from 0 to 4 are possible here"),
        (["--base-port", "65534"], "--base-port 65534: ports go from 1 to 65535"),
        (["--base-port", "0"], "--base-port 0: ports go from 1 to 65535"),
        (["--json", "/nowhere/at/all.json"], "--json /nowhere/at/all.json: there is no such folder"),
        (["--speed", "2"], "No such option"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_told(data: Path, arguments: list[str], words: str) -> None:
    assert words in told(["demo", "--data", str(data), *arguments])


def test_a_folder_with_something_in_it_is_not_written_to(data: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "mine.txt").write_text("mine")
    assert "the folder is not empty" in told(["demo", "--data", str(data), "--keep", str(keep)])
    assert [path.name for path in keep.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = told(["demo", "--data", str(data), "--keep", str(tmp_path / "file" / "keep")])
    assert "can't be written: Not a directory" in said


def test_a_port_in_use_is_told_and_nothing_is_left_running(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run_demo(data, "--base-port", str(port))
    assert code == 2
    assert err == (
        f"Error: Port {port} of {HOST} can't be used (address already in use): choose another base port.\n"
    )


# ---- a node's and an auditor's folder -------------------------------------------------------------


@pytest.fixture(scope="module")
def two_communities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home of each of two communities."""
    homes = []
    for name in ("Elm Street", "Oak Street"):
        plan = Plan(
            community=name,
            households=[(f"H{i:03}", 1_000) for i in range(1, 5)],
            validators=4,
            consensus=ConsensusRules(
                t0_ms=0, alpha_ms=2 * EPS_MS + 40, eps_ms=EPS_MS, delta_ms=10, committee_size_min=1
            ),
            market=MarketRules(),
        )
        homes.append(found(plan, tmp_path_factory.mktemp("community")).homes["H001"])
    return homes[0], homes[1]


@pytest.fixture
def home(two_communities: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_communities[0], tmp_path / "home"))


def truncated(home: Path, _other: Path) -> None:
    ledger = home / LEDGER_FILE
    ledger.write_bytes(ledger.read_bytes()[: ledger.stat().st_size // 2])


def emptied(home: Path, _other: Path) -> None:
    (home / LEDGER_FILE).write_bytes(b"")


def not_sqlite(home: Path, _other: Path) -> None:
    (home / LEDGER_FILE).write_bytes(b"a photograph of the meter" * 1000)


def foreign(home: Path, other: Path) -> None:
    shutil.copy(other / LEDGER_FILE, home / LEDGER_FILE)


def anybodys(home: Path, _other: Path) -> None:
    (home / LEDGER_FILE).unlink()
    connection = sqlite3.connect(home / LEDGER_FILE)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()


def gone(home: Path, _other: Path) -> None:
    (home / LEDGER_FILE).unlink()


DAMAGES = [truncated, emptied, not_sqlite, foreign, anybodys, gone]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_node_does_not_start_with_a_ledger_that_cannot_be_used(
    home: Path, two_communities: tuple[Path, Path], damage: Callable[[Path, Path], None]
) -> None:
    damage(home, two_communities[1])
    ledger = home / LEDGER_FILE
    before = ledger.read_bytes() if ledger.exists() else None
    assert str(ledger) in told(["start", "--home", str(home)])
    assert ledger.exists() == (before is not None)
    if damage in (truncated, not_sqlite, foreign):
        # Whatever it is, it may be somebody's only copy.
        assert ledger.read_bytes() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_audit_says_what_is_wrong_with_such_a_ledger(
    home: Path, two_communities: tuple[Path, Path], damage: Callable[[Path, Path], None]
) -> None:
    damage(home, two_communities[1])
    assert "ledger" in told(["audit", str(home)])


def test_a_folder_that_is_no_home_is_told(tmp_path: Path) -> None:
    assert "config.toml is missing" in told(["start", "--home", str(tmp_path)])
    told(["audit", str(tmp_path)])
    told(["audit", str(tmp_path / "nowhere")])


def test_a_second_node_with_the_same_key_is_refused(home: Path) -> None:
    command = [sys.executable, "-m", "p2penergy", "start", "--home", str(home), "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        try:
            assert first.stdout.readline().startswith("ready ")
            assert f"in use by another process (pid {first.pid})" in told(["start", "--home", str(home)])
        finally:
            first.stdin.close()
            first.wait(PATIENCE_S)
    assert first.returncode == 0
