"""What docs/operating.md promises: three machines, a cable pulled and put back, and a house that joins.

Black box: everything is done with the program itself, on hosts that are network namespaces.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import Machines

pytestmark = pytest.mark.system

PROGRAM = Path(sys.executable).parent / "p2penergy"
PATIENCE_S = 90
HOSTS = 3
LONE = 3
"""The host that is unplugged; it has one of the four validators."""
SLOW_KBIT_PER_S = 256
FOURTH = 4
"""Where a newcomer lives."""
SMALL = ("--volunteer-age-blocks", "5", "--committee-bar-ppm", "300000")
"""A small network's: who joined may serve soon, with a newcomer's score."""


class Network:
    """A testnet of four validators on three hosts, started by its own scripts."""

    def __init__(self, machines: Machines, out: Path) -> None:
        self.machines = machines
        self.out = out
        hosts = ",".join(machines.address(number) for number in range(1, HOSTS + 1))
        self.must(1, "testnet", "--validators", "4", "--hosts", hosts, "--out", out, *SMALL)
        self.figures: dict[str, Any] = json.loads((out / "network.json").read_text())

    def must(self, number: int, *arguments: str | Path) -> str:
        done = self.machines.run(number, [PROGRAM, *arguments])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def folder(self, number: int) -> Path:
        return self.out / "hosts" / self.machines.address(number)

    def homes(self, number: int) -> list[Path]:
        return sorted(path.parent for path in self.folder(number).glob("*/config.toml"))

    def start(self, number: int) -> None:
        script = ["env", f"P2PENERGY={PROGRAM}", self.folder(number) / "start.sh"]
        done = self.machines.run(number, script)
        assert done.returncode == 0, done.stderr

    def height(self, number: int) -> int:
        """Of the first node of a host, asked on that host; -1 while it does not answer."""
        return int(self.status(number, self.homes(number)[0]).get("height", -1))

    def status(self, number: int, home: Path) -> dict[str, Any]:
        """What a node says, asked on its host; {} while it does not answer."""
        done = self.machines.run(number, [PROGRAM, "status", "--home", home, "--json", "--wait-ms", "2000"])
        return (json.loads(done.stdout)["status"] or {}) if done.stdout.startswith("{") else {}

    def heights(self) -> list[int]:
        return [self.height(number) for number in range(1, HOSTS + 1)]

    def told(self, figure: str) -> list[int]:
        """What the first node of every host says; asked until all have answered."""
        answers: dict[int, dict[str, Any]] = {}

        def all_answer() -> bool:
            for number in range(1, HOSTS + 1):
                if not answers.get(number):
                    answers[number] = self.status(number, self.homes(number)[0])
            return all(answers.values())

        eventually(all_answer, "every host answers")
        return [int(answer[figure]) for answer in answers.values()]

    def trade(self, number: int) -> tuple[int, dict[str, Any]]:
        meters = [self.out / each["home"] for each in self.figures["meters"]]
        options = ["--seller", meters[0], "--buyer", meters[1], "--json", "--wait-s", "60"]
        done = self.machines.run(number, [PROGRAM, "try-trade", *options])
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    def end(self) -> None:
        for number in range(1, HOSTS + 1):
            for home in self.homes(number):
                self.machines.run(number, [PROGRAM, "stop", "--home", home])


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    machines = Machines(FOURTH)
    try:
        made = Network(machines, tmp_path / "net")
        try:
            for number in (1, 2, 3):
                made.start(number)
            yield made
        finally:
            made.end()
    finally:
        machines.remove()


@pytest.mark.timeout(400)
def test_a_trade_is_seen_everywhere_and_a_pulled_cable_does_no_harm(network: Network) -> None:
    eventually(lambda: min(network.heights()) >= 1, "every host decides")
    code, trade = network.trade(1)
    assert code == 0
    assert trade["accepted"]
    assert len(trade["seen"]) == 4
    assert all(trade["seen"].values())

    before = network.height(LONE)
    network.machines.unplug(LONE)
    lone = next(v for v in network.figures["validators"] if network.machines.address(LONE) in v["address"])
    # Three of four go on, and the fourth, which still answers on its own host, decides nothing alone.
    code, trade = network.trade(1)
    assert (code, trade["accepted"]) == (1, True)
    assert [peer for peer, seen in trade["seen"].items() if not seen] == [lone["participant_id"]]
    goal = network.height(1) + 2
    eventually(lambda: network.height(1) >= goal and network.height(2) >= goal, "heights keep coming")
    assert before <= network.height(LONE) < trade["height"]
    findings = network.machines.run(
        1, [PROGRAM, "doctor", "--home", network.homes(1)[0], "--json", "--wait-ms", "2000"]
    )
    assert findings.returncode == 1
    wrong = [each["check"] for each in json.loads(findings.stdout) if each["level"] == "error"]
    assert wrong == [f"peer {lone['participant_id'][:12]}"]

    network.machines.plug(LONE)
    eventually(lambda: network.height(LONE) >= goal, "the host is back at the others' height")
    eventually(lambda: network.trade(LONE)[0] == 0, "a trade from there is seen everywhere")


@pytest.mark.timeout(600)
def test_a_slow_cable_is_waited_for_and_a_network_in_two_parts_waits_to_be_one(network: Network) -> None:
    eventually(lambda: min(network.heights()) >= 1, "every host decides")
    network.machines.limit(LONE, SLOW_KBIT_PER_S)
    code, trade = network.trade(1)
    assert (code, trade["accepted"]) == (0, True)
    assert all(trade["seen"].values())

    # The first host has two of the four validators: neither part has the three that decide.
    network.machines.unplug(1)
    begun = network.told("view")
    eventually(lambda: all(v > b for v, b in zip(network.told("view"), begun, strict=True)), "views pass")
    heights, begun = network.told("height"), network.told("view")
    eventually(lambda: all(v > b + 5 for v, b in zip(network.told("view"), begun, strict=True)), "more pass")
    assert network.told("height") == heights

    network.machines.plug(1)
    eventually(lambda: min(network.heights()) > max(heights), "all go on as one")
    code, trade = network.trade(2)
    assert (code, trade["accepted"]) == (0, True)
    assert all(trade["seen"].values())


@pytest.mark.timeout(400)
def test_a_host_that_loses_its_power_comes_back(network: Network) -> None:
    eventually(lambda: min(network.heights()) >= 1, "every host decides")
    (home,) = network.homes(LONE)
    os.kill(int((home / "ledger.sqlite3.lock").read_text()), signal.SIGKILL)
    goal = network.height(1) + 2
    eventually(lambda: network.height(1) >= goal and network.height(2) >= goal, "heights keep coming")
    network.start(LONE)
    eventually(lambda: network.height(LONE) >= goal, "the host is back at the others' height")
    network.end()
    audited = network.machines.run(1, [PROGRAM, "audit", network.folder(LONE)])
    assert audited.returncode == 0, audited.stdout


@pytest.mark.timeout(400)
def test_a_fourth_house_joins_and_becomes_a_validator(network: Network, tmp_path: Path) -> None:
    """The walk through docs/operating.md, "Let a household in, or out"."""
    eventually(lambda: min(network.heights()) >= 1, "every host decides")
    home, issued, ca = tmp_path / "house", tmp_path / "issued", network.out / "ca"
    peers = [f"--peer={v['participant_id']}={v['address']}" for v in network.figures["validators"]]
    listen = f"{network.machines.address(FOURTH)}:7440"
    network.must(FOURTH, "init", "--home", home, "--role", "validator", "--listen", listen, *peers)
    person = ["--person", "Anna Example", "--address", "Elm Street 7", "--contact", "+49 30 1234"]
    key = ["--public-key", home / "device.public.pem", "--meter-serial", "1ESY1160123456"]
    network.must(1, "ca", "issue", ca, "--out", issued, *key, *person)
    certificate = ["--certificate", issued / "device.pem", "--authority", issued / "ca.pem"]
    network.must(FOURTH, "init", "--home", home, *certificate, "--genesis", network.out / "genesis.json")
    joined = network.must(FOURTH, "join", "--home", home, "--identity", issued / "identity.pem", "--json")
    newcomer = json.loads(joined)["participant_id"]

    with (tmp_path / "house.log").open("wb") as log:
        node = network.machines.spawn(FOURTH, [PROGRAM, "start", "--home", home], log)
        try:
            eventually(lambda: bool(network.status(FOURTH, home)), "the house's node answers")
            network.must(FOURTH, "volunteer", "--home", home, "--validator", "--verifier")

            def serves() -> bool:
                # Each trade is a block, and blocks are what a volunteer grows old by.
                _, trade = network.trade(1)
                counters = network.status(FOURTH, home)["consensus"]
                return bool(trade["accepted"]) and counters.get("signed_pre_prepare", 0) > 0

            eventually(serves, "the house leads a slot and proposes a block")
            status = network.status(1, network.homes(1)[0])
            assert newcomer in status["committee"]
            assert len(status["committee"]) == 5
            assert network.status(FOURTH, home)["consensus"]["signed_commit"] > 0
        finally:
            network.machines.run(FOURTH, [PROGRAM, "stop", "--home", home])
            assert node.wait(PATIENCE_S) == 0
    network.end()
    audited = network.machines.run(FOURTH, [PROGRAM, "audit", home])
    assert audited.returncode == 0, audited.stdout
