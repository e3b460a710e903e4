"""The command that makes the campaign's compiled copy; compiling itself is shown by `make campaign`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def command(*arguments: str, compiler: str = "no-such-compiler") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.compiled", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"CC": compiler},
        check=False,
        capture_output=True,
        text=True,
    )


def test_without_a_compiler_the_copy_runs_as_it_is(tmp_path: Path) -> None:
    done = command(str(tmp_path / "copy"))
    assert done.returncode == 0 and "interpreted" in done.stdout
    version = subprocess.run(
        [sys.executable, "-c", "import p2penergy; print(p2penergy.__file__)"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "copy"), "PYTHONSAFEPATH": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert version.stdout.strip() == str(tmp_path / "copy" / "p2penergy" / "__init__.py")


def test_the_sources_are_never_overwritten() -> None:
    done = command(str(REPOSITORY))
    assert done.returncode == 2 and "may be overwritten" in done.stdout
    assert (REPOSITORY / "p2penergy" / "node.py").exists()


def test_it_wants_one_folder() -> None:
    assert command().returncode == 2
