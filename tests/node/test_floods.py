"""f members flood all others at once, over TCP: what a node holds stays within its bounds, and it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from flooding import Flooder, flood_until, held_by
from node_network import PATIENCE_S, Running, Village, a_plan, eventually, found_village, short_chains

from p2penergy.ledger import keys

BLOCKS = 4


@pytest.fixture
async def seven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Village]:
    """Seven validators; two of them are never started, and f = 2."""
    short_chains(monkeypatch)
    made = found_village(a_plan(7, 8, alpha_ms=250, delta_ms=60), tmp_path)
    try:
        yield made
    finally:
        await made.end()


async def _flooded(village: Village, equivocates: bool) -> tuple[list[Flooder], dict[str, int]]:
    """Run five of seven while the other two flood them for some blocks; the fullest that buffers were."""
    await village.start("H001", "H002", "H003", "H004", "H005")
    await village.grown(1)
    flooders = [Flooder(village, name, equivocates) for name in ("H006", "H007")]
    for flooder in flooders:
        await flooder.connect()
    most: dict[str, int] = {}
    await flood_until(flooders, village, max(village.heights()) + BLOCKS, most)
    return flooders, most


async def test_f_members_that_flood_at_once_fill_no_buffer_and_stop_no_height(seven: Village) -> None:
    flooders, most = await _flooded(seven, equivocates=False)
    assert all(flooder.sent > 1_000 for flooder in flooders)
    # The flood was felt: buffers were used, refusals counted.
    assert most["prepares"] > 0
    assert most["early_of_one_sender"] > 0
    assert most["statements"] > 0
    for running in seven.nodes.values():
        refused = running.node.status()["refused"]
        for code in ("view_window", "bad_signature", "duplicate"):
            assert refused.get(code, 0) > 0, refused
        # Nothing that it said contradicts anything else, so nobody is accused.
        assert not on_record(seven, running)


async def test_f_members_that_flood_with_contradictions_are_expelled(seven: Village) -> None:
    flooders, _ = await _flooded(seven, equivocates=True)
    # Votes for different blocks in one view end on every ledger, against the flooders and nobody else.
    guilty = {flooder.name for flooder in flooders}

    def all_accused() -> bool:
        for flooder in flooders:
            flooder.burst()
        return all(on_record(seven, running) == guilty for running in seven.nodes.values())

    await eventually(all_accused, "evidence against the flooders on every ledger")
    await seven.grown(2)
    for running in seven.nodes.values():
        assert on_record(seven, running) == guilty
        assert running.node.status()["refused"].get("not_a_member", 0) > 0
        assert all(held.is_within for held in held_by(running))


def on_record(village: Village, running: Running) -> set[str]:
    """Whom a node's ledger has evidence against."""
    meters = village.community.meters.items()
    return {name for name, meter in meters if running.node.ledger.get(keys.proven(meter.participant_id))}


async def test_oversize_frames_of_f_members_cut_their_links_only(seven: Village) -> None:
    await seven.start("H001", "H002", "H003", "H004", "H005")
    await seven.grown(1)
    flooders = [Flooder(seven, name, equivocates=False) for name in ("H006", "H007")]
    goal = max(seven.heights()) + 2
    async with asyncio.timeout(PATIENCE_S):
        while min(seven.heights()) < goal:
            attempts = [flooder.oversize(name) for flooder in flooders for name in seven.nodes]
            await asyncio.gather(*attempts)
    assert all(flooder.cut_off >= len(seven.nodes) for flooder in flooders)
    for running in seven.nodes.values():
        told = running.node.status()["transport"]
        assert told["refused_oversize"] >= len(flooders)
        assert all(held.is_within for held in held_by(running))
        assert len(running.mesh.connected()) >= 4
