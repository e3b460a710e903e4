"""A ledger that begins with a snapshot: what it holds, what it says it does not, and how it comes to be."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from store_samples import CHAIN, HOUSE, OTHER_CHAIN, SampleVersion, decided, signed_at, transaction_id

from p2penergy.store import FILE_NAME, Base, Store, StoreError
from p2penergy.store import store as store_module

WALLET, SCORE, OLD = b"wallet/" + HOUSE, b"q/" + HOUSE, b"energy/" + HOUSE
START = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def a_base(height: int = START) -> Base:
    record = decided(height)
    versions = tuple(SampleVersion(key, -1, 2, b"base") for key in (OLD, SCORE, WALLET))
    return Base(height, record.digest, record.block, record.certificate, versions)


def test_it_holds_the_base_block_and_the_state_after_it(path: Path) -> None:
    base = a_base()
    with contextlib.closing(Store.create_from(path, CHAIN, base, amnesia_slot=77)) as store:
        assert (store.base(), store.tip()) == (START, START)
        assert store.block(START) == (base.block, base.certificate)
        assert dict(store.current_state()) == dict.fromkeys((OLD, SCORE, WALLET), b"base")
        restored = store.restored()
        assert restored.tip is not None
        assert restored.tip[0].header.height == START
        assert (restored.votes, restored.view, restored.amnesia_slot) == ((), None, 77)


def test_of_what_was_before_it_has_nothing_and_gives_nothing(path: Path) -> None:
    with contextlib.closing(Store.create_from(path, CHAIN, a_base())) as store:
        store.persist_now([*signed_at(START + 1), decided(START + 1)])
        for height in (0, 1, START - 1):
            assert store.block(height) is None
            # Neither what follows: the asker wants an unbroken chain.
            assert store.blocks(height, 100, 1 << 20) == []
            assert store.headers(height, 100) == []
            assert store.receipts(height) == []
        assert [len(store.blocks(START + n, 100, 1 << 20)) for n in range(3)] == [2, 1, 0]
        assert [len(store.headers(START + n, 100)) for n in range(3)] == [2, 1, 0]
        assert store.transaction(transaction_id(START, 0)) is None
        assert store.transaction(transaction_id(START + 1, 0)) == (START + 1, 0)
        assert len(store.receipts(START + 1)) == 2


def test_a_history_begins_with_the_base(path: Path) -> None:
    with contextlib.closing(Store.create_from(path, CHAIN, a_base())) as store:
        store.persist_now([decided(START + 1)])
        values = [(entry.height, entry.value, entry.cause) for entry in store.history(SCORE)]
        assert values == [(START, b"base", None), (START + 1, b"%d" % (START + 1), None)]
        assert [entry.height for entry in store.history(OLD)] == [START]
        assert store.history(WALLET, START - 1) == []


def test_it_goes_on_from_there_and_opens_again(path: Path) -> None:
    Store.create_from(path, CHAIN, a_base()).close()
    refused = pytest.raises(StoreError, match="can't follow block 40")
    with contextlib.closing(Store.open(path, CHAIN)) as store, refused:
        store.persist_now([decided(START + 2)])
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        store.persist_now([decided(START + 1), decided(START + 2)])
        assert (store.base(), store.tip()) == (START, START + 2)


def test_an_ordinary_ledger_begins_with_genesis(path: Path) -> None:
    with contextlib.closing(Store.create(path, CHAIN)) as store:
        store.persist_now([decided(1)])
        assert store.base() == 0
        assert len(store.blocks(1, 9, 1 << 20)) == 1


def test_it_takes_the_place_of_an_empty_ledger_with_its_log(path: Path) -> None:
    # A process that is killed leaves its log behind.
    log, kept = path.with_name(path.name + "-wal"), path.with_name("kept")
    store = Store.create(path, CHAIN)
    store.persist_now(signed_at(1))
    kept.write_bytes(log.read_bytes())
    main = path.read_bytes()
    store.close()
    path.write_bytes(main)
    kept.rename(log)
    with contextlib.closing(Store.create_from(path, CHAIN, a_base())) as store:
        assert store.tip() == START
        assert store.votes(1) == []
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        assert store.tip() == START


def test_a_ledger_that_holds_blocks_is_never_replaced(path: Path) -> None:
    with contextlib.closing(Store.create(path, CHAIN)) as store:
        store.persist_now([decided(1)])
        with pytest.raises(StoreError, match="in use by another process"):
            Store.create_from(path, CHAIN, a_base())
    with pytest.raises(StoreError, match="holds a chain up to height 1 and is not replaced"):
        Store.create_from(path, CHAIN, a_base())
    with pytest.raises(StoreError, match="belongs to the chain"):
        Store.create_from(path, OTHER_CHAIN, a_base())
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        assert (store.base(), store.tip()) == (0, 1)


def test_a_power_cut_on_the_way_leaves_the_empty_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.create(path, CHAIN, amnesia_slot=9).close()

    class CutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise CutError

    monkeypatch.setattr(store_module.Rows, "base", cut)
    with pytest.raises(CutError):
        Store.create_from(path, CHAIN, a_base())
    monkeypatch.undo()
    with contextlib.closing(Store.open(path, CHAIN)) as store:
        assert (store.base(), store.tip(), store.restored().amnesia_slot) == (0, 0, 9)
    Store.create_from(path, CHAIN, a_base()).close()


def test_a_full_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store_module.Rows, "base", full)
    with pytest.raises(StoreError, match="can't be made: database or disk is full"):
        Store.create_from(path, CHAIN, a_base())
