"""The bounds of liveness, asserted on measured runs; `p2penergy liveness` measures many more."""

from itertools import product

import pytest

from p2penergy.simulation import liveness
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.liveness import FACTORS, NoDecisionError, rate, recovery, slots_bound, stretched
from p2penergy.simulation.world import World

SIZES = (4, 5, 6, 7, 10)
SEEDS = 12


@pytest.mark.parametrize("members", SIZES)
def test_a_healed_network_decides_within_f_plus_1_views_and_2(members: int) -> None:
    healed = recovery(members, range(SEEDS))
    assert healed.runs == SEEDS
    assert healed.views_max <= healed.bound == faulty_max(members) + 3
    assert healed.share_within(healed.views_max) == 1


@pytest.mark.parametrize("members", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_with_f_silent_every_slot_of_a_correct_leader_but_two_gives_a_block(members: int, seed: int) -> None:
    busy = rate(members, seed)
    assert busy.silent == faulty_max(members) >= 1
    assert busy.slots > busy.led > busy.slots // 2
    assert busy.is_within, busy


@pytest.mark.parametrize(("members", "factor"), [*product((4, 5, 7), FACTORS), (6, 2), (10, 8)])
def test_an_alpha_too_small_by_up_to_8_stalls_nobody(members: int, factor: int) -> None:
    slow = stretched(members, factor, seed=0)
    assert slow.blocks >= slow.slots // slow.slots_per_block_bound
    assert slow.slots_per_block_max <= slow.slots_per_block_bound
    # Views became as long as they had to, and no longer.
    assert slow.view_slots_max == factor


def test_an_alpha_too_small_by_16_is_more_than_stretching_bears() -> None:
    assert stretched(4, 16, seed=0).blocks == 0


def test_a_network_that_does_not_decide_gives_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "submit", lambda *_: None)
    monkeypatch.setattr(World, "new_replica", lambda *_: None)
    with pytest.raises(NoDecisionError, match="reproduce: p2penergy simulate --seeds 0"):
        recovery(4, range(1), "calm")


def test_too_few_blocks_are_seen() -> None:
    assert not liveness.Rate(4, 1, 10, led=8, blocks=5).is_within
    assert liveness.Rate(4, 1, 10, led=8, blocks=6).is_within


@pytest.mark.parametrize(("members", "factor", "slots"), [(4, 1, 16), (4, 2, 16), (4, 4, 32), (10, 8, 128)])
def test_the_bound_of_slots_adds_up_the_views_that_are_too_short(
    members: int, factor: int, slots: int
) -> None:
    assert slots_bound(members, factor) == slots
