"""CONSENSUS section 9: what is said at the start about committees that promise little."""

import pytest

from p2penergy.consensus import cautions
from p2penergy.genesis import ConsensusRules


def about(volunteers: int, size: int = 100, settle_blocks: int = 200) -> list[str]:
    timing = ConsensusRules(
        t0_ms=0,
        alpha_ms=1000,
        eps_ms=0,
        delta_ms=0,
        settle_blocks=settle_blocks,
        committee_size_min=1,
        committee_size_max=size,
    )
    return cautions.about(timing, volunteers)


@pytest.mark.parametrize("volunteers", [4, 7, 100])
def test_where_all_volunteers_are_the_committee_there_is_nothing_to_say(volunteers: int) -> None:
    assert about(volunteers, settle_blocks=0) == []


@pytest.mark.parametrize("volunteers", [1, 2, 3])
def test_committees_that_withstand_nobody(volunteers: int) -> None:
    (said,) = about(volunteers)
    assert said.startswith(f"A committee of {volunteers} withstands no faulty member")


@pytest.mark.parametrize(("size", "blocks"), [(31, "33"), (100, "2,701")])
def test_samples_that_are_captured_too_often(size: int, blocks: str) -> None:
    (said,) = about(1000, size)
    assert f"Committees of {size} are drawn from 1000 volunteers" in said
    assert f"one committee in {blocks} is captured; a committee_size_max of 181 would" in said


def test_a_sample_that_is_large_enough_and_pools_that_are_read_too_late() -> None:
    assert about(1000, 181) == []
    (said,) = about(1000, 181, settle_blocks=180)
    assert said.startswith("settle_blocks = 180 is below the committee's size of 181")
    assert len(about(1000, 31, settle_blocks=0)) == 2


def test_more_volunteers_than_the_arithmetic_takes_are_not_an_error() -> None:
    assert about(20_000, 100) == []
