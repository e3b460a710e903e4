"""Every plot is drawn, in both formats, and says what was found."""

from pathlib import Path

import msgspec
import pytest
from summaries import made_up_row, whole_summary

pytest.importorskip("matplotlib", reason="plots need the extra `bench`")

from bench.plots import draw
from bench.plots.curves import faults_finding, latency_finding
from bench.plots.sizes import peak_finding


def test_a_whole_result_gives_the_whole_family(tmp_path: Path) -> None:
    files = draw(whole_summary(), tmp_path)
    names = {"faults", "peak", "latency", "stages", "crash", "wan", "scale", "catchup"}
    assert {file.stem for file in files} == names
    assert len(files) == 2 * len(names)
    for file in files:
        head = file.read_bytes()[:400]
        assert head.startswith(b"\x89PNG") or b"<svg" in file.read_bytes()[:2000]


def test_the_same_result_gives_the_same_picture(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    summary = msgspec.structs.replace(whole_summary(), rows=[made_up_row()], extra={})
    for folder in (first, second):
        folder.mkdir()
        assert [file.name for file in draw(summary, folder)] == ["faults.png", "faults.svg"]
    assert (first / "faults.svg").read_bytes() == (second / "faults.svg").read_bytes()


def test_findings_are_sentences_with_the_figures() -> None:
    rows = [
        made_up_row(throughput=1000),
        made_up_row(fault="silent", faulty=1, throughput=750),
        made_up_row(fault="slow", faulty=1, throughput=900),
    ]
    assert (
        faults_finding(rows)
        == "With f members at fault at least 75% of the throughput is left (f = 1, silent)"
    )
    assert faults_finding(rows[:1]) == "Throughput and latency against f"
    half = made_up_row("latency", "50% of peak", p50=100)
    lone = made_up_row("latency", "lone", p50=4.0)
    assert (
        latency_finding([half, lone])
        == "A lone request takes 4.0 ms (p50); at half of peak p99 is 2.0 x p50 (n = 4)"
    )
    assert peak_finding([made_up_row(n=7), made_up_row(n=4)]).startswith(
        "4 validators take 1,000 trades per second, 20%"
    )


def test_a_finding_that_rests_on_invalid_runs_says_so(tmp_path: Path) -> None:
    for invalid, said in (("", False), ("busy", True)):
        summary = msgspec.structs.replace(whole_summary(), rows=[made_up_row(invalid=invalid)], extra={})
        _, svg = draw(summary, tmp_path)
        assert ("Not valid runs: " in svg.read_text()) == said
