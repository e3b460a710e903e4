"""A real node, watched, saved and ended by the operator's commands."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from operating_net import Net, make_net, run

from p2penergy.home import LEDGER_FILE, load_device
from p2penergy.operations.asking import own_address, survey
from p2penergy.operations.process import running_pid
from p2penergy.processes import Validator

PATIENCE_S = 60


async def command(*arguments: str | Path) -> tuple[int, str]:
    """A command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(run, *arguments)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Net:
    return make_net(tmp_path_factory.mktemp("net") / "out", 1, "--meters", "1")


@pytest.fixture
async def node(founded: Net) -> AsyncIterator[Validator]:
    started = Validator("node-1", founded.homes[0])
    await started.start()
    yield started
    await started.stop()


async def has_decided(home: Path) -> int:
    device = load_device(home)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (report,) = await survey(device, {device.signer.participant_id: own_address(device)})
            if report.status is not None and report.status["height"] > 0:
                return int(report.status["height"])
            await asyncio.sleep(0.05)


async def test_a_running_node_is_asked_saved_and_ended(founded: Net, node: Validator, tmp_path: Path) -> None:
    home, saved = founded.homes[0], tmp_path / "saved.ledger"
    height = await has_decided(home)
    assert running_pid(home) == node.pid

    code, said = await command("status", "--home", home, "--json")
    figures = json.loads(said)
    assert code == 0
    assert figures["pid"] == node.pid
    assert figures["status"]["height"] >= height
    assert figures["status"]["chain_id"] == founded.figures["chain_id"]
    code, said = await command("status", "--home", home)
    assert code == 0
    assert f"process              {node.pid}" in said
    assert founded.figures["chain_id"] in said

    # Any certified device may ask, such as a household's meter.
    code, said = await command("peers", "--home", founded.meters[0], "--json")
    (peer,) = json.loads(said)
    assert code == 0
    assert peer["status"]["name"] == peer["participant_id"]
    assert abs(peer["clock_offset_ms"]) <= peer["round_trip_ms"] + 1
    assert peer["address"] in (await command("peers", "--home", founded.meters[0]))[1]

    code, said = await command("export", "--home", home, "--out", saved)
    assert code == 0
    code, said = await command("export", "--home", home, "--out", saved)
    assert (code, "exists already" in said) == (2, True)

    code, said = await command("reset", "--home", home, "--yes")
    assert (code, "in use by another process" in said) == (2, True)
    assert (home / LEDGER_FILE).exists()

    node.kills = 0
    code, said = await command("stop", "--home", home)
    assert (code, said) == (0, f"Process {figures['pid']} has ended.\n")
    assert running_pid(home) is None
    code, said = await command("status", "--home", home, "--wait-ms", "200", "--json")
    assert code == 1
    assert json.loads(said)["status"] is None
    code, said = await command("peers", "--home", home, "--wait-ms", "200")
    assert code == 1
    assert f"{peer['participant_id'][:12]}*, {peer['address']}: no answer within 200 ms" in said
    assert said.endswith("* is this node.\n")
    assert (await command("stop", "--home", home))[1] == "No node runs there.\n"


def test_a_number_in_the_lock_is_no_running_node(tmp_path: Path) -> None:
    lock = tmp_path / f"{LEDGER_FILE}.lock"
    assert running_pid(tmp_path) is None
    for text in ("", "nonsense", "999999999", str(os.getpid())):
        lock.write_text(text)
        assert running_pid(tmp_path) is None


def test_stop_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = run("stop", "--home", tmp_path / "none")
    assert result.exit_code == 2
    assert "There is no folder" in result.output


def test_versions_and_the_chain_id_are_told(founded: Net) -> None:
    figures = json.loads(run("version", "--json").output)
    assert figures["protocol"] == 1
    assert f"p2penergy {figures['p2penergy']}" in run("version").output
    for path in (founded.homes[0], founded.out / "genesis.json"):
        assert run("genesis", "hash", path).output.strip() == founded.figures["chain_id"]
    assert run("genesis", "hash", founded.out / "network.json").exit_code == 2
