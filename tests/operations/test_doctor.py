"""What the doctor says: nothing when all is well, and a command for each thing that is not."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from operating_net import Net, make_net, run, short_chains

from p2penergy.home import LEDGER_FILE, Device, load_device
from p2penergy.operations import doctor
from p2penergy.operations.asking import Report
from p2penergy.operations.doctor import Disk
from p2penergy.operations.findings import Finding, Level
from p2penergy.processes import Validator

FAST = Disk(0.3, 1.0)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Net:
    short_chains(monkeypatch)
    return make_net(tmp_path / "net", 4)


@pytest.fixture
def device(net: Net) -> Device:
    return load_device(net.homes[0])


def reports(device: Device, *offsets_ms: float, round_trip_ms: float = 2.0, **changed: Any) -> list[Report]:
    me = device.signer.participant_id.hex()
    others = [bytes.fromhex(name) for name in device.config.peers if name != me]
    status = {"connected": [me], "height": 1} | changed
    return [
        Report(peer, ("192.0.2.1", 7440), status, "", round_trip_ms, offset)
        for peer, offset in zip(others, offsets_ms, strict=True)
    ]


def levels(findings: Sequence[Finding]) -> set[Level]:
    return {finding.level for finding in findings}


def test_everything_wrong_says_what_mends_it(device: Device) -> None:
    dead = [Report(r.peer, r.address, None, "no answer") for r in reports(device, 0, 0, 0)]
    findings = doctor.examine(device, dead, None)
    assert all(finding.mend for finding in findings if finding.level is not Level.OK)
    assert not any(finding.mend for finding in findings if finding.level is Level.OK)
    assert {"process", "clock", "timing"} <= {f.check for f in findings if f.level is Level.WARNING}
    assert sum(f.level is Level.ERROR for f in findings if f.check.startswith("peer")) == 3
    assert not list(device.path.glob(".probe-*"))


@pytest.mark.parametrize(
    ("days", "level"), [(61, Level.OK), (59, Level.WARNING), (6, Level.ERROR), (-1, Level.ERROR)]
)
def test_certificates_that_end_soon_are_named(device: Device, days: int, level: Level) -> None:
    now = datetime.now(UTC) + timedelta(days=5 * 365 - days)
    of_device, of_authority = doctor.certificates(device, now)
    assert of_device.level is level
    assert of_authority.level is Level.OK
    assert (device.signer.participant_id.hex() in of_device.mend) == (level is not Level.OK)


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_validator_that_only_observes_is_named(net: Net, device: Device) -> None:
    assert doctor.role(device).level is Level.OK
    assert doctor.role(load_device(net.meters[0])).level is Level.OK
    settings = net.homes[0] / "config.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace('role = "validator"', 'role = "observer"'), "utf-8")
    found = doctor.role(load_device(net.homes[0]))
    assert (found.level, "counts as silent" in found.sentence) == (Level.WARNING, True)
    assert 'role = "validator"' in found.mend


@pytest.mark.parametrize(("free_mib", "level"), [(3000, Level.OK), (1000, Level.WARNING), (100, Level.ERROR)])
def test_a_full_disk_is_seen_in_time(
    device: Device, monkeypatch: pytest.MonkeyPatch, free_mib: int, level: Level
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: _Usage(0, 0, free_mib * 1024**2))
    assert doctor.disk_space(device).level is level


@pytest.mark.parametrize(("worst_ms", "level"), [(100, Level.OK), (101, Level.WARNING), (201, Level.ERROR)])
def test_a_slow_disk_is_measured_against_delta(device: Device, worst_ms: float, level: Level) -> None:
    found = doctor.disk_speed(device, Disk(1, worst_ms))
    assert found.level is level
    # A ledger is never copied: the copy left behind would vote again.
    assert (level is Level.OK) or (" && mv " in found.mend and "rsync" not in found.mend)


def test_a_disk_that_cannot_be_written_is_an_error(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_folder: Path) -> Disk:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor, "measure_disk", refuse)
    found = {f.check: f for f in doctor.examine(device, reports(device, 0, 0, 0), None)}
    assert found["disk speed"].level is Level.ERROR
    assert "Read-only file system" in found["disk speed"].sentence
    assert found["timing"].level is Level.WARNING


@pytest.mark.parametrize(("soft", "level"), [(4096, Level.OK), (1024, Level.WARNING)])
def test_too_few_open_files_are_named(monkeypatch: pytest.MonkeyPatch, soft: int, level: Level) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, 4096))
    assert doctor.open_files().level is level


def test_a_port_in_use_is_named_unless_it_is_the_nodes_own(net: Net, device: Device) -> None:
    host, port = "127.0.0.1", int(device.config.node.listen.rpartition(":")[2])
    assert levels(doctor.ports(device, running=False)) == {Level.OK}
    with socket.create_server((host, port)):
        node, gateway = doctor.ports(device, running=False)
        assert (node.level, gateway.level) == (Level.ERROR, Level.OK)
        assert f"sport = :{port}" in node.mend
        assert levels(doctor.ports(device, running=True)) == {Level.OK}


def test_a_ledger_that_is_lost_damaged_or_anothers_is_an_error(device: Device) -> None:
    path = device.path / LEDGER_FILE
    assert doctor.ledger(device).level is Level.OK
    strange = msgspec.structs.replace(device.genesis, community="Another")
    other = replace(device, genesis=strange)
    assert "belongs to the chain" in doctor.ledger(other).sentence
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + bytes(8000) + whole[13000:])
    assert doctor.ledger(device).level is Level.ERROR
    path.unlink()
    assert "--votes-lost" in doctor.ledger(device).mend
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    assert doctor.ledger(device).level is Level.ERROR


def test_reachability_is_looked_at_both_ways(device: Device) -> None:
    good = reports(device, 0, 0, 0)
    assert levels(doctor.reachability(device, good, running=True)) == {Level.OK}
    deaf = reports(device, 0, 0, 0, connected=[])
    found = doctor.reachability(device, deaf, running=True)
    assert levels(found) == {Level.ERROR}
    assert all("is not connected to this one" in finding.sentence for finding in found)
    assert levels(doctor.reachability(device, deaf, running=False)) == {Level.OK}


@pytest.mark.parametrize(
    ("offsets", "level"),
    [
        ((0.0, 1.0, -1.0), Level.OK),
        ((51.0, 51.0, 51.0), Level.OK),
        ((53.0, 53.0, 53.0), Level.ERROR),
        ((-53.0, -53.0, -53.0), Level.ERROR),
        ((5000.0, 0.0, 0.0), Level.OK),
    ],
)
def test_a_clock_is_judged_by_the_median_as_far_as_it_is_known(
    device: Device, offsets: tuple[float, ...], level: Level
) -> None:
    # A round trip of 4 ms: the offset is known to 2 ms, eps is 50 ms.
    assert doctor.clocks(device, reports(device, *offsets, round_trip_ms=4.0)).level is level


def test_alpha_is_held_against_what_was_measured(device: Device) -> None:
    fine = doctor.timing(device, reports(device, 1, -1, 0), FAST)
    assert fine.level is Level.OK
    assert "measured eps 2.0 ms and delta 2.0 ms need an alpha of 12 ms" in fine.sentence
    slow = doctor.timing(device, reports(device, 0, 0, 0, round_trip_ms=420.0), FAST)
    assert slow.level is Level.WARNING
    broken = doctor.timing(device, reports(device, 0, 0, 0, round_trip_ms=600.0), FAST)
    assert broken.level is Level.ERROR
    assert "--alpha-ms" in broken.mend


async def test_the_command_tells_people_and_programs(tmp_path: Path) -> None:
    net = await asyncio.to_thread(make_net, tmp_path / "net", 1)
    node = Validator("node-1", net.homes[0])
    await node.start()
    try:
        result = await asyncio.to_thread(run, "doctor", "--home", net.homes[0], "--json")
        found = {each["check"]: each for each in json.loads(result.output)}
        assert found["process"]["level"] == "ok"
        assert found["ledger"]["level"] == "ok"
        assert found["clock"]["level"] == "warning"
    finally:
        await node.stop()
    result = await asyncio.to_thread(run, "doctor", "--home", net.homes[0], "--wait-ms", "100")
    assert "no process runs the node" in result.output
    assert f"-> p2penergy start --home {net.homes[0]}" in result.output
    (net.homes[0] / LEDGER_FILE).unlink()
    result = await asyncio.to_thread(run, "doctor", "--home", net.homes[0], "--wait-ms", "100")
    assert result.exit_code == 1
