"""The simulator's network faults over real TCP: loss, delay, disorder, damage, partitions, masks, resets."""

from __future__ import annotations

import asyncio
import socket
import struct
from hashlib import sha256

from node_network import FIRST_PERIOD, PATIENCE_S, Village, eventually

from p2penergy.messages import (
    Commit,
    Decided,
    MalformedMessageError,
    Prepare,
    PrePrepare,
    SyncResponse,
    ViewChange,
    decode_message,
)
from transport import FaultPlan, LinkFaults, TcpMesh

SEED = 20_160_623
MASKED_VIEWS = 6


def kind_and_view(payload: bytes) -> tuple[str, int] | None:
    """For masks: what a payload is, and in which view."""
    try:
        message = decode_message(payload)
    except MalformedMessageError:
        return None
    if isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
        return type(message).__name__, message.view
    return (type(message).__name__, 0) if isinstance(message, Decided | SyncResponse) else None


async def agree(village: Village) -> None:
    """Every node at one height with one state root."""

    def states() -> set[tuple[int, bytes]]:
        return {(n.height, n.node.ledger.state_root) for n in village.nodes.values()}

    await eventually(lambda: len(states()) == 1, "all nodes alike")


async def test_trades_go_through_a_network_that_loses_delays_doubles_and_disorders(village: Village) -> None:
    bad = LinkFaults(loss=0.05, duplicate=0.1, reorder=0.1, delay_ms=2, jitter_ms=5, reorder_ms=20)
    village.plan = FaultPlan(SEED, everywhere=bad)
    await village.start()
    await village.connect()
    async with asyncio.timeout(PATIENCE_S):
        for period in range(FIRST_PERIOD, FIRST_PERIOD + 3):
            await village.trade(period)
    village.plan.everywhere = LinkFaults()
    await village.grown(1)
    await agree(village)


async def test_damaged_payloads_are_refused_and_counted(village: Village) -> None:
    village.plan = FaultPlan(SEED, everywhere=LinkFaults(corrupt=0.1, truncate=0.05))
    await village.start()
    await village.grown(3)
    refused = village.nodes["H001"].node.refusals()
    assert any(refused[code] for code in ("malformed", "not_canonical", "bad_signature"))


async def test_two_halves_decide_nothing_and_go_on_together(village: Village) -> None:
    village.plan = FaultPlan(SEED)
    await village.start()
    await village.grown(1)
    ids = [running.participant_id for running in village.nodes.values()]
    village.plan.partition(ids[:2], ids[2:])
    # What was on its way may still be decided; then views pass and heights stay.
    nodes = [running.node for running in village.nodes.values()]
    settled = max(village.heights())
    at = {node: node.replica.view for node in nodes}
    await eventually(lambda: all(node.replica.view >= at[node] + 6 for node in nodes), "views passing")
    assert max(village.heights()) <= settled + 1
    assert max(village.heights()) - min(village.heights()) <= 1
    village.plan.heal()
    await village.grown(2)
    await agree(village)


async def test_a_deaf_validator_is_left_behind_and_catches_up(village: Village) -> None:
    village.plan = FaultPlan(SEED)
    await village.start()
    await village.grown(1)
    deaf = village.nodes["H003"]
    for other in village.nodes.values():
        if other is not deaf:
            village.plan.block(other.participant_id, deaf.participant_id)
    goal = max(village.heights()) + 4
    others = [running for running in village.nodes.values() if running is not deaf]
    await eventually(lambda: min(running.height for running in others) >= goal)
    assert deaf.height < goal
    village.plan.heal()
    await village.grown(1)
    await agree(village)


async def test_commits_masked_in_a_view_are_made_up_for_in_a_later_one(village: Village) -> None:
    masked: set[int] = set()

    def first_view_of_three_heights(_source: bytes, _to: bytes, kind: str, view: int) -> bool:
        if kind != "Commit":
            return False
        if len(masked) < 3:
            masked.add(view)
        return view in masked

    village.plan = FaultPlan(SEED, classify=kind_and_view, mask=first_view_of_three_heights)
    await village.start()
    await eventually(lambda: len(masked) == 3, "three masked views")
    await village.grown(2)
    await agree(village)


async def test_masks_per_view_type_and_link_are_survived(village: Village) -> None:
    masked: set[int] = set()
    hits: set[tuple[str, bytes, bytes]] = set()

    def enough() -> bool:
        kinds = {kind for kind, _, _ in hits}
        return len(masked) >= MASKED_VIEWS and kinds >= {"PrePrepare", "Prepare", "Commit"}

    def some_links(source: bytes, to: bytes, kind: str, view: int) -> bool:
        if kind in {"Decided", "SyncResponse"} or (view not in masked and enough()):
            return False
        masked.add(view)
        dead = sha256(b"%d %s %d" % (SEED, kind.encode(), view) + source + to).digest()[0] < 100
        if dead:
            hits.add((kind, source, to))
        return dead

    village.plan = FaultPlan(SEED, classify=kind_and_view, mask=some_links)
    await village.start()
    await eventually(enough, "so many views under a mask, of every kind of vote")
    await village.grown(2)
    await agree(village)


async def test_whoever_decides_alone_and_is_cut_off_then_is_agreed_with(village: Village) -> None:
    plan = village.plan = FaultPlan(SEED, classify=kind_and_view)
    alone = village.community.meters["H001"].participant_id
    decided: list[int] = []

    def commits_to_one_only(source: bytes, to: bytes, kind: str, _view: int) -> bool:
        if decided:
            return False
        if kind == "Decided" and source == alone:
            # Its decision is durable and on its way to all: this is the moment.
            decided.append(village.nodes["H001"].node.store.tip())
            plan.isolate(alone)
            return True
        return kind == "Commit" and to != alone

    plan.mask = commits_to_one_only
    await village.start()
    await eventually(lambda: decided, "one node decides alone")
    height = decided[0]
    others = [running for name, running in village.nodes.items() if name != "H001"]
    await eventually(lambda: min(running.height for running in others) > height, "the others go on")
    plan.heal()
    await village.grown(1)
    stores = [running.node.store for running in village.nodes.values()]
    assert len({store.headers(height, 1)[0][0].state_root for store in stores}) == 1
    assert len({store.headers(height + 1, 1)[0][0].parent for store in stores}) == 1
    await agree(village)


async def test_a_validator_that_hears_and_is_not_heard_stops_nobody(village: Village) -> None:
    plan = village.plan = FaultPlan(SEED)
    await village.start()
    await village.grown(1)
    mute = village.nodes["H002"]
    others = [running for running in village.nodes.values() if running is not mute]
    for other in others:
        plan.block(mute.participant_id, other.participant_id)
    # It follows as fast as the others, since it hears every vote.
    await village.grown(4)
    plan.heal()
    await village.grown(1)
    await agree(village)


async def test_a_slow_link_holds_up_its_own_end_only(village: Village) -> None:
    plan = village.plan = FaultPlan(SEED)
    await village.start()
    await village.grown(1)
    slow = village.nodes["H004"]
    crawl = LinkFaults(bandwidth_bytes_per_s=20_000, delay_ms=40, queue_bytes_max=64_000)
    others = [running for running in village.nodes.values() if running is not slow]
    for other in others:
        plan.set_link(slow.participant_id, other.participant_id, crawl)
        plan.set_link(other.participant_id, slow.participant_id, crawl)
    goal = max(village.heights()) + 4
    await eventually(lambda: min(running.height for running in others) >= goal)
    for other in others:
        plan.set_link(slow.participant_id, other.participant_id, LinkFaults())
        plan.set_link(other.participant_id, slow.participant_id, LinkFaults())
    await village.grown(1)
    await agree(village)


def _break_all(mesh: object) -> int:
    """Reset every connection of a mesh in the middle of a frame; how many there were."""
    assert isinstance(mesh, TcpMesh)
    links = tuple(mesh._links.values())
    for link in links:
        transport = link._transport
        assert transport is not None
        # A frame of a thousand bytes is announced, and some of them follow.
        transport.write(b"\xc5\x03\xe8" + b"half")
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return len(links)


async def test_connections_reset_in_mid_frame_are_made_again(village: Village) -> None:
    await village.start()
    await village.connect()
    broken = 0
    for period in range(FIRST_PERIOD, FIRST_PERIOD + 2):
        await village.grown(1)
        broken += sum(_break_all(running.mesh) for running in village.nodes.values())
        async with asyncio.timeout(PATIENCE_S):
            await village.trade(period)
    assert broken >= 12
    await village.grown(1)
    meshes = [running.mesh for running in village.nodes.values()]
    await eventually(lambda: all(len(mesh.connected()) >= 3 for mesh in meshes), "everybody connected again")
    await agree(village)


async def test_all_validators_at_once_lose_power_and_go_on(village: Village) -> None:
    await village.start()
    await village.grown(2)
    heights = dict(zip(village.nodes, village.heights(), strict=True))
    for name in tuple(village.nodes):
        await village.stop(name)
    await village.start()
    assert all(running.height >= heights[name] for name, running in village.nodes.items())
    await village.grown(2)
    await agree(village)
