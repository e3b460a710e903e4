"""The command line: what it says, and how it ends."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from summaries import made_up_row, whole_summary

from bench.cli import main
from bench.results import Folder

EXPERIMENTS = ("faults", "peak", "latency", "crash", "wan", "scale", "catchup", "all", "remote")


def written(folder: Path, throughput: float) -> str:
    rows = [made_up_row(throughput=throughput)]
    Folder(folder).write_summary(msgspec.structs.replace(whole_summary(), rows=rows))
    return str(folder)


def test_help_names_every_experiment() -> None:
    result = CliRunner().invoke(main, ["--help"])
    for name in (*EXPERIMENTS, "compare"):
        assert f"  {name} " in result.output


@pytest.mark.parametrize(
    "name", ["faults", "peak", "latency", "crash", "wan", "scale", "catchup", "all", "remote"]
)
def test_every_experiment_has_the_shared_options(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "--quick" in result.output and "--out" in result.output and "--runs" in result.output


def test_comparing_ends_with_1_only_when_something_became_worse(tmp_path: Path) -> None:
    slow, fast = written(tmp_path / "slow", 800), written(tmp_path / "fast", 1000)
    assert CliRunner().invoke(main, ["compare", slow, fast]).exit_code == 0
    worse = CliRunner().invoke(main, ["compare", fast, slow])
    assert worse.exit_code == 1 and "worse" in worse.output
    assert CliRunner().invoke(main, ["compare", fast, slow, "--bar", "0.3"]).exit_code == 0


def test_comparing_what_is_no_result_says_so(tmp_path: Path) -> None:
    good = written(tmp_path / "good", 1000)
    (tmp_path / "bad").mkdir()
    result = CliRunner().invoke(main, ["compare", good, str(tmp_path / "bad")])
    assert result.exit_code == 1 and "can't be read" in result.output


def test_wrong_hosts_are_one_sentence(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("nowhere\n")
    result = CliRunner().invoke(main, ["remote", "--hosts", str(hosts), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "line 1" in result.output and "Traceback" not in result.output


def test_impossible_times_are_one_sentence(tmp_path: Path) -> None:
    words = ["faults", "--quick", "--alpha-ms", "10", "--rate", "10", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "alpha_ms = 10 is shorter" in result.output
