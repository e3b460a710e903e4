"""Real networks of processes, briefly: faults, another application, notes, and the whole command."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import resources, tracing
from bench.cli import main
from bench.measurement import Event, Load, measure
from bench.network import Network, Options, with_faults
from bench.results import read_raw, read_summary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ATTEMPTS_MAX = 20
LOAD = Load(rate_per_s=60.0, length_s=2.0, warm_up_s=0.5)


@pytest.mark.parametrize("workload", ["trades", "signed-256", "0/0"])
async def test_every_request_is_answered_once_and_costs_are_known(tmp_path: Path, workload: str) -> None:
    async with Network(Options(n=4, workload=workload, pairs=1, traced=True), tmp_path) as network:
        measured = await measure(network, LOAD)
        found = await resources.usage(network)
        assert set(found) == {0, 1, 2, 3} and resources.disagreement(found) is None
        assert all(one.cpu_s > 0 and one.rss_mib > 10 and one.disk_bytes > 0 for one in found.values())
        for validator in network.validators:
            await validator.stop()
        notes = [tracing.read(validator.home / tracing.TRACE_FILE) for validator in network.validators]
    assert {sample.outcome for sample in measured.samples} == {"accepted"}
    assert measured.run.throughput > 0 and measured.run.costs["messages_per_request"] > 0
    assert (measured.run.signature_limit is None) == (workload == "0/0")
    stages = tracing.stages_ms(measured.samples, measured.start_s, notes)
    assert set(stages) == set(tracing.STAGES)


async def test_a_member_that_lies_is_outvoted(tmp_path: Path) -> None:
    options = with_faults(Options(n=4, workload="0/0", pairs=1), "equivocating", 1)
    async with Network(options, tmp_path) as network:
        for _ in range(ATTEMPTS_MAX):
            measured = await measure(network, LOAD)
            assert {sample.outcome for sample in measured.samples} == {"accepted"}
            # It lies when it leads with something to propose; the beacon draws the order.
            if (await network.status(3))["transport"]["equivocations"]:
                return
    pytest.fail("the equivocating member never had its turn")


async def test_a_crash_in_mid_run_loses_nothing(tmp_path: Path) -> None:
    options = with_faults(Options(n=4, pairs=1, tls=False), "crashed", 1)
    async with Network(options, tmp_path) as network:
        victim = network.validators[3]
        measured = await measure(network, LOAD, [Event(1.0, victim.kill)])
        assert not victim.running
    assert {sample.outcome for sample in measured.samples} == {"accepted"}
    assert not any("never answered" in reason for reason in measured.run.invalid_because)


def test_the_command_measures_faults_and_leaves_everything_that_was_measured(tmp_path: Path) -> None:
    words = ["faults", "--quick", "--f", "1", "--fault", "silent", "--rate", "60", "--length", "1"]
    result = CliRunner().invoke(main, [*words, "--pairs", "1", "--no-plots", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    summary = read_summary(tmp_path)
    assert [(row.fault, row.faulty, row.point) for row in summary.rows] == [
        ("none", 0, "peak"),
        ("none", 0, "half of peak"),
        ("silent", 1, "peak"),
        ("silent", 1, "half of peak"),
    ]
    for row in summary.rows:
        assert (row.workload, row.n, row.f) == ("trades", 4, 1)
        assert set(row.latency_ms) == {"p50", "p90", "p99", "p99_9"} and row.signature_limit
        # Whether this machine is quiet is not for a test to demand; that nothing else was wrong is.
        assert all("machine was busy" in reason or "fell behind" in reason for reason in row.invalid_because)
        samples = read_raw(tmp_path / "raw" / row.runs[0].raw)
        assert samples and {sample.outcome for sample in samples} == {"accepted"}
    assert "results are in" in result.output
