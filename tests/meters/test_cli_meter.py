"""`p2penergy meter` as a person runs it, against validators that run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from household_net import Stay

from p2penergy.cli import main
from p2penergy.meters.memory import MEMORY_FILE

WAIT_S = 90


def now_of(running: Stay) -> int:
    """The ledger's period."""
    return int(running.json(1, "wallet")["period"])


def write_registers(path: Path, first: int, energies_wh: list[int]) -> Path:
    """Registers on the boundaries from the start of period `first` on."""
    lines, total = ["time,import_wh,export_wh", f"{first * 900},5000,70"], 5000
    for number, energy_wh in enumerate(energies_wh, 1):
        total += energy_wh
        lines.append(f"{(first + number) * 900},{total},70")
    path.write_text("\n".join(lines) + "\n")
    return path


class Meter:
    """`p2penergy meter`, running."""

    def __init__(self, home: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "p2penergy", "meter", "--home", str(home), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def complaint(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out


def test_a_file_is_read_to_the_ledger_and_again_without_harm(running: Stay, tmp_path: Path) -> None:
    first = now_of(running) + 1
    path = write_registers(tmp_path / "registers.csv", first, [40, 41, 42])
    said = running.text(1, "meter", "--source", "csv", "--path", str(path))
    lines = said.splitlines()
    assert lines[-1] == "Readings of this meter: 0 open, 3 accepted, 0 declined."
    assert ["drawn 40 Wh" in line and "accepted" in line for line in sorted(lines)[:1]] == [True]
    # The same file again: nothing is sent a second time, whatever it says now.
    write_registers(path, first, [40, 99, 42])
    again = running.text(1, "meter", "--source", "csv", "--path", str(path))
    assert "3 accepted" in again and "drawn" not in again
    bills = running.json(1, "bill", "--from", "2016-06-23", "--to", "2016-06-24")
    assert (running.home(1) / MEMORY_FILE).exists() and bills


def test_late_readings_are_declined_and_the_exit_code_says_so(running: Stay, tmp_path: Path) -> None:
    path = write_registers(tmp_path / "old.csv", now_of(running) - 30, [5])
    result = running.run(2, "meter", "--source", "csv", "--path", str(path), "--json")
    assert result.exit_code == 1
    (line, *_) = [line for line in result.output.splitlines() if line.startswith("{")]
    assert json.loads(line)["state"] == "declined"


def test_pushes_are_taken_over_http_until_it_is_ended(running: Stay, tmp_path: Path) -> None:
    home, first = running.home(3), now_of(running) - 20
    with Meter(home, "--source", "http", "--listen", "127.0.0.1:0", "--json") as meter:
        address = meter.complaint().split()[2]
        token = (home / "meter.token").read_text().strip()
        assert (home / "meter.token").stat().st_mode & 0o077 == 0
        body = [{"time": (first + n) * 900, "1.8.0": f"{n}.040", "export_wh": 3} for n in range(2)]
        request = urllib.request.Request(
            address, json.dumps(body).encode(), {"Authorization": f"Bearer {token}"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            assert answer.read() == b"2 taken\n"
        outcome = json.loads(meter.line())
        assert outcome["import_wh"] == 1000
        code, _ = meter.end()
        assert code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "csv"), "needs --path"),
        (("--source", "csv", "--path", "nowhere.csv"), "can't be read: No such file"),
        (("--source", "folder", "--path", "nowhere"), "make it first"),
        (("--source", "http", "--listen", "here"), "is not HOST:PORT"),
        (("--source", "mqtt", "--broker", "here"), "is not HOST:PORT"),
    ],
)
def test_what_can_not_be_used_is_one_sentence(running: Stay, arguments: tuple[str, ...], said: str) -> None:
    assert said in running.refused(4, "meter", *arguments)


def test_a_folder_that_is_no_household_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["meter", "--source", "csv", "--home", str(tmp_path)])
    assert result.exit_code == 2 and "is missing" in result.output
