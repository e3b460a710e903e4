"""A running network for meters and agents: `p2penergy demo --stay` as a person starts it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "demo"))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "household"))

from demo_village import Demo, all_ended, write_village
from household_net import Stay


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stay]:
    folder = tmp_path_factory.mktemp("running")
    data = write_village(folder / "elm street")
    keep = folder / "kept"
    with Demo(data, "--keep", str(keep), "--stay", "--json", str(folder / "out.json")) as demo:
        demo.read_until("p2penergy bill --home")
        yield Stay(keep, folder / "out.json", demo)
        demo.signal(signal.SIGINT)
        demo.end()
    all_ended(keep)
