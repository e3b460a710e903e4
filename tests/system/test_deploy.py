"""`p2penergy deploy` on three machines: real sshd, real rsync, the program installed from its wheel.

Each machine is a network namespace with a folder of its own: what the nodes are put into is another one on
each, mounted where the operator's `--folder` says.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import Machines

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "p2penergy"
SSHD = shutil.which("sshd", path=f"/usr/sbin:{os.environ['PATH']}") or "sshd"
PATIENCE_S = 90
CONFIG = """\
ListenAddress {address}
HostKey {folder}/host_key
PidFile {folder}/sshd-{number}.pid
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
"""
CLIENT = """\
Host *
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
Host attic
  HostName 10.77.0.2
"""


def sh(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


class Site:
    """Three machines with sshd, and the operator who sits at the first."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines = machines
        self.folder = folder
        self.remote = folder / "remote"
        self.config = folder / "ssh_config"
        self.hosts = folder / "hosts"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.remote.mkdir()
        for name in ("host_key", "key"):
            sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
        self.config.write_text(CLIENT.format(folder=self.folder))
        self.hosts.write_text("10.77.0.1\n10.77.0.2 attic  # a name of the configuration\n10.77.0.3\n")
        for number in range(1, self.machines.count + 1):
            self._listen(number)

    def _listen(self, number: int) -> None:
        own, config = self.folder / f"disk-{number}", self.folder / f"sshd-{number}.conf"
        own.mkdir()
        address = self.machines.address(number)
        config.write_text(CONFIG.format(folder=self.folder, number=number, address=address))
        mounted = f"mount --bind {own} {self.remote} && exec {SSHD} -D -e -f {config}"
        with (self.folder / f"sshd-{number}.log").open("wb") as log:
            self._daemons.append(self.machines.spawn(number, ["sh", "-c", mounted], log))

    def deploy(self, verb: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
        net = self.folder / "net"
        common = ("--hosts", self.hosts, "--ssh-config", self.config, "--folder", self.remote)
        return self.machines.run(1, [PROGRAM, "deploy", verb, net, *common, *options])

    def must(self, verb: str, *options: str | Path) -> str:
        done = self.deploy(verb, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.deploy("status", "--json").stdout)
        return found

    def end(self) -> None:
        for number in range(1, self.machines.count + 1):
            self.machines.plug(number)
        if (self.folder / "net").is_dir():
            self.deploy("stop")
        for daemon in self._daemons:
            daemon.terminate()
            daemon.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    machines = Machines(3)
    try:
        made = Site(machines, tmp_path)
        try:
            made.prepare()
            yield made
        finally:
            made.end()
    finally:
        machines.remove()


@pytest.mark.timeout(400)
def test_a_testnet_is_installed_started_asked_and_stopped_over_ssh(site: Site) -> None:
    wheels = site.folder / "wheels"
    sh(sys.executable, "-m", "pip", "wheel", "--quiet", ROOT, "-w", wheels)
    net = site.folder / "net"
    sh(PROGRAM, "testnet", "--validators", "4", "--hosts", site.hosts, "--out", net)

    early = site.deploy("start")
    assert early.returncode == 1
    assert early.stderr.count("nothing is installed there") == 3

    said = site.must("install", "--wheels", wheels, "--offline", "--python", sys.executable)
    assert said.count("its folder is there") == 4
    assert said.count("p2penergy, version ") == 3
    assert not list(site.folder.glob("disk-*/*/.incoming"))
    site.must("start")
    states = site.status()
    assert sorted(state["node"] for state in states) == ["node-1", "node-2", "node-3", "node-4"]
    assert all(state["pid"] and state["status"] for state in states)
    meters = [net / "meters" / name for name in ("meter-1", "meter-2")]
    trade = site.machines.run(1, [PROGRAM, "try-trade", "--seller", meters[0], "--buyer", meters[1]])
    assert trade.returncode == 0, trade.stdout + trade.stderr
    assert "node-4" in site.must("status")

    # Installed once more, a ledger that holds votes stays what it is, and who runs is left to run.
    before = {state["node"]: state["pid"] for state in states}
    assert site.must("install").count("stays as it is") == 4
    site.must("start")
    assert {state["node"]: state["pid"] for state in site.status()} == before

    logs = site.folder / "logs"
    site.must("logs", "--out", logs)
    texts = [path.read_text() for path in logs.rglob("node.log")]
    assert len(texts) == 4
    assert all("decided" in text for text in texts)
    assert not [path for path in logs.rglob("*") if path.is_file() and path.name != "node.log"]

    # One machine's power goes, then its cable: each failing host has its sentence, the others go on.
    os.kill(next(state["pid"] for state in states if state["node"] == "node-3"), signal.SIGKILL)
    asked = site.deploy("status", "--json")
    assert asked.returncode == 1
    assert [state["node"] for state in json.loads(asked.stdout) if state["status"] is None] == ["node-3"]
    site.must("start", "--only", "10.77.0.3")
    site.machines.unplug(3)
    cut = site.deploy("stop")
    assert cut.returncode == 1
    assert cut.stderr.startswith("10.77.0.3: ssh can't get in: ")
    assert "make `ssh 10.77.0.3` work without a password" in cut.stderr
    assert cut.stdout.count("has ended") == 3
    site.machines.plug(3)
    deadline = time.monotonic() + PATIENCE_S
    while site.deploy("stop").returncode:
        assert time.monotonic() < deadline
    assert all(state["pid"] is None for state in site.status())


def test_a_key_that_is_not_known_there_is_said(site: Site) -> None:
    sh(PROGRAM, "testnet", "--validators", "1", "--hosts", "10.77.0.2", "--out", site.folder / "net")
    (site.folder / "key.pub").write_text("")
    refused = site.deploy("install")
    assert refused.returncode == 1
    assert "ssh can't get in" in refused.stderr
    assert "Permission denied" in refused.stderr
    assert "make `ssh attic` work without a password" in refused.stderr
