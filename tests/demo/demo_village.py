"""A small neighbourhood as three CSV files, and the demo as the process that a person starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from p2penergy.home import LEDGER_FILE

HOUSEHOLDS = 8
PERIODS = 9
FIRST = datetime(2016, 6, 23, 9, 0, tzinfo=UTC)
PATIENCE_S = 90
"""Far above what any wait takes: reached only by a test that fails."""


def energies(period: int) -> dict[str, tuple[int, int]]:
    """Load and PV in Wh of every household in one period; the last three have panels."""
    made = {}
    for number in range(1, HOUSEHOLDS + 1):
        load = 20 + 7 * ((number * 5 + period * 3) % 11)
        pv = 60 * ((number + period) % 4) if number > HOUSEHOLDS - 3 else 0
        made[f"H{number:03}"] = (load, pv)
    return made


def traded_wh(period: int) -> int:
    """What can be traded: the smaller of all surplus and all deficit, netted per household."""
    nets = [pv - load for load, pv in energies(period).values()]
    return min(sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0))


def write_village(folder: Path) -> Path:
    """week.csv, households.csv and feeder.csv of a village."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(energies(0))
    with_pv = names[-3:]
    lines = [",".join(["period_start", *(f"{n}_load_wh" for n in names), *(f"{n}_pv_wh" for n in with_pv)])]
    for period in range(PERIODS):
        made = energies(period)
        start = (FIRST + timedelta(minutes=15 * period)).strftime("%Y-%m-%dT%H:%MZ")
        cells = [*(made[n][0] for n in names), *(made[n][1] for n in with_pv)]
        lines.append(",".join([start, *map(str, cells)]))
    (folder / "week.csv").write_text("\n".join(lines) + "\n", "utf-8")
    rows = ["household,load_kw,pv_kw", *(f"{n},3.0,{5.0 if n in with_pv else 0.0}" for n in names)]
    (folder / "households.csv").write_text("\n".join(rows) + "\n", "utf-8")
    nodes = ["node,parent,r_uohm,x_uohm,i_max_a,household", "0,-1,4800,23515,577,"]
    nodes += [f"{i},{i - 1},2439,949,270,{name}" for i, name in enumerate(names, 1)]
    (folder / "feeder.csv").write_text("\n".join(nodes) + "\n", "utf-8")
    return folder


class Demo:
    """`p2penergy demo`, running."""

    def __init__(self, data: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "p2penergy", "demo", "--plain", "--data", str(data), *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.seen: list[str] = []

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def read_until(self, words: str) -> None:
        """Read its lines up to the first with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line)
            if words in line:
                return
        raise AssertionError(f"{words!r} was never said: {self.seen} {self.process.communicate()[1]}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, the rest of its output, its errors."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, "".join(self.seen) + out, err


def run_demo(data: Path, *arguments: str) -> tuple[int, str, str]:
    """From beginning to end."""
    with Demo(data, *arguments) as demo:
        return demo.end()


def figures(path: Path) -> dict[str, Any]:
    """What `--json` wrote."""
    return dict(msgspec.json.decode(path.read_bytes()))


def children(keep: Path) -> set[int]:
    """Processes that run a validator whose home is below `keep`, by what holds the ledgers' locks."""
    found = set()
    for lock in keep.glob("*/*.lock"):
        text = lock.read_text("ascii").strip()
        if text:
            found.add(int(text))
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes()
        except OSError:
            continue
        if str(keep).encode() in words and b"--until-stdin-closes" in words:
            found.add(int(cmdline.parent.name))
    return {pid for pid in found if is_alive(pid)}


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be collected is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def all_ended(keep: Path) -> None:
    """Wait until no validator of this demo is left."""
    deadline = time.monotonic() + PATIENCE_S
    while left := children(keep):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.01)


def ledgers(keep: Path) -> list[Path]:
    """The kept ledger files."""
    return sorted(keep.glob(f"*/{LEDGER_FILE}"))
