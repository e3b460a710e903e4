"""One running network for meters and agents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "demo"))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "household"))

from household_net import Stay, staying


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stay]:
    with staying(tmp_path_factory.mktemp("running")) as made:
        yield made
