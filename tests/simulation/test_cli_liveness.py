import json

import pytest
from click.testing import CliRunner, Result

from p2penergy.cli import liveness as module
from p2penergy.cli.liveness import liveness
from p2penergy.simulation.liveness import Rate


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(liveness, list(arguments))


def test_the_figures_for_machines_name_every_bound() -> None:
    done = _run("--seeds", "0..2", "--members", "4", "--json")
    assert done.exit_code == 0, done.output
    (figures,) = json.loads(done.stdout.splitlines()[-1])
    assert figures["members"] == 4
    assert figures["recovery"]["views_max"] <= figures["recovery"]["views_bound"] == 4
    assert figures["silent"]["missing_in_one_run_max"] <= 2
    assert [one["factor"] for one in figures["stretched"]] == [1, 2, 4, 8]
    assert figures["within_bounds"] is True


def test_people_get_three_tables() -> None:
    done = _run("--seeds", "0..0", "--members", "4", "--profile", "calm")
    assert done.exit_code == 0, done.output
    for title in ("Views after healing", "f silent", "Stretching"):
        assert title in done.output


def test_a_bound_that_does_not_hold_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rate", lambda members, seed: Rate(members, 1, 10, 8, 5))
    assert _run("--seeds", "0..0", "--members", "4", "--json").exit_code == 1


@pytest.mark.parametrize("arguments", [("--members", "0"), ("--members", "x"), ("--seeds", "9..1")])
def test_what_cannot_be_measured_is_refused_in_a_sentence(arguments: tuple[str, ...]) -> None:
    refused = _run(*arguments)
    assert refused.exit_code == 2
    assert "Traceback" not in refused.output
