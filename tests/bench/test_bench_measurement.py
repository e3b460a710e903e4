"""Figures of samples, and every reason why a run does not count."""

import pytest

from bench import measurement
from bench.experiments.catchup import CatchUp
from bench.experiments.crash import timeline
from bench.experiments.faults import cases, plan_for
from bench.experiments.wan import point_name, timing_for
from bench.faulty import FAULTS
from bench.load import Collected
from bench.measurement import Load
from bench.network import Options, Timing, with_faults
from bench.resources import Usage, costs, disagreement
from bench.results import Sample

LOAD = Load(rate_per_s=10, length_s=2.0, warm_up_s=1.0)


def sample(intended_s: float, done_s: float | None, outcome: str = "accepted") -> Sample:
    intended = round(intended_s * 1e6)
    done = -1 if done_s is None else round(done_s * 1e6)
    return Sample(intended, intended + 2_000, done, outcome, 1)


SAMPLES = [sample(0.5, 0.9), sample(0.9, 1.5), sample(1.5, 1.7), sample(2.9, 3.4), sample(2.5, None, "lost")]


def test_latency_counts_from_the_intended_moment_and_within_the_window_only() -> None:
    assert measurement.latencies_ms(SAMPLES, LOAD) == pytest.approx([200, 500])


def test_throughput_counts_what_was_answered_within_the_window() -> None:
    assert measurement.throughput(SAMPLES, LOAD) == 1.0
    assert measurement.offered(SAMPLES, LOAD) == 1.5
    assert measurement.lateness_ms(SAMPLES) == [2.0] * 5


def test_enough_requests_are_signed_ahead() -> None:
    assert LOAD.requests >= 30
    assert Load(0, 10, 0, lone_gap_s=1.0).requests >= 10


@pytest.mark.parametrize(
    ("samples", "repeated", "words"),
    [
        ([sample(0, None, "lost")], 0, "1 requests were never answered"),
        ([sample(0, 1, "declined")] * 2, 0, "replies were wrong: 2 correct requests were declined"),
        ([sample(0, 1)], 3, "replies were wrong: 3 requests were executed twice"),
    ],
)
def test_lost_declined_and_repeated_requests_make_a_run_invalid(
    samples: list[Sample], repeated: int, words: str
) -> None:
    assert measurement.wrong_answers(Collected(samples, repeated)) == [words]


def test_a_refusal_is_an_answer() -> None:
    assert measurement.wrong_answers(Collected([sample(0, None, "refused"), sample(0, 1)], 0)) == []


def usage(height: int, root: str = "aa", **more: float) -> Usage:
    figures = {
        "cpu_s": 1.0,
        "rss_mib": 50.0,
        "disk_bytes": 1000,
        "frames": 10,
        "bytes_out": 100,
        "commits": 5,
    }
    return Usage(**{**figures, **more}, height=height, state_root=root)  # type: ignore[arg-type]


def test_costs_are_differences_over_all_validators_by_request() -> None:
    before = {0: usage(1), 1: usage(1)}
    after = {
        0: usage(11, cpu_s=2.0, frames=110, bytes_out=1100, disk_bytes=3000, commits=35, rss_mib=70.0),
        1: usage(11, cpu_s=2.0, frames=110, bytes_out=1100, disk_bytes=2000, commits=25, rss_mib=60.0),
    }
    found = costs(before, after, 100)
    assert found["cpu_ms_per_request"] == pytest.approx(20.0)
    assert found["messages_per_request"] == pytest.approx(2.0)
    assert found["bytes_per_request"] == pytest.approx(20.0)
    assert found["disk_bytes_per_request_and_node"] == pytest.approx(20.0)
    assert found["requests_per_block"] == pytest.approx(10.0)
    assert found["commits_per_block_and_node"] == pytest.approx(2.5)
    assert found["rss_mib_max"] == 70.0
    assert costs(before, after, 0) == {}


def test_a_validator_that_was_not_there_at_first_costs_nothing() -> None:
    assert costs({}, {0: usage(5)}, 10) == {}


def test_two_states_at_one_height_are_a_disagreement() -> None:
    assert disagreement({0: usage(5, "aa"), 1: usage(5, "aa"), 2: usage(4, "bb")}) is None
    said = disagreement({0: usage(5, "aa"), 1: usage(5, "bb")})
    assert said is not None and "height 5" in said


def test_every_fault_is_measured_with_every_number_of_members_up_to_f() -> None:
    full = list(cases(2, FAULTS, everything=True))
    assert full[0] == ("none", 0) and len(full) == 1 + 2 * len(FAULTS)
    assert {count for fault, count in full if fault == "silent"} == {1, 2}
    assert list(cases(2, FAULTS, everything=False))[1:] == [(fault, 2) for fault in FAULTS]


def test_a_quick_look_is_short() -> None:
    plan = plan_for((1, 2), FAULTS, quick=True)
    assert len(plan[1]) == 1 + len(FAULTS) and plan[2] == [("none", 0), ("silent", 2)]
    assert sum(map(len, plan_for((1, 2, 3, 4, 5), FAULTS, quick=False).values())) == 5 + 4 * 15


def test_the_last_members_are_the_faulty_ones() -> None:
    options = with_faults(Options(n=7), "silent", 2)
    assert options.faults == {6: "silent", 5: "silent"} and options.f == 2
    assert options.profile(6).fault == "silent" and options.profile(0).is_plain
    assert with_faults(Options(n=4), "crashed", 1).profile(3).is_plain, "the parent kills it"
    assert not Options(n=4, workload="0/0").profile(0).is_plain


def test_far_validators_get_a_genesis_that_fits_them() -> None:
    near, far = timing_for(Timing(), 0), timing_for(Timing(), 100)
    assert near == Timing()
    assert far.delta_ms == 140 and far.alpha_ms >= 4 * far.eps_ms + 12 * far.delta_ms
    assert point_name(25.0, 0) == "25 ms" and point_name(25.0, 10) == "25 ms, 10 Mbit/s"


def test_one_machine_has_the_slots_that_it_needs() -> None:
    timing = Timing()
    assert timing.alpha_ms >= 4 * timing.eps_ms + 12 * timing.delta_ms


def test_the_time_line_counts_slots_without_a_block() -> None:
    load = Load(100, 4.0, 0.0)
    answered = [sample(at, at) for at in (0.1, 0.6, 1.1, 2.6, 3.1, 3.6)]
    line = timeline(answered, load, 0.5, down_at_s=1.0, up_at_s=3.0)
    assert line.answered == [1, 1, 1, 0, 0, 1, 1, 1]
    assert line.slots_without_block_max == 2


def test_catch_up_figures_have_names_with_units() -> None:
    assert set(CatchUp.__slots__) >= {"catch_up_s", "start_up_s", "rss_mib", "disk_bytes_per_request"}
