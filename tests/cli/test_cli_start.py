"""`p2penergy start` as a process: one ready line, an end in order by every way to ask for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from p2penergy.founding import HOST, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.home import LEDGER_FILE
from p2penergy.store import Store

PATIENCE_S = 90


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A home of a community with one validator, and the chain's id."""
    plan = Plan(
        community="Elm Street",
        households=[("H001", 1_000), ("H002", 1_000)],
        validators=1,
        consensus=ConsensusRules(t0_ms=0, alpha_ms=90, eps_ms=5, delta_ms=20, committee_size_min=1),
        market=MarketRules(),
    )
    community = found(plan, tmp_path_factory.mktemp("community"))
    return community.homes["H001"], community.genesis.chain_id


@pytest.fixture
def home(founded: tuple[Path, bytes], tmp_path: Path) -> Path:
    made = Path(shutil.copytree(founded[0], tmp_path / "home"))
    settings = (made / "config.toml").read_text("utf-8").splitlines()
    text = "\n".join(f'listen = "{HOST}:0"' if line.startswith("listen") else line for line in settings)
    text = text.replace('format = "human"', 'format = "json"')
    # Slot 0 was long ago, and nobody else is there to be asked for a snapshot.
    text = text.replace("far_behind_blocks = 1000", "far_behind_blocks = 0")
    (made / "config.toml").write_text(text, "utf-8")
    return made


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "p2penergy", "start", "--home", str(home), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def say(number: signal.Signals) -> Callable[[subprocess.Popen[str]], None]:
    return lambda process: process.send_signal(number)


def close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        ([], say(signal.SIGINT)),
        ([], say(signal.SIGTERM)),
        (["--until-stdin-closes"], say(signal.SIGTERM)),
        (["--until-stdin-closes"], close),
    ],
    ids=["ctrl-c", "term", "term-with-stdin", "stdin"],
)
def test_it_says_ready_and_ends_in_order(
    home: Path,
    founded: tuple[Path, bytes],
    arguments: list[str],
    end: Callable[[subprocess.Popen[str]], None],
) -> None:
    with start(home, *arguments) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready[0] == "ready"
        assert ready[1].startswith(f"{HOST}:")
        end(process)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    events = [json.loads(line) for line in err.splitlines()]
    # A community of one is told what that means.
    assert (events[0]["event"], events[0]["level"]) == ("committees", "warning")
    assert events[0]["caution"].startswith("A committee of 1 withstands no faulty member")
    assert events[1]["event"] == "started"
    assert all(event["level"] == "info" for event in events[1:])
    # Whatever it had decided is there, and the next start takes it up.
    Store.open(home / LEDGER_FILE, founded[1]).close()


def test_a_damaged_home_is_told_in_one_sentence(home: Path) -> None:
    (home / "community.cert.pem").write_text("no certificate")
    with start(home) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1


def test_the_folder_comes_from_the_environment_and_the_role_from_the_line(
    home: Path, founded: tuple[Path, bytes]
) -> None:
    """The only validator, as an observer: it says so, and no block is ever decided."""
    command = [sys.executable, "-m", "p2penergy", "start", "--role", "observer"]
    pipe, there = subprocess.PIPE, os.environ | {"P2PENERGY_HOME": str(home)}
    with subprocess.Popen(command, env=there, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    said = [json.loads(line) for line in err.splitlines()]
    assert ("observing", "warning") in [(event["event"], event["level"]) for event in said[:2]]


def test_a_role_that_does_not_exist_is_refused(home: Path) -> None:
    with start(home, "--role", "household") as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "'validator', 'observer'" in err
