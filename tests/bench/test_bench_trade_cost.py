"""What a trade costs a validator: every step is measured, on blocks that are real."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bench.trade_cost import STEPS, main, measure_steps


def test_every_step_is_measured(tmp_path: Path) -> None:
    steps = measure_steps(tmp_path, blocks=2, trades_per_block=8)
    assert tuple(steps) == STEPS
    assert all(took_us > 0 for took_us in steps.values())


def test_for_people_and_for_programs() -> None:
    said = CliRunner().invoke(main, ["--blocks", "1", "--trades", "4"])
    assert said.exit_code == 0 and "check both signatures" in said.output
    told = json.loads(CliRunner().invoke(main, ["--blocks", "1", "--trades", "4", "--json"]).output)
    assert set(told["us_per_trade"]) == set(STEPS) and told["sum_us"] > 0
