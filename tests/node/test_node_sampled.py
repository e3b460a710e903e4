"""Seven validators of whom four decide each block, drawn by lot: over real TCP, TLS and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from node_network import FIRST_PERIOD, PATIENCE_S, Village, a_plan, eventually, short_chains

from p2penergy import relaying
from p2penergy.founding import found
from p2penergy.messages import Decided, decode_block

VALIDATORS, SIZE = 7, 4


@pytest.fixture
async def sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Village]:
    short_chains(monkeypatch)
    plan = a_plan(VALIDATORS, VALIDATORS + 1, committee_size_max=SIZE, settle_blocks=2, empty_block_slots=1)
    community = found(plan, tmp_path)
    village = Village(community, None)  # type: ignore[arg-type]
    try:
        await village.start()
        yield village
    finally:
        await village.end()


async def test_a_sampled_network_decides_and_everybody_follows(sampled: Village) -> None:
    await sampled.grown(3)
    await sampled.connect(SIZE - 1)
    async with asyncio.timeout(PATIENCE_S):
        await sampled.household(VALIDATORS + 1).report(FIRST_PERIOD, 100, 0)
    await sampled.grown(8)
    stores = [running.store for running in sampled.nodes.values()]
    height = min(store.tip() for store in stores)
    assert height >= 8
    deciders = set()
    for at in range(1, height + 1):
        certified = [store.blocks(at, 1, 1 << 20)[0] for store in stores]
        assert len({block for block, _ in certified}) == 1
        deciders.add(decode_block(certified[0][0]).header.committee_root)
    assert len(deciders) >= 3, "committees change from block to block"
    counters = [running.node.replica.counters for running in sampled.nodes.values()]
    assert all(each["decided"] for each in counters), "blocks come to followers, too"


async def test_each_follower_is_sent_a_block_by_its_two_relays(sampled: Village) -> None:
    await sampled.grown(2)
    nodes = {running.participant_id: running.node for running in sampled.nodes.values()}

    def agrees() -> bool:
        tips = {node.replica.tip_digest: node.replica.tip for node in nodes.values()}
        if len(tips) != 1:
            return False
        (message,) = tips.values()
        assert isinstance(message, Decided)
        height, digest = message.certificate.height, message.certificate.digest
        order = next(iter(nodes.values())).replica.committee(height).members
        sends = {me: set(node._everybody(message)) for me, node in nodes.items()}
        for follower in nodes.keys() - set(order):
            relays = {me for me in order if follower in sends[me]}
            assert relays == set(relaying.relays_of(follower, digest, order))
            assert len(relays) == relaying.RELAYS
        # Who decided by voting is sent nothing.
        assert not any(set(order) & told for told in sends.values())
        return True

    await eventually(agrees)
