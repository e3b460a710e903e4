"""The built-in neighbourhood of 118 households trades every tradable watt-hour of a day, and of a week."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from demo_village import Demo, figures

from p2penergy.grid.neighbourhood import EXPECTED_FILE, SAMPLE_DIRECTORY

DAY_WH = 373_549
WEEK_WH = 1_619_328


def run(folder: Path, *arguments: str, minutes: int) -> dict[str, Any]:
    out = folder / "out.json"
    command = ("--json", str(out), *arguments)
    with Demo(SAMPLE_DIRECTORY, *command) as demo:
        printed, complained = demo.process.communicate(timeout=minutes * 60)
        assert (demo.process.returncode, complained) == (0, ""), printed + complained
    return figures(out)


def expected() -> dict[str, int]:
    with (SAMPLE_DIRECTORY / EXPECTED_FILE).open(encoding="utf-8", newline="") as file:
        return {row["period_start"]: int(row["tradable_wh"]) for row in csv.DictReader(file)}


def check(said: dict[str, Any], periods: int, total_wh: int) -> None:
    wanted = expected()
    assert len(said["periods"]) == periods
    assert {p["period_start"]: p["traded_wh"] for p in said["periods"]} == {
        p["period_start"]: wanted[p["period_start"]] for p in said["periods"]
    }
    assert said["traded_wh"] == total_wh
    assert said["periods_expected"] is True
    assert said["leaders_match_equation_1"] is True
    assert said["conserved"] is True
    assert len({(row["height"], row["state_root"]) for row in said["validators"]}) == 1
    assert all(attack["declined"] and not attack["double_spent"] for attack in said["attacks"])


@pytest.mark.timeout(900)
def test_the_default_day_trades_what_the_data_say(tmp_path: Path) -> None:
    check(run(tmp_path, "--day", "2016-06-23", minutes=14), 96, DAY_WH)


@pytest.mark.campaign
@pytest.mark.timeout(3700)
def test_the_week_trades_what_the_data_say(tmp_path: Path) -> None:
    check(run(tmp_path, "--day", "2016-06-20", "--days", "7", minutes=60), 7 * 96, WEEK_WH)
