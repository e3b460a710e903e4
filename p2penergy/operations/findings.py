"""What an examination finds: how bad, in one sentence, and the command that mends it.

Lives here: the shape of a finding. Never here: looking.
"""

from enum import IntEnum

import msgspec


class Level(IntEnum):
    """How bad; the names are what people and JSON see."""

    OK = 0
    WARNING = 1
    ERROR = 2


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. Whatever is not OK says what mends it."""

    check: str
    level: Level
    sentence: str
    mend: str = ""


def ok(check: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, sentence)
