"""Hosts of a remote benchmark: the file, the homes made for them, the instructions."""

from pathlib import Path

import pytest

from bench.experiments.remote import HostsError, instructions, parse_hosts, read_hosts
from bench.network import Network, Options
from p2penergy import home as homes
from p2penergy.config import parse_address

HOSTS = "192.0.2.1:7440\n# a comment\n192.0.2.2:7440  # the second\n\n192.0.2.3:7440\n[2001:db8::4]:7440\n"


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
