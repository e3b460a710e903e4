"""The machine: described, watched, and its signature limit."""

import os

import pytest

from bench import machine
from bench.machine import CpuTimes
from bench.verify_rate import rate


def test_the_description_names_machine_versions_and_commit() -> None:
    found = machine.describe()
    assert found["cores"] == machine.cores() >= 1
    assert {"processor", "system", "python", "commit", "cryptography", "p2penergy"} <= set(found)


def test_what_others_use_is_all_that_is_not_ours() -> None:
    before = CpuTimes(at_s=0.0, busy_s=100.0, ours_s=10.0)
    after = CpuTimes(at_s=10.0, busy_s=100.0 + 5.0 * machine.cores(), ours_s=10.0 + 4.0 * machine.cores())
    assert machine.others_share(before, after) == pytest.approx(0.1)
    assert machine.others_share(CpuTimes(0, None, 0), after) == 0.0
    quiet = CpuTimes(at_s=10.0, busy_s=101.0, ours_s=12.0)
    assert machine.others_share(before, quiet) == 0.0, "rounding of ticks is no negative use"


def test_a_busy_machine_is_a_reason_with_figures() -> None:
    assert machine.busy_with_others(machine.OTHERS_SHARE_MAX, "during the run") is None
    said = machine.busy_with_others(0.43, "during the run")
    assert said is not None and "during the run" in said and "43%" in said


def test_the_cpu_time_of_this_process_grows_and_that_of_none_is_nothing() -> None:
    assert machine.process_cpu_s(os.getpid()) > 0
    assert machine.process_cpu_s(2**22 + 1) == 0.0


def test_the_signature_limit_is_the_verifies_over_all_that_one_request_costs() -> None:
    assert machine.signature_limit(40_000, 2, 4) == 5_000
    assert machine.signature_limit(40_000, 0, 4) is None


def test_signatures_are_really_checked_on_all_cores() -> None:
    assert rate(0.01) > 0
    assert machine.verifies_per_s(0.02) > 0
