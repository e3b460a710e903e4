"""Hosts of a remote benchmark: the file, the homes made for them, the instructions."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.experiment import Bench, Settings
from bench.experiments import remote
from bench.experiments.remote import HostsError, instructions, parse_hosts, read_hosts
from bench.network import Network, Options
from bench.results import Folder
from bench.watching import Watcher
from p2penergy import home as homes
from p2penergy.config import parse_address
from p2penergy.operations.process import running_pid
from p2penergy.processes import Validator

ROOT = Path(__file__).resolve().parents[2]
HOSTS = """\
192.0.2.1:7440
# a comment
192.0.2.2:7440  # the second

192.0.2.3:7440 pi@attic
[2001:db8::4]:7440
"""


def test_one_address_a_line() -> None:
    assert parse_hosts(HOSTS, "hosts")[1:] == [
        ("192.0.2.2", 7440),
        ("192.0.2.3", 7440),
        ("2001:db8::4", 7440),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.1\n", "hosts, line 1: .*is not HOST:PORT"),
        (HOSTS + "192.0.2.1:7440\n", "line 7: 192.0.2.1:7440 is there twice"),
        ("192.0.2.1:7440\n", "names 1 hosts: 4 to 100"),
        ("", "names 0 hosts"),
    ],
)
def test_a_wrong_line_is_named(text: str, said: str) -> None:
    with pytest.raises(HostsError, match=said):
        parse_hosts(text, "hosts")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostsError, match="can't be read"):
        read_hosts(tmp_path / "none")


def test_every_home_is_made_for_its_host(tmp_path: Path) -> None:
    hosts = [*((f"192.0.2.{number}", 7440 + number) for number in range(1, 4)), ("2001:db8::4", 7444)]
    network = Network(Options(n=4), tmp_path, hosts)
    assert network.validators == []
    for number, name in enumerate(network.community.validators):
        home = homes.load(network.community.homes[name])
        host, port = hosts[number]
        assert parse_address(home.config.node.listen) == (host, port)
        assert parse_address(home.config.peers[network.participant(number).hex()]) == (host, port)
        assert len(home.config.peers) == 4
    lines = instructions(network, hosts)
    assert len(lines) == 5 and "192.0.2.1:7441" in lines[1] and "p2penergy start --home" in lines[1]


async def test_validators_that_somebody_else_starts_are_measured(tmp_path: Path) -> None:
    ports = free_ports(4)
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"127.0.0.1:{port}\n" for port in ports))
    settings = Settings(runs=1, length_s=1.0, warm_up_s=0.5, pairs=1, peak_per_s=40.0)
    bench = Bench("remote", settings, Folder(tmp_path / "out"), Watcher(Console(quiet=True)))
    working = asyncio.ensure_future(remote.run(bench, hosts, wait_s=60))
    # The homes are made before it waits for anybody.
    await asyncio.sleep(0)
    homes_made = sorted((tmp_path / "out" / "network" / "homes").iterdir())
    validators = [Validator(home.name, home) for home in homes_made]
    try:
        await asyncio.gather(*(validator.start() for validator in validators))
        await working
    finally:
        working.cancel()
        await asyncio.gather(*(validator.stop() for validator in validators))
    assert [row.point for row in bench.rows] == ["peak", "half of peak"]
    for row in bench.rows:
        assert row.throughput > 0 and row.signature_limit
        assert "messages_per_request" in row.costs and "cpu_ms_per_request" not in row.costs
        assert not any("answered" in reason or "wrong" in reason for reason in row.invalid_because)


SSH = """#!/bin/sh
exec sh -s
"""
RSYNC = """#!/bin/sh
while [ $# -gt 2 ]; do shift; done
mkdir -p "${2#*:}" && cp -Rp "$1." "${2#*:}"
"""


@pytest.mark.system
async def test_they_are_copied_started_and_stopped_over_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins for ssh and rsync, that take this machine for the other; the nodes are real."""
    programs, there = tmp_path / "bin", tmp_path / "there"
    for folder in (programs, there):
        folder.mkdir()
    start = f'#!/bin/sh\nexec {sys.executable} -m p2penergy "$@"\n'
    for name, text in (("ssh", SSH), ("rsync", RSYNC), ("p2penergy", start)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"127.0.0.1:{port} attic\n" for port in free_ports(4)))
    settings = Settings(runs=1, length_s=1.0, warm_up_s=0.5, pairs=1, peak_per_s=40.0)
    bench = Bench("remote", settings, Folder(tmp_path / "out"), Watcher(Console(quiet=True)))
    monkeypatch.chdir(there)
    await remote.run(bench, hosts, 60, remote.Way(None, None))
    assert [row.point for row in bench.rows] == ["peak", "half of peak"]
    nodes = sorted(each.parent for each in there.rglob("ledger.sqlite3"))
    assert len(nodes) == 4
    assert [running_pid(node) for node in nodes] == [None] * 4


async def test_a_machine_that_can_not_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'no way' >&2; exit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"127.0.0.1:{port}\n" for port in free_ports(4)))
    settings = Settings(runs=1, length_s=1.0, warm_up_s=0.5, pairs=1, peak_per_s=40.0)
    bench = Bench("remote", settings, Folder(tmp_path / "out"), Watcher(Console(quiet=True)))
    with pytest.raises(HostsError, match=r"127\.0\.0\.1: ssh can't get in: no way"):
        await remote.run(bench, hosts, 60, remote.Way(None, None))


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
