"""One node's folder, step by step: the key stays, the ledger is made with it or never."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from operating_net import Net, done, make_net, run, short_chains

from p2penergy import home as homes
from p2penergy.membership.keys import DeviceKey
from p2penergy.store import Store


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Net:
    short_chains(monkeypatch)
    return make_net(tmp_path / "net")


def test_key_first_then_the_certificate(net: Net, tmp_path: Path) -> None:
    home, issued = tmp_path / "mine", tmp_path / "issued"
    peer, address = "ab" * 20, "192.0.2.1:7440"
    said = done(
        *("init", "--home", home, "--genesis", net.out / "genesis.json", "--role", "validator"),
        *("--listen", "192.0.2.9:7440", "--peer", f"{peer}={address}"),
    )
    assert f"have {home / 'device.public.pem'} certified" in said
    done("ca", "issue", net.out / "ca", "--public-key", home / "device.public.pem", "--out", issued)
    options = ("--certificate", issued / "device.pem", "--authority", issued / "ca.pem")
    figures = json.loads(done("init", "--home", home, *options, "--json"))
    opened = homes.load(home)
    assert figures["participant_id"] == opened.signer.participant_id.hex()
    assert opened.hash_chain.preimage(bytes.fromhex(figures["beacon_tip"])) is not None
    assert figures["made_key"] is False
    assert opened.config.node.role == "validator"
    assert opened.config.peers == {peer: address}
    Store.open(opened.ledger_path, opened.genesis.chain_id).close()


def test_a_second_init_keeps_the_key_and_makes_no_ledger(net: Net, tmp_path: Path) -> None:
    home = tmp_path / "mine"
    done("init", "--home", home, "--genesis", net.out / "genesis.json", "--ca", net.out / "ca")
    key = DeviceKey.load(home / homes.KEY_FILE).public_key_compressed()
    (home / homes.LEDGER_FILE).unlink()
    said = done("init", "--home", home)
    assert "the key was there" in said
    assert DeviceKey.load(home / homes.KEY_FILE).public_key_compressed() == key
    assert not (home / homes.LEDGER_FILE).exists()


def test_anothers_certificate_is_not_kept(net: Net, tmp_path: Path) -> None:
    home = tmp_path / "mine"
    done("init", "--home", home, "--genesis", net.out / "genesis.json", "--ca", net.out / "ca")
    before = (home / homes.CERTIFICATE_FILE).read_bytes()
    other = net.homes[0]
    options = (
        *("--certificate", other / homes.CERTIFICATE_FILE),
        *("--authority", other / homes.AUTHORITY_FILE),
    )
    result = run("init", "--home", home, *options)
    assert result.exit_code == 2
    assert "does not belong to the device certificate" in result.output
    assert (home / homes.CERTIFICATE_FILE).read_bytes() == before


def test_settings_that_are_there_are_not_passed_over_in_silence(net: Net, tmp_path: Path) -> None:
    home, peer = tmp_path / "mine", f"{'ab' * 20}=192.0.2.1:7440"
    options = ("--role", "validator", "--listen", "192.0.2.9:7440", "--peer", peer)
    done("init", "--home", home, *options)
    done("init", "--home", home, *options)
    done("init", "--home", home)
    for option, other in (
        ("--role", "observer"),
        ("--listen", "192.0.2.8:1"),
        ("--peer", peer.replace("7440", "7441")),
    ):
        result = run("init", "--home", home, option, other)
        assert result.exit_code == 2
        assert f"is never replaced: change {option.strip('-')}" in result.output


def test_a_ledger_without_its_key_is_no_new_node(net: Net, tmp_path: Path) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    (home / homes.LEDGER_FILE).touch()
    result = run("init", "--home", home, "--genesis", net.out / "genesis.json")
    assert result.exit_code == 2
    assert "is there without its key" in result.output
    assert not (home / homes.KEY_FILE).exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--genesis", "none.json"), "copy the community's genesis there"),
        (("--certificate", "x"), "belong together"),
        (("--listen", "here"), "is not HOST:PORT"),
        (("--peer", "abc=1.2.3.4:5"), "is not a participant id"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    result = run("init", "--home", tmp_path / "mine", *options)
    assert result.exit_code == 2
    assert sentence in result.output
