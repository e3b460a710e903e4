"""Errors of the command line: one sentence, exit code 2, nothing hidden that is a defect."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from p2penergy.cli.errors import UserError, as_user_error


def test_exits_with_2_and_the_sentence() -> None:
    @click.command()
    def command() -> None:
        raise UserError("Give a folder.")

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert result.output == "Error: Give a folder.\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [("the key is lost", "The key is lost."), ("Lost.", "Lost."), ("Really?", "Really?")],
)
def test_other_errors_become_sentences(given: str, told: str) -> None:
    with pytest.raises(UserError) as caught, as_user_error(ValueError):
        raise ValueError(given)
    assert caught.value.message == told
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    "given", ["net/config.toml is missing.", "net is not empty.", "alpha_ms is too short."]
)
def test_a_sentence_that_begins_with_a_name_leaves_it_as_it_is(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught, as_user_error(ValueError):
        raise ValueError(given)
    assert caught.value.message == given


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), as_user_error(ValueError):
        raise KeyError("defect")
