"""Validators as processes: started, killed, ended with their parent, and their last words told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from p2penergy.processes import ProcessError, Validator

PATIENCE_S = 60


def program(folder: Path, body: str) -> Path:
    """A home whose program is a module of the test's own."""
    (folder / "fake_validator.py").write_text(body, "utf-8")
    return folder


GOOD = "import sys\nprint('ready', flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return program(tmp_path, GOOD)


def validator(home: Path, ended: list[Validator] | None = None) -> Validator:
    told = [] if ended is None else ended
    return Validator("H001", home, ["fake_validator"], told.append)


async def test_it_runs_until_it_is_stopped(home: Path) -> None:
    ended: list[Validator] = []
    one = validator(home, ended)
    assert (one.running, one.pid) == (False, None)
    await one.start()
    assert one.running
    assert one.pid is not None
    await one.stop()
    await one.stop()
    assert (one.running, one.pid, one.kills, ended) == (False, None, 0, [])


async def test_it_is_killed_and_started_again(home: Path) -> None:
    ended: list[Validator] = []
    one = validator(home, ended)
    await one.start()
    first = one.pid
    await one.kill()
    assert not one.running
    await one.start()
    assert one.pid != first
    await one.stop()
    await one.kill()
    assert (one.kills, ended) == (1, [])


async def test_an_end_that_nobody_asked_for_is_told(home: Path) -> None:
    told = asyncio.Event()
    one = Validator("H001", home, ["fake_validator"], lambda _one: told.set())
    await one.start()
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        await told.wait()
    assert (one.running, one.kills) == (False, 1)


async def test_one_that_does_not_start_is_told_with_its_last_words(home: Path) -> None:
    program(home, "import sys\nsys.exit('Error: the ledger is damaged')\n")
    one = validator(home)
    with pytest.raises(ProcessError, match="validator H001 did not start: Error: the ledger is damaged"):
        await one.start()
    assert not one.running


async def test_one_that_says_something_else_is_not_waited_for(home: Path) -> None:
    program(home, "import sys\nprint('hello', flush=True)\nsys.stdin.read()\n")
    one = validator(home)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ProcessError, match="did not start"):
            await one.start()
    assert not one.running
