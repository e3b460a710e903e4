"""The root command: every subcommand is named, with a sentence that is whole."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from p2penergy.cli import _COMMANDS, main


def test_the_list_of_commands_cuts_no_sentence() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    commands = result.output.partition("Commands:")[2]
    assert "..." not in commands
    assert {line.split()[0] for line in commands.splitlines() if line.strip()} >= set(_COMMANDS)


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_help_of_a_command_cuts_no_sentence_of_its_own_commands(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "..." not in result.output.partition("Commands:")[2]


@pytest.mark.parametrize(("given", "near"), [("statsu", "'status'"), ("try-trad", "'try-trade'")])
def test_the_command_that_was_meant_is_named(given: str, near: str) -> None:
    result = CliRunner().invoke(main, [given, "--home", "x"])
    assert result.exit_code == 2
    assert f"No such command {given!r}. Did you mean {near}?" in result.output
    assert "Did you mean" not in CliRunner().invoke(main, ["zzzz"]).output
