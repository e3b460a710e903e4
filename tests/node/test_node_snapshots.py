"""A wiped validator among real nodes: it loads a snapshot, follows by blocks, and votes once it is safe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from node_network import FIRST_PERIOD, PATIENCE_S, Running, Village, eventually

from p2penergy import home as homes
from p2penergy.audit import audit
from p2penergy.client import ClientError
from p2penergy.messages import SyncRequest, SyncResponse, decode_message, encode
from p2penergy.snapshots.files import SUFFIX
from p2penergy.starting import open_store

EVERY, FAR = 4, 6


def settle(home: Path) -> None:
    """Snapshots of every fourth block, and six are far behind."""
    path = home / "config.toml"
    text = path.read_text("utf-8").replace("snapshot_blocks = 500", f"snapshot_blocks = {EVERY}")
    path.write_text(text.replace("far_behind_blocks = 1000", f"far_behind_blocks = {FAR}"), "utf-8")


def wipe(home: Path) -> None:
    """As after the loss of a disk of which only the settings and keys were copied."""
    for file in home.glob("ledger.sqlite3*"):
        file.unlink()


async def restarted(village: Village, name: str, votes_lost: bool = True) -> Running:
    """Start a validator as the command line does."""
    home = homes.load(village.community.homes[name])
    store = await open_store(home, votes_lost)
    running = Running(name, home, store)
    village.nodes[name] = running
    await running.started.wait()
    return running


@pytest.fixture
async def long_village(village: Village) -> Village:
    """Running, with snapshots of blocks far ahead of genesis."""
    for home in village.community.homes.values():
        settle(home)
    await village.start()
    await village.connect()
    async with asyncio.timeout(PATIENCE_S):
        for period in range(FIRST_PERIOD, FIRST_PERIOD + 4):
            await village.trade(period)
    await eventually(
        lambda: all(max(r.node.snapshots.heights(), default=0) >= FAR for r in village.nodes.values()),
        "snapshots",
    )
    return village


async def test_a_wiped_validator_starts_from_a_snapshot_and_votes_again(long_village: Village) -> None:
    village = long_village
    await village.stop("H003")
    wipe(village.community.homes["H003"])
    late = await restarted(village, "H003")
    base = late.store.base()
    assert base >= FAR
    assert base % EVERY == 0
    before = late.node.status()
    assert before["base_height"] == base
    restored = late.store.restored()
    assert restored.amnesia_slot is not None
    # What it may have signed before the loss is older than the slot in which it started again.
    await village.grown(3)
    await eventually(lambda: late.node.replica.counters["signed_commit"], "it votes again")
    other = village.nodes["H001"]
    assert not any(r.node.replica.counters["evidence"] for r in village.nodes.values())
    tip = min(late.store.tip(), other.store.tip())
    assert late.store.block(tip)[0] == other.store.block(tip)[0]  # type: ignore[index]
    # The trade of the first period is in the state, and its receipt is not here any more.
    first = other.store.blocks(1, base - 1, 1 << 24)
    assert len(first) == base - 1
    for height in range(1, base):
        assert late.store.receipts(height) == []
    # It makes snapshots itself from now on.
    await eventually(late.node.snapshots.heights, "a snapshot of its own")


async def test_it_tells_that_it_has_no_history_and_gives_none(long_village: Village) -> None:
    village = long_village
    await village.stop("H003")
    wipe(village.community.homes["H003"])
    late = await restarted(village, "H003")
    mesh, listener, peer = await village.dial_as("H006", "H003")
    mesh.send(peer, encode(SyncRequest(1, 5)))

    def answers() -> list[SyncResponse]:
        decoded = (decode_message(frame) for _, frame in listener.frames)
        return [message for message in decoded if isinstance(message, SyncResponse)]

    await eventually(answers)
    [answer] = answers()
    assert (answer.blocks, answer.tip >= late.store.base()) == ((), True)
    household = village.household(6)
    async with asyncio.timeout(PATIENCE_S):
        await household.client.connected(len(village.nodes))
    with pytest.raises(ClientError, match=f"since block {late.store.base()}, with which this ledger begins"):
        await household.client.query(peer, "proof", b"x" * 32)


async def test_its_ledger_is_audited_from_there_and_agrees_with_the_others(long_village: Village) -> None:
    village = long_village
    await village.stop("H003")
    wipe(village.community.homes["H003"])
    await restarted(village, "H003")
    await village.grown(3)
    for name in tuple(village.nodes):
        await village.stop(name)
    report = audit(village.community.homes["H001"].parent)
    assert report.is_clean, [str(each) for ledger in report.ledgers for each in ledger.findings]
    assert [ledger.base_height > 0 for ledger in report.ledgers] == [False, False, True, False]


async def test_without_a_snapshot_it_takes_blocks(long_village: Village) -> None:
    village = long_village
    for running in village.nodes.values():
        for file in running.home.snapshots_path.glob(f"*{SUFFIX}"):
            file.write_bytes(file.read_bytes()[:-1])
    await village.stop("H003")
    wipe(village.community.homes["H003"])
    late = await restarted(village, "H003")
    assert late.store.base() == 0
    await village.grown(1)
    assert late.node.replica.counters["decided_caught_up"] >= FAR


async def test_a_ledger_that_holds_blocks_is_left_as_it_is(long_village: Village) -> None:
    village = long_village
    await village.stop("H003")
    await village.grown(FAR + EVERY)
    late = await restarted(village, "H003", votes_lost=False)
    assert late.store.base() == 0
    await village.grown(1)
    blocks = late.store.blocks(1, 100, 1 << 24)
    assert len(blocks) >= FAR


async def test_the_disk_may_refuse_a_snapshot(long_village: Village) -> None:
    village = long_village
    running = village.nodes["H001"]
    folder = running.home.snapshots_path
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    await village.grown(2 * EVERY)
    assert not running.task.done()
    assert folder.read_text() == "in the way"
