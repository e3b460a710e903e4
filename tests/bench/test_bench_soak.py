"""A soak in small: its minutes are written, drawn and judged."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import soak
from bench.plots.soaking import draw
from bench.soak import Minute, growth_per_hour, main, open_files, write
from p2penergy.audit import AuditReport, Finding

MINUTES = [Minute(n, 20.0, 500.0, 900.0, 50.0 + n, 32, 1.5 * n, 60 * n, ()) for n in range(1, 9)]


def test_a_short_one_keeps_its_promises(tmp_path: Path) -> None:
    options = [
        "--minutes",
        "2",
        "--minute-s",
        "2",
        "--rate",
        "5",
        "--fill",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "soak.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["minute"] for row in rows] == ["1", "2"]
    assert all(float(row["rss_mib"]) > 10 and int(row["open_files"]) > 5 for row in rows)
    assert int(rows[1]["height"]) >= int(rows[0]["height"]) > 0
    told = json.loads((tmp_path / "out" / "soak.json").read_text())
    assert told["wrong"] == []
    for name in ("soak.png", "soak.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 1_000


def test_a_broken_promise_ends_it_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bad(*_: object) -> list[Minute]:
        return [replace(MINUTES[0], faults=("3 requests were never answered",))]

    monkeypatch.setattr(soak, "_run", bad)
    monkeypatch.setattr(
        soak, "audit", lambda _folder: AuditReport([], [Finding("chain", "height 3", "a fork")])
    )
    result = CliRunner().invoke(main, ["--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "2 promises were broken: 3 requests were never answered" in result.output
    assert json.loads((tmp_path / "soak.json").read_text())["wrong"][1] == "table chain, height 3: a fork"


async def test_what_went_wrong_while_the_caches_were_filled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured(*_: object) -> None:
        return None

    async def minute(_network: object, number: int, _measured: object) -> Minute:
        return replace(MINUTES[0], minute=number, faults=() if number else ("1 request was never answered",))

    monkeypatch.setattr(soak, "measure", measured)
    monkeypatch.setattr(soak, "_minute", minute)
    told: list[Minute] = []
    nothing: Any = None
    found = await soak.soak(nothing, 2, 5.0, 1.0, told.append, 20)
    assert [each.faults for each in found] == [("1 request was never answered",), ()]
    assert told == found
    [quiet] = await soak.soak(nothing, 1, 5.0, 1.0, told.append)
    assert not quiet.faults


def test_growth_is_the_slope_of_the_second_half() -> None:
    assert growth_per_hour(MINUTES, lambda each: each.rss_mib) == pytest.approx(60)
    assert growth_per_hour(MINUTES, lambda each: each.open_files) == 0
    assert growth_per_hour(MINUTES[:1], lambda each: each.rss_mib) == 0
    # What a start takes does not count.
    early = [replace(MINUTES[0], rss_mib=500.0), *MINUTES[1:]]
    assert growth_per_hour(early, lambda each: each.rss_mib) == pytest.approx(60)


def test_files_and_figures_are_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path, MINUTES, {"minutes": 8})
    assert json.loads((tmp_path / "soak.json").read_text())["growth_in_second_half"]["rss_mib_per_hour"] == 60
    first = [path.read_bytes() for path in draw(MINUTES, tmp_path, "soak", {"cores": 2})]
    assert [path.read_bytes() for path in draw(MINUTES, tmp_path, "soak", {"cores": 2})] == first


def test_open_files_are_counted() -> None:
    before = open_files(os.getpid())
    with Path("/dev/null").open():
        assert open_files(os.getpid()) == before + 1
    assert open_files(2**22 + 1) == 0
