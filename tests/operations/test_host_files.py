"""The files that start a host's nodes: scripts that run, units that systemd understands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from p2penergy.operations.host_files import UNIT, compose, start_script


@pytest.fixture
def script(tmp_path: Path) -> Path:
    for name in ("node-1", "node-4"):
        (tmp_path / name).mkdir()
    path = tmp_path / "start.sh"
    path.write_text(start_script(["node-1", "node-4"]))
    path.chmod(0o755)
    return path


def test_the_script_starts_every_node_of_its_folder_from_anywhere(script: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$PWD $*"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [script],
        cwd="/",
        env={**os.environ, "P2PENERGY": str(program)},
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("node-1", "node-4"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name}: pid "))
        pid = int(line.removeprefix(f"{name}: pid ").partition(",")[0])
        log = tmp_path / name / "node.log"
        assert line.endswith(f"log {log}")
        while _runs(pid):
            pass
        assert log.read_text() == f"{tmp_path} start --home {name}\n"


def _runs(pid: int) -> bool:
    # The script's own child, which nobody waits for any more: a zombie of it has ended, too.
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_each_node_is_a_service_with_its_own_folder() -> None:
    text = compose(["node-1", "node-4"])
    for name in ("node-1", "node-4"):
        assert f"\n  {name}:\n" in text
        assert f"      - ./{name}:/home/node\n" in text
    assert text.count("network_mode: host") == 2
    assert "\t" not in text


@pytest.mark.system
def test_compose_understands_the_file_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    text = compose(["node-1", "node-4"])

    def judged(content: str) -> subprocess.CompletedProcess[str]:
        file.write_text(content)
        command = ["docker-compose", "-f", str(file), "config"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = judged(text)
    assert done.returncode == 0, done.stderr
    for name in ("node-1", "node-4"):
        assert f"{tmp_path}/{name}:/home/node" in done.stdout or f"source: {tmp_path}/{name}" in done.stdout
    assert judged(text.replace("read_only:", "readonly:")).returncode != 0


def test_the_unit_names_a_setting_once_and_nothing_of_this_machine() -> None:
    keys = [line.partition("=")[0] for line in UNIT.splitlines() if "=" in line and not line.startswith("#")]
    assert len(keys) == len(set(keys))
    assert "start --home /var/lib/p2penergy/%i" in UNIT


@pytest.mark.system
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "p2penergy@.service"
    unit.write_text(UNIT.replace("/opt/p2penergy/bin/p2penergy", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not ours
