import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from p2penergy.cli import simulate as module
from p2penergy.cli.simulate import campaign, parse_seeds, simulate
from p2penergy.simulation.plans import PROFILES, Plan
from p2penergy.simulation.runner import Run


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, list(arguments))


def test_a_few_seeds_end_well_and_report_as_json() -> None:
    done = _run("--seeds", "0..9", "--members", "4,5", "--profile", "network", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["schedules"] == 10
    assert figures["violation"] is None
    assert figures["blocks"] > 10
    assert figures["situations"] > 5


def test_the_report_for_people_says_that_every_invariant_held() -> None:
    done = _run("--seeds", "0..1", "--profile", "calm")
    assert done.exit_code == 0
    assert "every invariant held" in done.output
    assert "2 schedules" in done.output


def test_one_seed_can_be_traced_and_its_faults_left_out() -> None:
    done = _run("--seeds", "3", "--profile", "chaos", "--trace")
    assert done.exit_code == 0
    assert "fault: " in done.output
    assert "PRE-PREPARE(1" in done.output
    fewer = _run("--seeds", "3", "--profile", "chaos", "--trace", "--without", "0")
    assert fewer.output.count("fault: ") == done.output.count("fault: ") - 1


def test_a_scenario_file_is_run(tmp_path: Path) -> None:
    path = tmp_path / "twins.json"
    path.write_text(
        '{"members": 4, "twins": [0], "rounds": [{"leader": 0, "partitions": [[0, 1], [2, 3, "0\'"]]}]}'
    )
    assert _run("--scenario", str(path)).exit_code == 0
    path.write_text("{}")
    refused = _run("--scenario", str(path))
    assert refused.exit_code == 1
    assert "not a scenario" in refused.output


@pytest.mark.parametrize("members", ["1", "2", "3", "4,3"])
def test_twins_where_nobody_may_be_faulty_are_refused_in_one_sentence(members: str) -> None:
    refused = _run("--seeds", "0..3", "--members", members, "--profile", "twins")
    assert refused.exit_code == 1
    assert "agrees with at most 0 faulty: take 4 members or more" in " ".join(refused.output.split())
    assert "Traceback" not in refused.output


def test_the_twins_profile_takes_seeds_as_numbers_of_scenarios() -> None:
    done = _run("--seeds", "100000..100003", "--profile", "twins", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout.splitlines()[-1])["schedules"] == 4


def test_several_processes_find_what_one_finds() -> None:
    console = Console(quiet=True)
    one = campaign(range(20), (4, 6), "fork", 1, console)
    two = campaign(range(20), (4, 6), "fork", 2, console)
    assert one.coverage.seen == two.coverage.seen
    assert one.refusals == two.refusals
    assert (one.blocks, one.frames, one.schedules) == (two.blocks, two.frames, two.schedules)


@pytest.mark.parametrize(
    "arguments",
    [("--seeds", "9..1"), ("--seeds", "a"), ("--members", "x"), ("--members", "0"), ("--profile", "none")],
)
def test_nonsense_is_refused_with_a_usage_error(arguments: tuple[str, str]) -> None:
    assert _run(*arguments).exit_code == 2


def test_a_violation_ends_with_code_1_and_the_command_that_reproduces_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(plan: Plan, replica_factory: object = None, readable: bool = False) -> object:
        result = Run(plan, readable=readable).execute()
        result.violation, result.sentence = "agreement", "agreement: made up"
        return result

    monkeypatch.setattr(module, "run_plan", broken)
    done = _run("--seeds", "5..9", "--profile", "network", "--shrink")
    assert done.exit_code == 1
    assert "agreement: made up" in done.output
    assert "reproduce: p2penergy simulate --seeds 5..5 --members 4 --profile network --without" in done.output


def test_seeds_and_profiles() -> None:
    assert parse_seeds("3..5") == range(3, 6)
    assert parse_seeds("7") == range(7, 8)
    assert "chaos" in PROFILES
