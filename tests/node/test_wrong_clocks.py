"""One validator of four has a wrong clock: the others go on; set right, it takes part again."""

from __future__ import annotations

import pytest
from node_network import ALPHA_MS, Village, eventually

from p2penergy.coordinator import wall_clock_ms

BLOCKS = 4


class Clock:
    """Shows the time plus an offset, or stands still."""

    def __init__(self) -> None:
        self.offset_ms = 0
        self.frozen_ms: int | None = None

    def __call__(self) -> int:
        return self.frozen_ms if self.frozen_ms is not None else wall_clock_ms() + self.offset_ms

    def set_right(self) -> None:
        """As a time server would."""
        self.offset_ms, self.frozen_ms = 0, None


def _step_back(clock: Clock) -> None:
    clock.offset_ms = -20 * ALPHA_MS


def _step_ahead(clock: Clock) -> None:
    clock.offset_ms = 20 * ALPHA_MS


def _freeze(clock: Clock) -> None:
    clock.frozen_ms = wall_clock_ms()


@pytest.mark.parametrize("go_wrong", [_step_back, _step_ahead, _freeze], ids=lambda step: step.__name__)
async def test_a_wrong_clock_stops_nobody_and_names_no_future_slot(village: Village, go_wrong) -> None:  # type: ignore[no-untyped-def]
    clock = village.clocks["H003"] = Clock()
    await village.start()
    await village.grown(1)
    go_wrong(clock)
    wrong = village.nodes["H003"]
    others = [running for running in village.nodes.values() if running is not wrong]
    goal = max(running.height for running in others) + BLOCKS
    await eventually(lambda: min(running.height for running in others) >= goal, "the others go on")
    rules = village.community.genesis.consensus
    for running in others:
        slot = (wall_clock_ms() - rules.t0_ms) // rules.alpha_ms
        assert running.node.replica.tip_slot <= slot + 1
    clock.set_right()
    signed = wrong.node.replica.counters["signed_commit"]
    await village.grown(2)
    await eventually(lambda: wrong.node.replica.counters["signed_commit"] > signed, "it votes again")
    roots = {running.node.store.headers(goal, 1)[0][0].state_root for running in village.nodes.values()}
    assert len(roots) == 1
