"""A network larger than its committees: it decides, rotates, takes newcomers in, and burdens nobody more."""

import json
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner

from p2penergy.cli import main
from p2penergy.messages import Decided, SyncResponse, decode_message
from p2penergy.relaying import RELAYS
from p2penergy.simulation.crowd import NEWCOMERS, Crowd, CrowdError, CrowdWorld, simulate_crowd


def run(**plan: int) -> dict[str, Any]:
    ticks = count()
    return simulate_crowd(Crowd(**plan), lambda: next(ticks) / 1000)


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return run(members=30, committee=7, blocks=12)


def test_committees_rotate_and_take_newcomers_in(small: dict[str, Any]) -> None:
    assert small["committee"] == 7
    assert small["blocks_counted"] == 12
    assert small["share_kept_from_block_to_block"] < 0.5
    assert small["members_that_served"] > 20
    assert 1 <= small["newcomers_that_served"] <= small["newcomers_that_joined"] == NEWCOMERS
    assert small["virtual_s_per_block"] < 2.2, "a block in every slot"


def test_a_validators_work_does_not_grow_with_the_network_but_for_the_relay(small: dict[str, Any]) -> None:
    large = run(members=120, committee=7, blocks=8)
    few, many = small["validator_per_block"], large["validator_per_block"]
    for name in ("messages_in", "signature_checks"):
        assert many[name] < 1.2 * few[name]
    # Two copies for each of those who do not vote, whoever sends them.
    assert many["blocks_relayed"] == pytest.approx(RELAYS * 113 / 7, rel=0.05)
    assert many["messages_out"] - many["blocks_relayed"] < 1.2 * few["messages_out"]
    assert large["follower_per_block"]["messages_in"] < 6


def test_the_same_crowd_gives_the_same_figures(small: dict[str, Any]) -> None:
    assert run(members=30, committee=7, blocks=12) == small
    assert run(members=30, committee=7, blocks=12, seed=2) != small


def test_who_gets_no_copy_asks_when_the_next_block_shows_that_one_is_missing() -> None:
    world = CrowdWorld(Crowd(members=25, committee=7, blocks=10), lambda: 0.0)
    lost, repaired, post = set[tuple[bytes, int]](), set[bytes](), world.post

    def lossy(source: bytes, target: bytes, raw: bytes) -> None:
        message = decode_message(raw)
        if isinstance(message, SyncResponse):
            repaired.add(target)
        elif isinstance(message, Decided) and message.certificate.height % 4 == 0:
            lost.add((target, message.certificate.height))
            return
        post(source, target, raw)

    world.post = lossy  # type: ignore[method-assign]
    world.run()
    assert lost
    assert len(repaired) > 10
    assert world.figures()["blocks_counted"] in (10, 11)


def test_a_network_that_stands_still_says_so() -> None:
    with pytest.raises(CrowdError, match="of 2 reached block 4"):
        run(members=8, committee=7, blocks=2, silent=6)


def test_the_command_tells_people_and_machines() -> None:
    arguments = ["simulate", "--members", "20", "--committee", "4", "--blocks", "3", "--seeds", "3"]
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == 0, said.output
    assert "20 members, committees of 4" in said.output
    assert "signatures checked" in said.output
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert told["blocks_counted"] == 3


@pytest.mark.parametrize("members", ["3", "9999", "20,30"])
def test_impossible_crowds_are_refused_in_one_sentence(members: str) -> None:
    said = CliRunner().invoke(main, ["simulate", "--members", members, "--committee", "4"])
    assert said.exit_code == 2
    assert "with --committee, one size from 4 to 5000" in said.output
