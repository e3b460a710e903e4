"""Founding: certificates, genesis and folders that fit together, and a sentence for what is in the way."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from p2penergy import founding as module
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.config import parse_address
from p2penergy.founding import HOST, WALLET_NANO, FoundingError, Plan, found
from p2penergy.genesis import ConsensusRules, GenesisError, MarketRules
from p2penergy.store import Store

LINKS = 64


@pytest.fixture(autouse=True)
def short_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (module, homes):
        monkeypatch.setattr(each, "HashChain", lambda secret: HashChain(secret, LINKS))


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "community": "Elm Street",
        "households": [(f"H{i:03}", 1_000 * i) for i in range(1, 7)],
        "validators": 4,
        "consensus": ConsensusRules(t0_ms=0, alpha_ms=500, eps_ms=5, delta_ms=20),
        "market": MarketRules(),
    }
    return Plan(**(values | changes))


def test_every_validator_has_a_home_that_opens(tmp_path: Path) -> None:
    community = found(plan(), tmp_path)
    assert community.validators == ("H001", "H002", "H003", "H004")
    assert sorted(path.name for path in tmp_path.iterdir()) == list(community.validators)
    for name in community.validators:
        home = homes.load(community.homes[name])
        meter = community.meters[name]
        assert home.signer.participant_id == meter.participant_id
        assert home.genesis == community.genesis
        assert parse_address(home.config.node.listen) == community.addresses[meter.participant_id]
        assert set(home.config.peers) == {pid.hex() for pid in community.addresses}
        with_store = Store.open(home.ledger_path, community.genesis.chain_id)
        assert with_store.tip() == 0
        with_store.close()


def test_all_households_are_members_and_the_first_are_validators(tmp_path: Path) -> None:
    community = found(plan(), tmp_path)
    members = {community.name_of(bytes.fromhex(m.participant_id)): m for m in community.genesis.members}
    assert [members[name].validator for name in sorted(members)] == [True] * 4 + [False] * 2
    assert [members[name].rated_w for name in sorted(members)] == [1_000 * i for i in range(1, 7)]
    assert {m.wallet_nano for m in members.values()} == {WALLET_NANO}
    assert len({m.public_key for m in members.values()}) == 6


def test_free_ports_differ(tmp_path: Path) -> None:
    community = found(plan(), tmp_path)
    assert len({port for _, port in community.addresses.values()}) == 4
    assert {host for host, _ in community.addresses.values()} == {HOST}


def test_two_foundings_are_two_communities(tmp_path: Path) -> None:
    one, two = found(plan(), tmp_path / "one"), found(plan(), tmp_path / "two")
    assert one.genesis.chain_id != two.genesis.chain_id


def test_a_port_in_use_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FoundingError, match=rf"port {port} of {HOST} can't be used"):
            found(plan(base_port=port - 1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FoundingError, match="can't be written: Not a directory"):
        found(plan(), tmp_path / "file" / "below")


def test_rules_that_do_not_fit_are_told(tmp_path: Path) -> None:
    rules = ConsensusRules(t0_ms=0, alpha_ms=50, eps_ms=5, delta_ms=20)
    with pytest.raises(GenesisError, match="alpha_ms"):
        found(plan(consensus=rules), tmp_path)
    assert list(tmp_path.iterdir()) == []
