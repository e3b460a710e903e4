"""The manual's commands exist, with the options that it gives them; a renamed one fails here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from p2penergy.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_CODE = re.compile(r"`{3}[a-z]*\n(.*?)`{3}|`([^`\n]+)`", re.DOTALL)
_TARGETS = re.compile(r"^([a-z-]+):", re.MULTILINE)


def lines() -> Iterator[tuple[str, str]]:
    """Every line of code of the manual, with its page; a line that goes on is one."""
    for page in PAGES:
        for block, inline in _CODE.findall(page.read_text("utf-8")):
            for line in (block or inline).replace("\\\n", " ").splitlines():
                yield page.name, line.strip().removeprefix("$ ")


def commands() -> list[tuple[str, str]]:
    """Those that call the program."""
    begins = re.compile(r"^(sudo |ssh \S+ |/opt/\S+/|\.venv/bin/)?p2penergy ")
    found = {(page, line) for page, line in lines() if begins.match(line) and "..." not in line}
    return sorted(found)


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_the_manual_exists(page: str, line: str) -> None:
    words = shlex.split(line.partition("  #")[0].partition(" > ")[0].partition(" | ")[0])
    words = words[next(n for n, word in enumerate(words) if word.endswith("p2penergy")) + 1 :]
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{page}: {line!r}: there is no {words[0]!r}"
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{page}: {line!r}: there is no {word}"


def test_every_make_target_of_the_manual_exists() -> None:
    targets = set(_TARGETS.findall((ROOT / "Makefile").read_text("utf-8")))
    told = {line.split()[1] for _, line in lines() if re.match(r"^make [a-z]", line)}
    assert told
    assert told <= targets
