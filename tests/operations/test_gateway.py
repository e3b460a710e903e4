"""A real node over HTTP: ready when it is, metrics as documented, and off unless switched on."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from operating_net import Net, make_net
from prometheus_client.parser import text_string_to_metric_families

from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.operations.gateway import hindrances
from p2penergy.operations.metrics import METRICS
from p2penergy.processes import ProcessError, Validator

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
NAME = re.compile(r"\bp2penergy_[a-z_]+")


def fetch(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def get(address: str, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(fetch, address, path)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Net:
    return make_net(tmp_path_factory.mktemp("net") / "out", 1, "--meters", "0")


@pytest.fixture
async def node(net: Net) -> AsyncIterator[Validator]:
    started = Validator("node-1", net.homes[0])
    await started.start()
    yield started
    await started.stop()


async def test_a_node_tells_how_it_is(net: Net, node: Validator) -> None:
    address = net.gateway()
    assert await get(address, "/health") == (200, "ok\n")
    async with asyncio.timeout(PATIENCE_S):
        while json.loads((await get(address, "/status"))[1])["decided_ms"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await get(address, "/ready") == (200, "ready\n")

    text = (await get(address, "/metrics"))[1]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    described = {each.name.removesuffix("_total"): each for each in METRICS}
    own = {name for name in families if name.startswith("p2penergy_")}
    assert own == described.keys()
    for name in own:
        assert families[name].type == described[name].kind
        assert families[name].documentation == described[name].help
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == set(described[name].labels)
    assert {"process_open_fds", "process_resident_memory_bytes"} <= families.keys()
    values = {s.name: s.value for family in families.values() for s in family.samples if not s.labels}
    assert values["p2penergy_ready"] == 1
    assert values["p2penergy_height_blocks"] >= 1
    assert values["p2penergy_decision_delay_seconds_count"] >= 1
    assert values["p2penergy_validators"] == 1


async def test_a_gateway_that_cannot_listen_is_named(net: Net, node: Validator, tmp_path: Path) -> None:
    other = make_net(tmp_path / "other", 1, "--meters", "0")
    config = other.homes[0] / "config.toml"
    config.write_text(config.read_text().replace(other.gateway(), net.gateway()))
    with pytest.raises(ProcessError, match=r"\[gateway\] listen: .* can't be listened on"):
        await Validator("other", other.homes[0]).start()


def a_genesis(validators: int) -> Genesis:
    members = tuple(
        Member(
            participant_id=f"{number:040x}",
            public_key="02" + f"{number:064x}",
            validator=True,
            beacon_tip="00" * 32,
        )
        for number in range(validators)
    )
    rules = ConsensusRules(t0_ms=1_000, alpha_ms=100, eps_ms=0, delta_ms=0)
    return Genesis(community="x", consensus=rules, members=members)


def a_status(connected: int, slot: int, present_slot: int) -> dict[str, Any]:
    names = [f"{number:040x}" for number in range(connected + 1)]
    return {
        "name": names[0],
        "connected": names[1:],
        "committee": [f"{number:040x}" for number in range(4)],
        "slot": slot,
        "now_ms": 1_000 + 100 * present_slot,
    }


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (a_status(2, 74, 100), None),
        (a_status(1, 74, 100), "2 of 4 validators are connected, 3 are needed"),
        (a_status(3, 73, 100), "the last block is 27 slots old, more than 26"),
    ],
)
def test_ready_means_a_quorum_and_a_recent_block(status: dict[str, Any], sentence: str | None) -> None:
    assert hindrances(status, a_genesis(4)) == ([] if sentence is None else [sentence])


def test_an_observer_does_not_count_as_a_validator() -> None:
    status = a_status(2, 100, 100) | {"name": "ff" * 20}
    assert hindrances(status, a_genesis(4)) == ["2 of 4 validators are connected, 3 are needed"]


def test_the_documentation_has_exactly_the_metrics_there_are() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    rows = re.findall(
        r"^\| `(p2penergy_\w+)` \| (\w+) \| ([\w ]+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE
    )
    expected = [
        (each.name, each.kind, each.unit, ", ".join(f"`{label}`" for label in each.labels), each.help)
        for each in METRICS
    ]
    assert [tuple(cell.strip() for cell in row) for row in rows] == expected


@pytest.mark.parametrize("file", ["alerts.yml", "alerts_test.yml", "dashboard.json"])
def test_alerts_and_dashboard_name_metrics_that_exist(file: str) -> None:
    text = (ROOT / "monitoring" / file).read_text()
    known = {each.name for each in METRICS}
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(text)}
    assert used
    assert used <= known


def test_the_dashboard_is_json_with_a_panel_for_every_expression() -> None:
    panels = json.loads((ROOT / "monitoring" / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])
