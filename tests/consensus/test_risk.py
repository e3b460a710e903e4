"""Committee risk: exact, equal to the textbook, and true to the figures of the specification."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from p2penergy.consensus.risk import (
    MEMBERS_MAX,
    bad_members,
    capture_probability,
    expected_blocks_to_capture,
    smallest_size,
    tolerated,
)


@st.composite
def draws(draw: st.DrawFn, members_max: int = 120) -> tuple[int, int, int]:
    members = draw(st.integers(1, members_max))
    return members, draw(st.integers(0, members)), draw(st.integers(1, members))


def test_the_figures_of_the_specification() -> None:
    assert float(capture_probability(1000, 200, 31)) == pytest.approx(3.05e-2, rel=2e-3)
    assert float(capture_probability(1000, 200, 100)) == pytest.approx(3.7e-4, rel=2e-3)
    blocks = [expected_blocks_to_capture(1000, 200, size) for size in (31, 100)]
    assert [round(block) for block in blocks if block] == [33, 2701]
    assert smallest_size(1000, 200, Fraction(1, 1_000_000)) == 181


def test_agrees_with_scipy_over_a_grid() -> None:
    for members in (1, 4, 31, 118, 1000):
        for share in (0, 10, 20, 33, 50, 100):
            bad = bad_members(members, Fraction(share, 100))
            for size in {1, 2, 3, 4, 7, members // 3, members - 1, members} & set(range(1, members + 1)):
                expected = hypergeom.sf(tolerated(size), members, bad, size)
                assert float(capture_probability(members, bad, size)) == pytest.approx(
                    expected, rel=1e-8, abs=1e-14
                )


@given(draws(members_max=500))
def test_agrees_with_scipy(case: tuple[int, int, int]) -> None:
    members, bad, size = case
    expected = hypergeom.sf(tolerated(size), members, bad, size)
    assert float(capture_probability(members, bad, size)) == pytest.approx(expected, rel=1e-7, abs=1e-13)


@given(draws(members_max=9))
def test_agrees_with_counting_every_committee(case: tuple[int, int, int]) -> None:
    members, bad, size = case
    committees = list(combinations(range(members), size))
    captured = sum(sum(member < bad for member in one) > tolerated(size) for one in committees)
    assert capture_probability(members, bad, size) == Fraction(captured, len(committees))


@given(draws(members_max=60), st.fractions(0, 1))
def test_the_smallest_size_is_the_first_that_is_safe_enough(
    case: tuple[int, int, int], target: Fraction
) -> None:
    members, bad, _ = case
    safe = (size for size in range(1, members + 1) if capture_probability(members, bad, size) <= target)
    assert smallest_size(members, bad, target) == next(safe, None)


@given(draws())
def test_expected_blocks_is_the_reciprocal(case: tuple[int, int, int]) -> None:
    probability = capture_probability(*case)
    blocks = expected_blocks_to_capture(*case)
    assert blocks is None if probability == 0 else blocks == 1 / probability


@given(draws())
def test_everybody_in_the_committee_is_captured_exactly_beyond_f(case: tuple[int, int, int]) -> None:
    members, bad, _ = case
    assert capture_probability(members, bad, members) == (bad > tolerated(members))


def test_no_size_is_safe_enough_when_half_are_bad() -> None:
    assert smallest_size(1000, 500, Fraction(1, 1000)) is None


def test_the_share_is_rounded_to_the_safe_side() -> None:
    assert bad_members(118, Fraction(1, 10)) == 12
    assert bad_members(1000, Fraction("0.2")) == 200


@pytest.mark.parametrize(
    ("members", "bad", "size"),
    [(0, 0, 1), (MEMBERS_MAX + 1, 0, 1), (10, -1, 1), (10, 11, 1), (10, 1, 0), (10, 1, 11)],
)
def test_impossible_figures(members: int, bad: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"{members}"):
        capture_probability(members, bad, size)


def test_impossible_shares_and_targets() -> None:
    for share in (Fraction(-1, 10), Fraction(11, 10)):
        with pytest.raises(ValueError, match="between 0 and 1"):
            bad_members(10, share)
    with pytest.raises(ValueError, match="negative"):
        smallest_size(10, 1, Fraction(-1))
