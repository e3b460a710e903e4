"""Founding: everybody gets a key and a place, and what stands in the way is named."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from p2penergy import founding
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.founding import FoundingError, Plan, Site, address_text, found, write_home
from p2penergy.genesis import ConsensusRules, GenesisError, MarketRules
from p2penergy.membership.authority import Authority
from p2penergy.store import Store

LINKS = 100
RULES = ConsensusRules(t0_ms=0, alpha_ms=500, eps_ms=50, delta_ms=100, committee_size_min=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (homes, founding):
        monkeypatch.setattr(module, "HashChain", lambda secret: HashChain(secret, LINKS))


def a_plan(**changed: Any) -> Plan:
    values: dict[str, Any] = {
        "community": "Elm Street",
        "households": [("A", 0), ("B", 5000), ("C", 0)],
        "validators": 2,
        "consensus": RULES,
        "market": MarketRules(),
    }
    return Plan(**(values | changed))


def test_the_first_households_are_validators_on_loopback(tmp_path: Path) -> None:
    community = found(a_plan(), tmp_path)
    assert community.validators == ("A", "B")
    assert [member.validator for member in community.genesis.members] == [True, True, False]
    assert community.genesis.members[1].rated_w == 5000
    for name in community.validators:
        home = homes.load(community.homes[name])
        assert home.path == tmp_path / name
        assert home.signer.participant_id == community.meters[name].participant_id
        assert home.config.peers == {p.hex(): address_text(*a) for p, a in community.addresses.items()}
        Store.open(home.ledger_path, home.genesis.chain_id).close()
        assert community.name_of(home.signer.participant_id) == name
    assert len({port for _, port in community.addresses.values()}) == 2
    assert not (tmp_path / "C").exists()


def test_validators_live_where_their_sites_say(tmp_path: Path) -> None:
    sites = [Site("2001:db8::1", 1, Path("x/one"), "127.0.0.1:9"), Site("b.example", 2, Path("y"))]
    community = found(a_plan(sites=sites), tmp_path)
    one, two = (homes.load(community.homes[name]) for name in "AB")
    assert one.path == tmp_path / "x" / "one"
    assert one.config.node.listen == "[2001:db8::1]:1"
    assert (one.config.gateway.listen, two.config.gateway.listen) == ("127.0.0.1:9", "")
    assert two.config.peers[one.signer.participant_id.hex()] == "[2001:db8::1]:1"


def test_an_authority_that_exists_issues_all_certificates(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "Elm Street")
    community = found(a_plan(), tmp_path / "net", authority)
    assert community.authority_pem == authority.certificate_pem
    assert len(authority.list()) == 3


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FoundingError, match=f"port {port} of 127.0.0.1 can't be used"):
            found(a_plan(base_port=port, validators=1), tmp_path)


def test_ports_are_free_different_and_none_that_dialling_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = founding._free_ports(3)
        monkeypatch.setattr(founding, "FREE_PORTS", range(taken.getsockname()[1], taken.getsockname()[1] + 1))
        with pytest.raises(FoundingError, match=r"127\.0\.0\.1 has no 1 free ports"):
            found(a_plan(validators=1), tmp_path)
    assert len(set(free)) == 3
    assert max(free) < 32_768


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    community = found(a_plan(), tmp_path)
    before = (tmp_path / "A" / homes.KEY_FILE).read_bytes()
    with pytest.raises(FoundingError, match="exists already"):
        write_home(community, "A", tmp_path / "A", homes.load(tmp_path / "A").config.node)
    assert (tmp_path / "A" / homes.KEY_FILE).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "A").write_text("in the way")
    with pytest.raises(FoundingError, match="can't be written"):
        found(a_plan(), tmp_path)


def test_rules_that_do_not_fit_make_nothing(tmp_path: Path) -> None:
    rules = ConsensusRules(t0_ms=0, alpha_ms=1, eps_ms=50, delta_ms=100)
    with pytest.raises(GenesisError):
        found(a_plan(consensus=rules), tmp_path / "net")
    assert not (tmp_path / "net").exists()
