"""`python -m tests.compiled FOLDER`: a copy of the program in which core and simulator are compiled by mypyc.

Lives here: what `make campaign` runs on, because schedules run 2.7 times as fast there. Never here: anything
that a node runs. Owns the property that the copy does what the sources do: it ends with 1 when the trace
hashes of some schedules differ. Without a C compiler the copy stays as it is, and slower.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
COMPILED = (
    "p2penergy/consensus/*.py",
    "p2penergy/simulation/*.py",
    "p2penergy/beacon.py",
    "p2penergy/blocks.py",
    "p2penergy/committees.py",
    "p2penergy/conflicts.py",
    "p2penergy/digests.py",
)
"""Pure code without msgspec's tagged unions, which mypyc can't compile."""
BUILD = """
from mypyc.build import mypycify
from setuptools import setup
import sys
files, sys.argv[1:] = sys.argv[1:], ["--quiet", "build_ext", "--inplace"]
modules = mypycify(["--config-file=", "--ignore-missing-imports", *files])
setup(name="compiled", packages=[], ext_modules=modules)
"""
HASHES = """
from p2penergy.cli.simulate import results_of
for profile in ("chaos", "twins", "membership"):
    with results_of(range(12), (4,) if profile == "twins" else (4, 5, 6, 7, 10), profile, jobs=2) as results:
        print(*(result.trace_hash for result in results), sep="\\n")
"""
HASHES_S_MAX = 300.0


def trace_hashes(tree: Path) -> str:
    """What some schedules come to in a tree, one hash a line."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-c", HASHES],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=HASHES_S_MAX,
    ).stdout


def build(folder: Path) -> bool:
    """Copy the sources afresh and compile them there; whether there was a compiler."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in ("p2penergy", "transport"):
        shutil.copytree(SOURCES / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if shutil.which(os.environ.get("CC", "cc")) is None:
        return False
    files = sorted(
        str(path.relative_to(folder))
        for pattern in COMPILED
        for path in folder.glob(pattern)
        if path.name != "__init__.py"
    )
    with (folder / "build.log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-c", BUILD, *files], cwd=folder, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        # No headers of Python, say: the campaign runs all the same.
        print(f"could not compile, see {folder / 'build.log'}")
        shutil.rmtree(folder / "build", ignore_errors=True)
    return not done.returncode


def main() -> int:
    """The command; its exit code."""
    if len(sys.argv) != 2:
        print("say into which folder: python -m tests.compiled out/compiled")
        return 2
    folder = Path(sys.argv[1]).resolve()
    if (folder / ".git").exists() or SOURCES.is_relative_to(folder):
        print(f"{folder} holds these sources: name a folder that may be overwritten")
        return 2
    print("compiling the core and the simulator, a minute ...", flush=True)
    if not build(folder):
        print("the campaign runs interpreted, about a third as fast")
        return 0
    if trace_hashes(folder) != trace_hashes(SOURCES):
        print("the compiled program does something else than its sources: please report it")
        return 1
    print("compiled, with equal trace hashes")
    return 0


sys.exit(main())
