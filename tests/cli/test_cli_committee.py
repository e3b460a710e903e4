"""``p2penergy committee risk``: JSON for programs, a table for people."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from p2penergy.cli.committee import committee


def run(*arguments: str) -> Result:
    return CliRunner().invoke(committee, ["risk", *arguments])


@pytest.mark.parametrize("share", ["0.2", "20%", "1/5", "2e-1"])
def test_json(share: str) -> None:
    result = run("--members", "1000", "--bad", share, "--size", "31", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.output)
    assert answer.pop("capture_probability") == pytest.approx(0.0305, rel=1e-3)
    assert answer.pop("expected_blocks_to_capture") == pytest.approx(32.77, rel=1e-3)
    assert answer == {"members": 1000, "bad": 200, "size": 31, "f": 10}


def test_json_with_a_target() -> None:
    result = run("--members", "1000", "--bad", "20%", "--size", "31", "--target", "1e-6", "--json")
    assert json.loads(result.output)["smallest_size"] == 181


def test_a_target_alone_gives_the_size() -> None:
    few = ("--members", "1000", "--bad", "20%", "--target", "1e-6")
    answer = json.loads(run(*few, "--json").output)
    assert (answer["size"], answer["f"], answer["smallest_size"]) == (181, 60, 181)
    assert answer["capture_probability"] <= 1e-6
    assert "181 is the smallest size" in run(*few).output
    hopeless = ("--members", "100", "--bad", "50%", "--target", "1e-6")
    answer = json.loads(run(*hopeless, "--json").output)
    assert (answer["size"], answer["capture_probability"], answer["smallest_size"]) == (None, None, None)
    assert run(*hopeless).output.startswith("No size reaches")


@pytest.mark.parametrize(("members", "bad", "size"), [("100", "0", "10"), ("10000", "10%", "2500")])
def test_never_captured_is_null(members: str, bad: str, size: str) -> None:
    result = run("--members", members, "--bad", bad, "--size", size, "--json")
    assert json.loads(result.output)["expected_blocks_to_capture"] is None


def test_the_table_names_both_sizes() -> None:
    result = run("--members", "1000", "--bad", "20%", "--size", "31", "--target", "1e-6")
    assert result.exit_code == 0
    for part in ("33 blocks", "0.0305", "181", "smallest size"):
        assert part in result.output


def test_the_table_says_when_no_size_will_do() -> None:
    result = run("--members", "100", "--bad", "50%", "--size", "4", "--target", "1e-6")
    assert "No size reaches" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--members", "1000", "--bad", "20", "--size", "31"), "not between 0 and 1"),
        (("--members", "1000", "--bad", "few", "--size", "31"), "not a share"),
        (("--members", "1000", "--bad", "1/0", "--size", "31"), "not a share"),
        (("--members", "10", "--bad", "0.2", "--size", "31"), "1 to 10, not 31"),
        (("--members", "10", "--bad", "0.2", "--size", "0"), "1 to 10, not 0"),
        (("--members", "100001", "--bad", "0.2", "--size", "1"), "10000"),
        (("--bad", "0.2", "--size", "1"), "--members"),
        (("--members", "10", "--bad", "0.2"), "Give --size, or --target to get it."),
    ],
)
def test_one_sentence_and_exit_code_2(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.output.strip().splitlines()[-1].startswith("Error: ")
    assert sentence in result.output
