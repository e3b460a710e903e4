"""What the shell asks about people is answered by the node's own tip, and cheaply."""

from __future__ import annotations

from typing import Any

import pytest

from p2penergy.committees import Roll
from p2penergy.messages import Stage
from p2penergy.registry import Registry

FIRST = Roll.of({b"a" * 20: b"\2" * 33, b"b" * 20: b"\3" * 33})
NEXT = Roll.of({b"b" * 20: b"\3" * 33})
OLD = ((b"o" * 20, b"\2" * 33),)


class Core:
    """Names two verification committees, and one of validation."""

    def __init__(self) -> None:
        self.tip_height = 5
        self.asked = 0

    def named(self, stage: Stage) -> tuple[Roll, ...]:
        self.asked += 1
        return (FIRST, NEXT) if stage is Stage.VERIFICATION else (NEXT,)


class Kept:
    """A store that knows one committee of the past."""

    def committee(self, root: bytes) -> Any:
        return OLD if root == b"o" * 32 else None


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def registry(core: Core) -> Registry:
    parts: Any = (None, core, Kept())
    return Registry(*parts)


def test_committees_are_known_by_their_roots_present_and_past(registry: Registry) -> None:
    assert registry.verifiers(FIRST.root) == FIRST.keys
    assert registry.verifiers(b"o" * 32) is None
    assert registry.members(NEXT.root) == tuple(NEXT.keys.items())
    assert registry.members(b"o" * 32) == OLD
    assert registry.members(b"x" * 32) is None
    assert registry.audience() == {b"a" * 20, b"b" * 20}


def test_committees_are_read_once_for_each_tip(registry: Registry, core: Core) -> None:
    for _ in range(10):
        registry.members(FIRST.root)
    assert core.asked == len(Stage)
    core.tip_height += 1
    registry.members(FIRST.root)
    assert core.asked == 2 * len(Stage)
