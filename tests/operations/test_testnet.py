"""A testnet: who goes to which host, what lies in each folder, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from operating_net import done, run, short_chains

from p2penergy import home as homes
from p2penergy.config import load
from p2penergy.membership.authority import Authority
from p2penergy.operations.testnet import host_folder
from p2penergy.store import Store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    short_chains(monkeypatch)


def test_a_host_makes_a_folder_that_any_system_takes() -> None:
    assert host_folder("2001:db8::1") == "2001-db8--1"
    assert host_folder("alpha.example") == "alpha.example"


def test_one_folder_per_host_with_everything_in_it(tmp_path: Path) -> None:
    out = tmp_path / "net"
    said = done(
        "testnet", "--validators", "4", "--meters", "2", "--hosts", "10.0.0.1,10.0.0.2,10.0.0.3", "--out", out
    )
    assert {path.name for path in (out / "hosts").iterdir()} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    first = out / "hosts" / "10.0.0.1"
    assert {path.name for path in first.iterdir()} == {
        *("node-1", "node-4", "start.sh", "compose.yaml", "p2penergy@.service")
    }
    assert (first / "start.sh").stat().st_mode & 0o111
    assert "set -- node-1 node-4\n" in (first / "start.sh").read_text()
    assert "./node-4:/home/node" in (first / "compose.yaml").read_text()
    network = json.loads((out / "network.json").read_text())
    assert network["chain_id"] in said
    assert [each["address"] for each in network["validators"]] == [
        *("10.0.0.1:7440", "10.0.0.2:7440", "10.0.0.3:7440", "10.0.0.1:7441")
    ]
    for each in network["validators"]:
        home = homes.load(out / each["home"])
        assert home.genesis.chain_id.hex() == network["chain_id"]
        assert home.signer.participant_id.hex() == each["participant_id"]
        assert home.config.node.listen == each["address"]
        assert home.config.peers[each["participant_id"]] == each["address"]
        assert home.config.gateway.listen == each["gateway"]
        Store.open(home.ledger_path, home.genesis.chain_id).close()
    assert network["validators"][3]["gateway"] == "127.0.0.1:8441"


def test_tariffs_currency_and_fees_go_into_genesis(tmp_path: Path) -> None:
    made = ("testnet", "--validators", "1", "--hosts", "a", "--no-gateway", "--out")
    done(
        *(*made, tmp_path / "net", "--currency", "CHF", "--retail", "0.31", "--feed-in", "0.0875"),
        *("--network-fee", "0.02", "--pay-as-bid"),
    )
    market = json.loads((tmp_path / "net" / "genesis.json").read_text())["market"]
    assert (market["currency"], market["pay_as_bid"]) == ("CHF", True)
    assert (market["retail_micro_per_kwh"], market["feed_in_micro_per_kwh"]) == (310_000, 87_500)
    assert market["network_fee_micro_per_kwh"] == 20_000
    done(*made, tmp_path / "other")
    assert "network_fee_micro_per_kwh" not in (tmp_path / "other" / "genesis.json").read_text()
    for wrong, said in (
        (("--currency", "eur"), "'eur' is not three capital letters"),
        (("--retail", "0.1", "--feed-in", "0.2"), "is above the retail tariff (100000)"),
    ):
        refused = run(*made, tmp_path / "refused", *wrong)
        assert refused.exit_code == 2 and said in refused.output
        assert not (tmp_path / "refused").exists()


def test_meters_have_keys_and_know_the_validators(tmp_path: Path) -> None:
    out = tmp_path / "net"
    done("testnet", "--validators", "1", "--meters", "3", "--hosts", "a", "--out", out, "--no-gateway")
    network = json.loads((out / "network.json").read_text())
    assert len(network["meters"]) == 3
    for each in network["meters"]:
        device = homes.load_device(out / each["home"])
        assert device.signer.participant_id.hex() == each["participant_id"]
        assert list(device.config.peers.values()) == ["a:7440"]
        assert not (device.path / homes.LEDGER_FILE).exists()
        with pytest.raises(homes.HomeError):
            homes.load(device.path)
    assert load(out / network["validators"][0]["home"]).gateway.listen == ""


def test_the_authority_is_kept_and_issues_more(tmp_path: Path) -> None:
    out = tmp_path / "net"
    done("testnet", "--validators", "1", "--meters", "1", "--hosts", "a", "--out", out)
    assert len(Authority.open(out / "ca").list()) == 2
    extra = tmp_path / "extra"
    done("init", "--home", extra, "--genesis", out / "genesis.json", "--ca", out / "ca")
    assert homes.load(extra).config.node.role == "observer"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--alpha-ms", "10"), "raise alpha_ms to 900"),
        (("--hosts", "a:65000"), "leaves no room for its gateway"),
        (("--community", ""), "community"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    hosts = () if "--hosts" in options else ("--hosts", "a")
    result = run("testnet", "--validators", "1", *hosts, "--out", tmp_path / "net", *options)
    assert result.exit_code == 2
    assert sentence in result.output
    assert isinstance(result.exception, SystemExit)
    if "--alpha-ms" in options:
        # The next try, with other rules, finds the folder free.
        assert not (tmp_path / "net").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    result = run("testnet", "--validators", "1", "--hosts", "a", "--out", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
