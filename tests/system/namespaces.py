"""Machines for tests: network namespaces on one switch, each with its own address and a cable to pull."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

NETWORK = "10.77.0"
PREFIX_BITS = 24


def ip(*arguments: str, program: str = "ip") -> None:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)}: {done.stderr.strip()} (needs root)")


class Machines:
    """Hosts 1..n and a switch; `remove` at the end, when nothing runs in them any more."""

    def __init__(self, count: int, network: str = NETWORK) -> None:
        self._stem = f"p2e{os.getpid()}"
        self.network = network
        self._made: list[str] = []
        self.count = count
        try:
            self._make(count)
        except RuntimeError:
            self.remove()
            raise

    def address(self, number: int) -> str:
        return f"{self.network}.{number}"

    def name(self, number: int) -> str:
        return f"{self._stem}h{number}"

    @property
    def _switch(self) -> str:
        return f"{self._stem}sw"

    def _add(self, name: str) -> None:
        ip("netns", "add", name)
        self._made.append(name)
        ip("-n", name, "link", "set", "lo", "up")

    def _make(self, count: int) -> None:
        self._add(self._switch)
        ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self._switch, "link", "set", "br0", "up")
        for number in range(1, count + 1):
            name, port = self.name(number), f"port{number}"
            self._add(name)
            ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
            ip("-n", name, "address", "add", f"{self.address(number)}/{PREFIX_BITS}", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def join(self, address: str) -> None:
        """Plug this machine itself into the switch, until `remove`."""
        leg = f"{self._stem}me"
        here = str(os.getpid())
        ip("-n", self._switch, "link", "add", "portme", "type", "veth", "peer", "name", leg, "netns", here)
        ip("-n", self._switch, "link", "set", "portme", "master", "br0", "up")
        ip("address", "add", f"{address}/{PREFIX_BITS}", "dev", leg)
        ip("link", "set", leg, "up")

    def unplug(self, number: int) -> None:
        """Pull the cable at the switch: the host keeps its address and hears nothing."""
        ip("-n", self._switch, "link", "set", f"port{number}", "down")

    def plug(self, number: int) -> None:
        ip("-n", self._switch, "link", "set", f"port{number}", "up")

    def limit(self, number: int, kbit_per_s: int) -> None:
        """Let no more than this through a host's cable, either way, from now on."""
        for name, device in ((self._switch, f"port{number}"), (self.name(number), "eth0")):
            shape = ("tbf", "rate", f"{kbit_per_s}kbit", "burst", "16kb", "latency", "500ms")
            ip("-n", name, "qdisc", "replace", "dev", device, "root", *shape, program="tc")

    def run(self, number: int, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end."""
        return subprocess.run(
            self._inside(number, command), capture_output=True, text=True, check=False, timeout=120
        )

    def spawn(self, number: int, command: Sequence[str | Path], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command on a host."""
        return subprocess.Popen(
            self._inside(number, command), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

    def _inside(self, number: int, command: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.name(number), *map(str, command)]

    def remove(self) -> None:
        for name in reversed(self._made):
            ip("netns", "del", name)
        self._made.clear()
