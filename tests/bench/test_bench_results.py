"""Rows from runs, and the files that hold them."""

from pathlib import Path

import msgspec
import pytest
from summaries import made_up_row, whole_summary

from bench.results import Folder, Point, ResultsError, Run, Sample, figures, read_raw, read_summary, row

POINT = Point(experiment="faults", name="peak", workload="trades", n=4, f=1, faulty=1, fault="silent")


def run_of(throughput: float, *invalid: str, limit: float | None = 4_000.0) -> Run:
    return Run(
        rate_offered=1_000.0,
        throughput=throughput,
        latency_ms={"p50": throughput / 10},
        signature_limit=limit,
        costs={"cpu_ms_per_request": 1.0},
        invalid_because=invalid,
    )


def test_a_row_has_the_medians_of_its_runs_and_their_spread() -> None:
    made = row(POINT, [run_of(900), run_of(1_000), run_of(800)])
    assert (made.throughput_min, made.throughput, made.throughput_max) == (800, 900, 1_000)
    assert made.latency_ms == {"p50": 90.0}
    assert made.latency_ms_min == {"p50": 80.0} and made.latency_ms_max == {"p50": 100.0}
    assert made.share_of_limit == pytest.approx(900 / 4_000)
    assert made.valid and made.invalid_because == [] and made.runs_valid == 3


def test_an_invalid_run_lends_no_figure_to_a_row_that_has_valid_ones() -> None:
    made = row(POINT, [run_of(900), run_of(10, "the generator fell behind"), run_of(800)])
    assert made.throughput == 850 and made.throughput_min == 800
    assert made.valid and made.runs_valid == 2 and len(made.runs) == 3


def test_a_row_without_a_valid_run_says_every_reason_once() -> None:
    made = row(POINT, [run_of(900, "busy"), run_of(800, "busy", "late")])
    assert not made.valid and made.invalid_because == ["busy", "late"]
    assert made.throughput == 850, "the figures are shown all the same"


def test_no_runs_make_no_row() -> None:
    with pytest.raises(ValueError, match="at least one"):
        row(POINT, [])


def test_requests_without_signatures_have_no_limit() -> None:
    made = row(POINT, [run_of(900, limit=None)])
    assert made.signature_limit is None and made.share_of_limit is None
    assert figures(made)[2] == ""


def test_the_summary_comes_back_as_it_was_written(tmp_path: Path) -> None:
    summary = whole_summary()
    path = Folder(tmp_path / "out").write_summary(summary)
    assert read_summary(path) == summary == read_summary(tmp_path / "out")


def test_the_summary_has_the_fields_that_others_read(tmp_path: Path) -> None:
    path = Folder(tmp_path).write_summary(whole_summary())
    first = msgspec.json.decode(path.read_bytes())["rows"][0]
    for name in (
        "workload",
        "n",
        "f",
        "faulty",
        "fault",
        "rate_offered",
        "throughput",
        "valid",
        "invalid_because",
    ):
        assert name in first
    assert set(first["latency_ms"]) == {"p50", "p90", "p99", "p99_9"}
    assert first["share_of_limit"] == pytest.approx(first["throughput"] / first["signature_limit"])


def test_raw_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    samples = [Sample(10, 12, 400, "accepted", 3), Sample(20, 21, -1, "lost", -1)]
    name = Folder(tmp_path).write_raw("run1", samples)
    assert read_raw(tmp_path / "raw" / name) == samples


def test_what_is_no_result_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"summary\.json can't be read"):
        read_summary(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ResultsError, match="is no summary"):
        read_summary(tmp_path)
    (tmp_path / "raw.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ResultsError, match="is no raw file"):
        read_raw(tmp_path / "raw.csv")


def test_a_table_line_says_whether_a_row_is_valid() -> None:
    assert figures(made_up_row(invalid="busy"))[-1] == "no"
    assert figures(made_up_row())[-1] == "yes"
