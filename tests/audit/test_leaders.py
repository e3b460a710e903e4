"""The audit's second writing of committees and views agrees with the consensus core's."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.audit.leaders import Panel, Views
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.schedule import Schedule
from p2penergy.genesis import ConsensusRules


def pool(size: int) -> list[bytes]:
    return [sha256(b"%d" % number).digest()[:20] for number in range(size)]


def timing(view_slots_max: int = 8) -> ConsensusRules:
    return ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=0, delta_ms=0, view_slots_max=view_slots_max)


@given(st.integers(1, 12), st.integers(1, 10**6), st.integers(1, 64), st.integers(0, 200))
def test_views_and_leaders_are_the_same(size: int, first: int, longest: int, ahead: int) -> None:
    members = pool(size)
    theirs = Schedule(first, members, timing(longest), Rules())
    mine, panel = Views(first, size, timing(longest)), Panel(tuple(members), {})
    slot = first + ahead
    view = mine.view_starting_in(slot)
    assert theirs.proposer_of(slot) == (None if view is None else panel.leader(view))
    assert mine.start_slot(first + ahead) == theirs.start_slot(first + ahead)


@pytest.mark.parametrize(("n", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (6, 4), (7, 5), (10, 7)])
def test_the_quorum_is_that_of_the_specification(n: int, quorum: int) -> None:
    assert Panel(tuple(pool(n)), {}).quorum == quorum


def test_no_view_begins_before_the_first_slot() -> None:
    assert Views(5, 4, timing()).view_starting_in(4) is None
