"""The simulator's store: what a crash takes back, what it keeps, and failures on demand."""

import pytest
from store_samples import CHAIN, decided, signed_at, vote

from p2penergy.store import MemoryStore, Persistence, StoreBusyError, StoreError
from p2penergy.store.limits import QUEUE_SUBMISSIONS_MAX

Told = list[Exception | None]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(CHAIN)


def test_it_can_stand_in_for_the_file(store: MemoryStore) -> None:
    interface: Persistence = store
    interface.persist_now([*signed_at(1), decided(1)])
    assert interface.tip() == 1
    interface.close()


def test_nothing_is_read_or_acknowledged_before_sync(store: MemoryStore) -> None:
    told: Told = []
    store.submit([vote(1, 1)], told.append)
    assert (told, store.votes(1), store.waiting) == ([], [], 1)
    store.sync()
    assert (told, store.votes(1), store.waiting) == ([None], [vote(1, 1)], 0)


def test_a_crash_takes_back_what_was_not_synced(store: MemoryStore) -> None:
    told: Told = []
    store.persist_now([vote(1, 1)])
    store.submit([vote(1, 2)], told.append)
    store.crash()
    store.sync()
    assert told == []
    assert store.restored().votes == (vote(1, 1),)


def test_a_crash_may_keep_what_nobody_was_told_of(store: MemoryStore) -> None:
    told: Told = []
    store.submit([vote(1, 1)], told.append)
    store.submit([decided(1)], told.append)
    store.submit([vote(2, 2)], told.append)
    store.crash(kept=2)
    assert told == []
    assert (store.tip(), store.votes(1), store.votes(2)) == (1, [vote(1, 1)], [])
    store.persist_now([decided(2)])
    assert store.tip() == 2


def test_a_failure_is_told_to_all_and_lasts_until_the_crash(store: MemoryStore) -> None:
    told: Told = []
    store.fail("no space left on device")
    store.submit([vote(1, 1)], told.append)
    store.submit([vote(1, 2)], told.append)
    store.sync()
    assert [str(each) for each in told] == ["The ledger can't be written: no space left on device."] * 2
    with pytest.raises(StoreError, match="no space left"):
        store.submit([vote(1, 3)], told.append)
    assert store.votes(1) == []
    store.crash(kept=2)
    store.persist_now([vote(1, 4)])
    assert store.votes(1) == [vote(1, 4)]


def test_what_waits_is_bounded(store: MemoryStore) -> None:
    for _ in range(QUEUE_SUBMISSIONS_MAX):
        store.submit([], lambda _: None)
    with pytest.raises(StoreBusyError):
        store.submit([], lambda _: None)


def test_a_lost_store_is_a_new_one_that_remembers_when() -> None:
    assert MemoryStore(CHAIN, amnesia_slot=12).restored().amnesia_slot == 12
