"""A chain made without a network is one that a network would have made: the audit finds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import wiped
from bench.long_chain import LongChain, store_chain
from p2penergy import founding
from p2penergy import home as homes
from p2penergy.audit import audit
from p2penergy.beacon import HashChain
from p2penergy.founding import Community, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.store import Store

LENGTH = 9


@pytest.fixture
def community(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Community:
    for module in (homes, founding):
        monkeypatch.setattr(module, "HashChain", lambda secret: HashChain(secret, 256))
    rules = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100)
    households = [(f"H{number}", 0) for number in range(6)]
    return found(Plan("Long Road", households, 4, rules, MarketRules(replay=True, first_period=9)), tmp_path)


def test_the_audit_finds_nothing_and_the_chain_goes_on_where_it_was_left(community: Community) -> None:
    home = community.homes["H0"]
    chain = LongChain(community)
    assert list(store_chain(chain, LENGTH, home / homes.LEDGER_FILE)) == list(range(1, LENGTH + 1))
    assert list(store_chain(chain, 2, home / homes.LEDGER_FILE)) == [LENGTH + 1, LENGTH + 2]
    report = audit(home)
    assert report.is_clean, report.ledgers[0].findings
    assert report.ledgers[0].transactions == 4 * (LENGTH + 2)
    assert report.ledgers[0].accepted > 2 * LENGTH


def test_the_others_get_the_chain_and_its_snapshots_and_the_late_one_nothing(
    community: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in community.homes.values():
        path = home / "config.toml"
        path.write_text(
            path.read_text("utf-8").replace("snapshot_blocks = 500", "snapshot_blocks = 4"), "utf-8"
        )
    entries = wiped.make_chain(community, LENGTH, 2, Console(quiet=True))
    assert entries > 20
    tips, snapshots = [], []
    for home in community.homes.values():
        store = Store.open(home / homes.LEDGER_FILE, community.genesis.chain_id)
        tips.append(store.tip())
        store.close()
        snapshots.append(sorted(file.name for file in (home / homes.SNAPSHOTS_FOLDER).glob("*")))
    assert tips == [LENGTH, LENGTH, LENGTH, 0]
    names = ["000000000004.snapshot", "000000000008.snapshot"]
    assert snapshots == [names, names, names, []]


def test_the_command_measures_both_ways(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    said = CliRunner().invoke(wiped.main, ["--blocks", "20", "--runs", "1", "--out", str(out)])
    assert said.exit_code == 0, said.output
    figures = json.loads(out.read_text("utf-8"))
    assert [way["way"] for way in figures["ways"]] == ["blocks", "snapshot"]
    # Twenty blocks are not far behind: both came by blocks.
    assert all(way["base_height"] == 0 and way["blocks"] >= 20 for way in figures["ways"])
