"""What the command line tells people when something is wrong: one sentence, exit code 2.

What lives here: the one error class of the commands, and the way from an error of the packages
below to it. What never does: deciding what is wrong. Anything else that escapes a command is a
defect of the program and keeps its traceback.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click


class UserError(click.ClickException):
    """Something the person at the keyboard can mend; the message says what and how."""

    exit_code = 2


@contextlib.contextmanager
def as_user_error(*kinds: type[Exception]) -> Iterator[None]:
    """Within the block, errors of these kinds become a :class:`UserError` with their sentence."""
    try:
        yield
    except kinds as error:
        sentence = _capitalised(str(error).strip())
        raise UserError(sentence if sentence.endswith((".", "?")) else f"{sentence}.") from error


def _capitalised(sentence: str) -> str:
    """With a capital letter, unless it begins with a name that has to be read as it is written."""
    first = sentence.partition(" ")[0]
    if not first.isalpha() or Path(first).exists():
        return sentence
    return first[:1].upper() + sentence[1:]
