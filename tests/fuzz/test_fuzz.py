"""A short run of every fuzz target, and all inputs that are kept: `make fuzz` runs them for longer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_engines import CORPUS, by_hypothesis, corpus, finding_of
from fuzz_targets import TARGETS, Target, cleanup

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS_BYTES_MAX = 256 * 1024
CORPUS_FILE_BYTES_MAX = 16 * 1024


@pytest.fixture(autouse=True, scope="module")
def _tidy() -> Iterator[None]:
    yield
    cleanup()


@pytest.mark.parametrize("name", TARGETS)
def test_kept_and_genuine_inputs_break_nothing(name: str) -> None:
    found = corpus(name)
    assert found
    for data in found:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str) -> None:
    by_hypothesis(TARGETS[name], corpus(name), TARGETS[name].examples, number=1)


def test_a_finding_is_told_with_its_smallest_input() -> None:
    def breaks(data: bytes) -> None:
        assert b"\xff" not in data, "found"

    with pytest.raises(AssertionError) as caught:
        by_hypothesis(Target(breaks, list), [b"abcdef", b"\xff" * 9], 300, number=1)
    assert b"\xff" in finding_of(caught.value)


def test_the_corpus_is_of_known_targets_and_small() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= TARGETS.keys()
    assert sum(path.stat().st_size for path in files) <= CORPUS_BYTES_MAX
    assert all(path.stat().st_size <= CORPUS_FILE_BYTES_MAX for path in files)


def test_the_command_runs_one_target_and_refuses_unknown_ones() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--engine", "hypothesis", "--seconds", "0.2"]
    done = subprocess.run([*command, "hello"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hello: " in done.stdout
    assert "nothing found" in done.stdout
    done = subprocess.run([*command, "helo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no target 'helo'" in done.stderr
