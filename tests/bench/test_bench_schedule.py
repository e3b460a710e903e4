"""Open-loop arrivals, and the judgement on a generator that could not keep them."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.schedule import LATE_MS_MAX, fell_behind, lone, poisson, share


def test_arrivals_have_the_rate_that_was_asked_for_and_the_same_for_the_same_seed() -> None:
    moments = poisson(2_000, 10, Random(7))
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    assert moments == sorted(moments)
    assert moments[0] >= 0 and moments[-1] < 10
    assert moments == poisson(2_000, 10, Random(7))
    assert moments != poisson(2_000, 10, Random(8))


@pytest.mark.parametrize(("rate", "length"), [(0, 1), (-1, 1), (1, 0)])
def test_no_load_is_no_plan(rate: float, length: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        poisson(rate, length, Random(1))


def test_lone_requests_keep_their_distance_and_are_not_regular() -> None:
    moments = lone(100, 1.0, Random(3))
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    assert len(moments) == 100
    assert min(gaps) >= 1.0 and max(gaps) < 2.0
    assert len({round(gap, 6) for gap in gaps}) > 50


@given(st.lists(st.floats(0, 10), max_size=50).map(sorted), st.integers(1, 5))
def test_several_generators_together_send_everything_once(moments: list[float], parts: int) -> None:
    assert sorted(moment for part in range(parts) for moment in share(moments, part, parts)) == moments


def test_a_generator_that_keeps_its_plan_is_trusted() -> None:
    assert fell_behind([1.0] * 990 + [LATE_MS_MAX * 4] * 10, 1_000) is None
    assert fell_behind([], 0) is None


def test_a_generator_that_sends_late_is_not() -> None:
    said = fell_behind([1.0] * 980 + [LATE_MS_MAX * 4] * 20, 1_000)
    assert said is not None and "fell behind" in said and "200 ms late" in said


def test_a_generator_that_does_not_send_everything_is_not() -> None:
    said = fell_behind([1.0] * 980, 1_000)
    assert said is not None and "980 of 1000" in said
