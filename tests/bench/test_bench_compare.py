"""Two results side by side: only what changed by more than the bar counts, and only where both hold."""

import pytest
from summaries import made_up_row

from bench.compare import compare


def verdicts(before: float, after: float) -> dict[str, str]:
    old, new = made_up_row(throughput=before), made_up_row(throughput=after)
    return {change.figure: change.verdict for change in compare([old], [new]).changes}


@pytest.mark.parametrize(
    ("after", "verdict"), [(1000, "same"), (901, "same"), (1099, "same"), (899, "worse"), (1101, "better")]
)
def test_throughput_within_ten_percent_is_the_same(after: float, verdict: str) -> None:
    assert verdicts(1000, after)["throughput"] == verdict


def test_latency_is_worse_when_it_grows() -> None:
    slower = compare([made_up_row(p50=100)], [made_up_row(p50=120)])
    assert {change.figure for change in slower.worse} == {"p50 ms", "p99 ms"}
    faster = compare([made_up_row(p50=100)], [made_up_row(p50=80)])
    assert not faster.worse and all(c.better for c in faster.changes if c.figure != "throughput")


def test_another_bar_can_be_set() -> None:
    assert not compare([made_up_row(throughput=1000)], [made_up_row(throughput=700)], bar=0.5).worse


def test_an_invalid_row_is_reported_and_never_judged() -> None:
    bad = made_up_row(invalid="busy", throughput=1)
    for before, after, which in (
        (bad, made_up_row(), "the first"),
        (made_up_row(), bad, "the second"),
        (bad, bad, "both"),
    ):
        comparison = compare([before], [after])
        assert not comparison.changes
        assert comparison.left_out[0].endswith(f"invalid in {which}")


def test_points_that_only_one_result_has_are_named() -> None:
    comparison = compare([made_up_row(n=4)], [made_up_row(n=7)])
    assert not comparison.changes
    assert "n = 4" in comparison.left_out[0] and "first" in comparison.left_out[0]
    assert "n = 7" in comparison.left_out[1] and "second" in comparison.left_out[1]


def test_nothing_before_and_something_after_is_no_division_by_zero() -> None:
    comparison = compare([made_up_row(throughput=0)], [made_up_row(throughput=10)])
    assert comparison.changes[0].better
