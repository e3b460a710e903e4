"""What a node's log tells of views: only those that kept somebody waiting are worth a line at info."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from p2penergy.node import Node


class Stub:
    """As much of a node as telling its view takes."""

    def __init__(self) -> None:
        self._told_view = (0, 0)
        self.ledger = SimpleNamespace(pool=[])
        self.replica = SimpleNamespace(height=1, view=4, first=5, leader=lambda _h, view: bytes([view]))

    def told(self, caplog: pytest.LogCaptureFixture) -> list[tuple[int, int, str, int]]:
        caplog.clear()
        Node._tell_view(cast(Any, self))
        fields: list[Any] = caplog.records
        return [(record.levelno, record.view, record.leader, record.pending) for record in fields]


def test_a_view_that_fails_while_somebody_waits_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stub = Stub()
    assert stub.told(caplog) == [], "before its height's first view a node is in none"
    stub.replica.view = 5
    assert stub.told(caplog) == [(logging.DEBUG, 5, "05", 0)]
    assert stub.told(caplog) == [], "nothing changed"
    stub.replica.view = 6
    assert stub.told(caplog) == [(logging.DEBUG, 6, "06", 0)], "nobody waits"
    stub.ledger.pool, stub.replica.view = [b"x"], 7
    assert stub.told(caplog) == [(logging.INFO, 7, "07", 1)]
    stub.replica.height, stub.replica.first, stub.replica.view = 2, 8, 8
    assert stub.told(caplog) == [(logging.DEBUG, 8, "08", 1)], "a new height begins with a new view"
