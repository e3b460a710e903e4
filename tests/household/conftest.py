"""One running network for all tests of household commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "demo"))

from household_net import Stay, staying


@pytest.fixture(scope="session")
def stay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stay]:
    with staying(tmp_path_factory.mktemp("stay")) as made:
        yield made
