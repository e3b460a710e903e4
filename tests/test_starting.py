"""Which store a node starts with, and what a node that lost its votes is bound by."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench.long_chain import LongChain
from p2penergy import founding, starting
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.coordinator import wall_clock_ms
from p2penergy.founding import Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.home import Home
from p2penergy.ledger import Ledger
from p2penergy.messages import decode_block, decode_certificate
from p2penergy.opening import install, open_ledger
from p2penergy.signing import EcdsaChecker
from p2penergy.snapshots.fetching import Loaded
from p2penergy.starting import open_store
from p2penergy.store import Store, StoreError, StoreMissingError

LENGTH = 6
ALPHA_MS = 100


class Founded:
    """A home that may be far behind, and what its peers would tell."""

    def __init__(self, folder: Path, slots_passed: int) -> None:
        timing = ConsensusRules(
            t0_ms=wall_clock_ms() - slots_passed * ALPHA_MS,
            alpha_ms=ALPHA_MS,
            eps_ms=5,
            delta_ms=20,
            committee_size_min=1,
        )
        households = [(f"H{number}", 0) for number in range(4)]
        plan = Plan("Start Road", households, 4, timing, MarketRules(replay=True, first_period=100))
        self.community = found(plan, folder)
        chain = LongChain(self.community)
        self.records = list(chain.grow(LENGTH))
        self.items = chain.snapshot().values
        self.home: Home = homes.load(self.community.homes["H0"])
        self.asked = 0

    @property
    def loaded(self) -> Loaded:
        record = self.records[-1]
        header = decode_block(record.block).header
        return Loaded(LENGTH, header, record.block, decode_certificate(record.certificate), self.items)

    async def tells(self, *_: Any) -> Loaded:
        self.asked += 1
        return self.loaded

    async def tells_nothing(self, *_: Any) -> None:
        self.asked += 1

    def wipe(self) -> None:
        self.home.ledger_path.unlink()


@pytest.fixture
async def founded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Founded]:
    for module in (homes, founding):
        monkeypatch.setattr(module, "HashChain", lambda secret: HashChain(secret, 64))
    made = Founded(tmp_path, slots_passed=5000)
    monkeypatch.setattr(starting.joining, "load", made.tells)
    yield made


async def test_an_empty_store_far_behind_is_filled_by_a_snapshot(founded: Founded) -> None:
    with contextlib.closing(await open_store(founded.home, votes_lost=False)) as store:
        assert (store.base(), store.tip(), store.restored().amnesia_slot) == (LENGTH, LENGTH, None)
        ledger = open_ledger(founded.home, store, EcdsaChecker())
        assert isinstance(ledger, Ledger)
        assert (ledger.height, dict(ledger.items())) == (LENGTH, founded.items)


async def test_without_a_snapshot_the_store_is_opened_as_it_is(
    founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting.joining, "load", founded.tells_nothing)
    with contextlib.closing(await open_store(founded.home, votes_lost=False)) as store:
        assert (store.base(), store.tip()) == (0, 0)
    assert founded.asked == 1


async def test_nobody_is_asked_where_nothing_can_be_far_ahead(
    tmp_path: Path, founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Founded(tmp_path / "near", slots_passed=900)
    monkeypatch.setattr(starting.joining, "load", near.tells)
    (await open_store(near.home, votes_lost=False)).close()
    with contextlib.closing(Store.open(founded.home.ledger_path, founded.home.genesis.chain_id)) as store:
        store.persist_now([founded.records[0]])
    (await open_store(founded.home, votes_lost=False)).close()
    assert near.asked == founded.asked == 0


async def test_who_lost_its_votes_is_bound_by_its_own_slot_and_by_the_snapshots(founded: Founded) -> None:
    founded.wipe()
    with contextlib.closing(await open_store(founded.home, votes_lost=True)) as store:
        slot = store.restored().amnesia_slot
        assert slot is not None
        assert slot >= 5000


async def test_a_clock_that_is_far_behind_makes_nobody_forget_the_snapshots_slot(founded: Founded) -> None:
    founded.wipe()
    early = starting.create_store(founded.home, amnesia_slot=2)
    with contextlib.closing(install(founded.home, early, founded.loaded)) as store:
        assert store.restored().amnesia_slot == founded.loaded.header.slot == LENGTH


async def test_a_lost_store_must_be_said(founded: Founded) -> None:
    founded.wipe()
    with pytest.raises(StoreMissingError, match="--votes-lost"):
        await open_store(founded.home, votes_lost=False)
    (await open_store(founded.home, votes_lost=True)).close()
    with pytest.raises(StoreError, match="exists already"):
        await open_store(founded.home, votes_lost=True)


async def test_whatever_fails_the_file_is_let_go_of(
    founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(starting.joining, "load", broken)
    with pytest.raises(RuntimeError, match="no network"):
        await open_store(founded.home, votes_lost=False)
    Store.open(founded.home.ledger_path, founded.home.genesis.chain_id).close()
