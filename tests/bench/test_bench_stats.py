"""Percentiles that were measured, spreads over runs, buckets and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import longest_gap, per_bucket, percentile, percentiles, spread, spreads

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(sorted)


@pytest.mark.parametrize(
    ("percent", "rank"), [(0, 1), (50, 500), (90, 900), (99, 990), (99.9, 999), (100, 1000)]
)
def test_nearest_rank_of_a_thousand_values(percent: float, rank: int) -> None:
    assert percentile([float(i) for i in range(1, 1001)], percent) == rank


@given(values, st.floats(0.1, 100))
def test_a_percentile_is_the_smallest_measured_value_that_so_many_do_not_exceed(
    ascending: list[float], percent: float
) -> None:
    found = percentile(ascending, percent)
    assert found in ascending
    share = sum(value <= found for value in ascending) / len(ascending)
    assert share >= percent / 100 - 1e-9
    below = sum(value < found for value in ascending) / len(ascending)
    assert below < percent / 100


@pytest.mark.parametrize(("some", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_there_is_no_percentile_of_nothing_or_beyond_a_hundred(some: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile(some, percent)


def test_percentiles_have_the_names_of_the_results() -> None:
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p90": 3.0, "p99": 3.0, "p99_9": 3.0}
    assert percentiles([]) == {}


def test_the_spread_of_several_runs() -> None:
    assert spread([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
    assert spreads([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": (1.0, 2.0, 3.0)}
    assert spreads([]) == {}
    with pytest.raises(ValueError, match="no runs"):
        spread([])


def test_moments_fall_into_buckets_and_those_outside_into_none() -> None:
    assert per_bucket([0.0, 0.49, 0.5, 1.2, -0.1, 1.5, 7.0], 0.5, 1.5) == [2, 1, 1]


def test_the_longest_gap_counts_both_edges() -> None:
    assert longest_gap([1.0, 2.0, 4.5], 0.5, 5.0) == 2.5
    assert longest_gap([], 1.0, 3.0) == 2.0
    assert longest_gap([2.9, 9.0], 1.0, 6.0) == pytest.approx(3.1)
