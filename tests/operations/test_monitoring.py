"""Alert rules and metrics as Prometheus' own tool judges them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from operating_net import make_net

from p2penergy.processes import Validator

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"


def promtool() -> str:
    """Prometheus' tool; tests/system/require.sh puts it beside the interpreter."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which("promtool", path=places)
    assert found is not None, "promtool is missing: run tests/system/require.sh"
    return found


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
        [promtool(), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.system
async def test_promtool_finds_nothing_to_say_about_the_metrics_of_a_real_node(tmp_path: Path) -> None:
    net = await asyncio.to_thread(make_net, tmp_path / "net", 1)
    node = Validator("node-1", net.homes[0])
    await node.start()
    try:
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{net.gateway()}/metrics") as answer:
            text = answer.read()
    finally:
        await node.stop()
    judge = [promtool(), "check", "metrics"]
    done = await asyncio.to_thread(subprocess.run, judge, input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


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
