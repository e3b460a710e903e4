"""`bill` over local days of 92, 96 and 100 periods: every period once, none twice, none of another day."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "ledger"))

from village import Village

from p2penergy.cli import bill as bill_command
from p2penergy.cli import main
from p2penergy.grid.periods import period_start_text, periods_of_local_day
from p2penergy.questions import Past

BERLIN = ZoneInfo("Europe/Berlin")
SELLER, BUYER = 2, 3
EXPORT_WH, IMPORT_WH, TRADED_WH = 40, 50, 30
PRICE, RETAIL, FEED_IN = 200_000, 290_000, 120_000


class Net:
    """A ledger of three local days in the place of a running network: only what `bill` asks of it."""

    def __init__(self, day: date) -> None:
        whole = range(
            periods_of_local_day(day - timedelta(days=1), BERLIN).start,
            periods_of_local_day(day + timedelta(days=1), BERLIN).stop,
        )
        village = Village(market={"first_period": whole.start - 1})
        self.device = SimpleNamespace(genesis=village.genesis)
        self.participant_id = village.ids[BUYER]
        self.versions: dict[bytes, list[Past]] = {}
        for period in (*whole, whole.stop):
            contract = village.contract(
                SELLER, BUYER, TRADED_WH, period=period, number=period, valid_until_period=period
            )
            drafted = village.draft(
                village.reading(SELLER, export_wh=EXPORT_WH, period=period),
                village.reading(BUYER, import_wh=IMPORT_WH, period=period),
                contract,
                proposer=period % 2,
                period=period,
            )
            outcome = village.run(drafted)
            for each in outcome.versions:
                past = Past(drafted.height, each.index, each.stage, each.value, None)
                self.versions.setdefault(each.key, []).append(past)

    async def histories(self, wanted: Sequence[bytes], count: int) -> dict[bytes, tuple[Past, ...]]:
        return {key: tuple(self.versions.get(key, [])[-count:]) for key in wanted}


@pytest.fixture(scope="module", params=["2016-03-27", "2016-06-23", "2016-10-30"])
def day(request: pytest.FixtureRequest) -> date:
    return date.fromisoformat(request.param)


@pytest.fixture(scope="module")
def net(day: date) -> Net:
    return Net(day)


def billed(net: Net, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    def ask(_home: Path, _nodes: object, _wait_s: float, job: Callable[[Net], Awaitable[Any]]) -> Any:
        async def within() -> Any:
            return await job(net)

        return asyncio.run(within())

    monkeypatch.setattr(bill_command, "ask", ask)
    result = CliRunner().invoke(main, ["bill", "--home", "unused", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.output))


def test_a_local_day_is_billed_whole(net: Net, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    count = {3: 92, 6: 96, 10: 100}[day.month]
    said = billed(net, monkeypatch, "--from", str(day))
    periods = periods_of_local_day(day, BERLIN)
    assert (said["periods"], len(periods)) == (count, count)
    assert said["first_period_start"] == period_start_text(periods.start)
    assert said["last_period_start"] == period_start_text(periods.stop - 1)
    assert (said["import_wh"], said["bought_wh"]) == (count * IMPORT_WH, count * TRADED_WH)
    assert said["community_nano"] == count * TRADED_WH * PRICE
    assert said["grid_nano"] == count * (IMPORT_WH - TRADED_WH) * RETAIL
    assert said["total_nano"] == said["community_nano"] + said["grid_nano"]
    assert said["without_community_nano"] == count * IMPORT_WH * RETAIL


def test_the_days_add_up_to_the_span(net: Net, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [str(day + timedelta(days=n)) for n in (-1, 0, 1)]
    whole = billed(net, monkeypatch, "--from", days[0], "--to", days[2])
    single = [billed(net, monkeypatch, "--from", each) for each in days]
    for figure in ("periods", "import_wh", "bought_wh", "community_nano", "grid_nano"):
        assert whole[figure] == sum(each[figure] for each in single)


def test_the_same_day_of_another_zone_is_another_span(
    net: Net, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = billed(net, monkeypatch, "--from", str(day), "--zone", "UTC")
    assert said["periods"] == 96
    assert said["first_period_start"] == f"{day}T00:00Z"
