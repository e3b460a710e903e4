"""What the tests of the node share: both event loops, and a village of four validators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from node_network import Village, a_plan, found_village, short_chains


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    """Run every asynchronous test of this folder on both loops; newcomers' on the one that nodes run on."""
    if "joining" in item.nodeid:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def village(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Village]:
    """Founded, not started; everything of it ends with the test."""
    short_chains(monkeypatch)
    made = found_village(a_plan(), tmp_path)
    try:
        yield made
    finally:
        await made.end()
