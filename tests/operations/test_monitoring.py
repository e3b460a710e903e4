"""Alert rules and metrics as Prometheus' own tool judges them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"


@pytest.mark.system
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    rules = (MONITORING / "alerts.yml").read_text().split("- alert: ")[1:]
    tests = (MONITORING / "alerts_test.yml").read_text()
    assert rules
    for rule in rules:
        name = rule.splitlines()[0]
        assert f'alertname="{name}"' in tests
        assert f"alertname: {name}," in tests
        for key in ("severity:", "summary:", "action:"):
            assert key in rule, name
