"""One short chain for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The audit's small chain, kept in a home, is what snapshots by hand are made of.
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "audit"))

from snapshot_village import Made, make, short_chains


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """30 blocks, with snapshots of blocks 10, 20 and 30."""
    patch = pytest.MonkeyPatch()
    short_chains(patch)
    try:
        return make(tmp_path_factory.mktemp("snow"))
    finally:
        patch.undo()


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The chain of another community."""
    patch = pytest.MonkeyPatch()
    short_chains(patch)
    try:
        return make(tmp_path_factory.mktemp("rain"), community="Rain Road")
    finally:
        patch.undo()
