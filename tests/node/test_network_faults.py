"""The simulator's network faults over real TCP: loss, delay, disorder, damage, partitions, masks."""

from __future__ import annotations

import asyncio

from node_network import FIRST_PERIOD, PATIENCE_S, Village, eventually

from p2penergy.messages import Commit, MalformedMessageError, decode_message
from transport import FaultPlan, LinkFaults

SEED = 20_160_623


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

    def kind_and_view(payload: bytes) -> tuple[str, int] | None:
        try:
            message = decode_message(payload)
        except MalformedMessageError:
            return None
        return ("commit", message.view) if isinstance(message, Commit) else None

    def first_view_of_three_heights(_source: bytes, _to: bytes, _kind: object, view: int) -> bool:
        if len(masked) < 3:
            masked.add(view)
        return view in masked

    village.plan = FaultPlan(SEED, classify=kind_and_view, mask=first_view_of_three_heights)
    await village.start()
    await eventually(lambda: len(masked) == 3, "three masked views")
    await village.grown(2)
    await agree(village)
