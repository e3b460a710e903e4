"""What is said of a row when the network does not answer; the rest is tried against one that runs."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from p2penergy.bulk import sending
from p2penergy.bulk.tables import BulkOrder
from p2penergy.client import ClientError
from p2penergy.household.reach import Network
from p2penergy.ledger.transactions import Side

ORDER = BulkOrder(7, "H001", Side.ASK, 100, 50, 200_000)


async def test_a_network_that_does_not_answer_holds_up_nothing_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sending, "ANSWER_S_MAX", 0.001)
    monkeypatch.setattr(sending.book, "place", never)
    outcome = await sending._place(cast(Network, None), ORDER)
    assert (outcome.line, outcome.accepted) == (7, False)
    assert "no answer within" in outcome.sentence and "order list" in outcome.sentence


async def test_what_a_client_can_not_do_is_told_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any) -> None:
        raise ClientError("refused: the book is closed")

    monkeypatch.setattr(sending.book, "place", refused)
    outcome = await sending._place(cast(Network, None), ORDER)
    assert outcome == sending.RowOutcome(7, False, "refused: the book is closed", None)
