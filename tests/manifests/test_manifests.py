"""The generator of manifests keeps within f, and one small manifest holds on real processes.

The rest have their own command: `python -m tests.manifests`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import judge_alive, judge_ledgers
from manifest import VALIDATORS_MAX, VALIDATORS_MIN, Episode, Kind, Manifest, draw, kills
from running import BrokenError, World


def check_lanes(plan: Manifest) -> None:
    assert len(plan.lanes) <= plan.fault_limit
    victims = [{each.victim for each in lane} for lane in plan.lanes]
    assert sum(map(len, victims)) == len(set().union(*victims)), "a validator is in two lanes"
    assert set().union(*victims) <= set(range(plan.validators))


@given(st.integers(0, 2**32))
def test_never_more_than_f_are_disturbed_at_once(seed: int) -> None:
    plan = draw(seed)
    assert plan == draw(seed)
    check_lanes(plan)
    assert VALIDATORS_MIN <= plan.validators <= VALIDATORS_MAX
    assert all(abs(clock) <= plan.eps_ms for clock in plan.clocks_ms)
    for lane in plan.lanes:
        # Who was there once is not late.
        assert all(each.kind is not Kind.LATE for each in lane[1:])
        assert all((each.kind is Kind.CLOCK) == (each.clock_ms != 0) for each in lane)
    assert str(seed) in str(plan)


def test_every_kind_is_drawn() -> None:
    assert {each.kind for seed in range(50) for lane in draw(seed).lanes for each in lane} == set(Kind)
    assert {draw(seed).validators for seed in range(50)} == set(range(VALIDATORS_MIN, VALIDATORS_MAX + 1))


@given(st.integers(0, 2**32), st.integers(VALIDATORS_MIN, VALIDATORS_MAX), st.integers(1, 200))
def test_kills_are_as_many_as_asked_for(seed: int, validators: int, count: int) -> None:
    plan = kills(seed, validators, count)
    check_lanes(plan)
    assert [each.kind for lane in plan.lanes for each in lane] == [Kind.KILL] * count


SMALL = Manifest(
    0,
    4,
    400,
    15,
    25,
    (7, -7, 0, 3),
    ((Episode(0, 0, Kind.KILL, 200), Episode(0, 1, Kind.PAUSE, 600), Episode(0, 3, Kind.CLOCK, 900, 1600)),),
)


@pytest.mark.timeout(400)
async def test_a_small_manifest_holds_and_what_is_missing_is_found(tmp_path: Path) -> None:
    told: list[str] = []
    world = World(SMALL, tmp_path, None, told.append)
    try:
        await world.start()
        await world.disturb()
        assert await judge_alive(world) > 0
        with pytest.raises(BrokenError, match="ended by itself"):
            # Nobody asked for this one.
            assert world.nodes[2].pid is not None
            world.nodes[2]._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
            await world.until(lambda: asyncio.sleep(0, False), "it is noticed")
    finally:
        await world.end()
    assert told == ["kill node-1", "pause node-2", "clock node-4"]
    decided = len(world.witnessed.receipts)
    assert decided >= 3
    assert judge_ledgers(tmp_path, decided) > 0
    with pytest.raises(BrokenError, match="transactions have a receipt"):
        judge_ledgers(tmp_path, decided + 1)
    ledger = tmp_path / "node-1" / "ledger.sqlite3"
    ledger.write_bytes(ledger.read_bytes()[:-4096])
    with pytest.raises(BrokenError, match="is cut short"):
        judge_ledgers(tmp_path, decided)


def test_a_range_of_seeds_is_asked_for_in_its_form() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.manifests", "--seeds", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not SEED or FIRST..LAST" in done.stderr
