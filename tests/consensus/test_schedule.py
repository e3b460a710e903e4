"""CONSENSUS section 2: slots, views, leaders, stretch."""

import pytest
from consensus_harness import ALPHA_MS, T0_MS, make_genesis, participant
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.consensus import Rules
from p2penergy.consensus.schedule import Schedule, slot_at


def schedule(n: int, first: int = 1, view_slots_max: int = 8, rules: Rules | None = None) -> Schedule:
    rules = rules or Rules()
    timing = make_genesis(1, view_slots_max=view_slots_max).consensus
    return Schedule(first, [participant(i) for i in range(n)], timing, rules)


def test_slot_is_the_floor_also_before_t0() -> None:
    timing = make_genesis(1).consensus
    assert [slot_at(timing, T0_MS + d) for d in (-1, 0, ALPHA_MS - 1, ALPHA_MS)] == [-1, 0, 0, 1]


def test_equation_1_for_the_first_w_views() -> None:
    views = schedule(4, first=10)
    for slot in range(10, 18):
        assert views.view_at(slot) == slot
        assert views.start_slot(slot) == slot
        assert views.leader(slot) == participant(slot % 4)


def test_views_stretch_after_w_one_doubling_per_n_views() -> None:
    views = schedule(4, first=10)
    lengths = [views.start_slot(v + 1) - views.start_slot(v) for v in range(10, 10 + 28)]
    assert lengths == [1] * 8 + [2] * 4 + [4] * 4 + [8] * 12


def test_the_leader_of_a_long_view_is_by_attempt_not_by_slot() -> None:
    views = schedule(4, first=10)
    leaders = [views.leader(v) for v in range(18, 38)]
    assert leaders == [participant(v % 4) for v in range(18, 38)]
    assert len(set(leaders[8:12])) == 4, "long views rotate although their start slots are multiples of 8"


def test_one_leader_by_start_slot_would_own_every_long_view() -> None:
    class ByStartSlot(Rules):
        def leader_index(self, _view: int, start_slot: int, n: int) -> int:
            return start_slot % n

    views = schedule(4, first=10, rules=ByStartSlot())
    assert len({views.leader(v) for v in range(26, 38)}) == 1


def test_slots_before_the_first_have_no_view() -> None:
    views = schedule(4, first=10)
    assert views.view_at(9) == views.view_at(-5) == 9
    assert views.proposer_of(9) is None


def test_only_start_slots_have_a_proposer() -> None:
    views = schedule(4, first=10)
    assert views.proposer_of(18) == views.leader(18)
    assert views.proposer_of(19) is None


def test_a_view_ends_where_the_next_begins() -> None:
    views = schedule(4, first=10)
    assert views.start_ms(18) == T0_MS + 18 * ALPHA_MS
    assert views.end_ms(18) == views.start_ms(19) == T0_MS + 20 * ALPHA_MS
    assert views.propose_until_ms(18) == views.end_ms(18) - 20 - 3 * 50


@pytest.mark.parametrize("view_slots_max", [1, 2, 3, 8, 64])
@given(n=st.integers(1, 20), first=st.integers(1, 1000), offset=st.integers(0, 10**7))
def test_views_partition_the_slots(view_slots_max: int, n: int, first: int, offset: int) -> None:
    views = schedule(n, first, view_slots_max)
    slot = first + offset
    view = views.view_at(slot)
    assert views.start_slot(view) <= slot < views.start_slot(view + 1)
    assert views.view_at(views.start_slot(view)) == view
