"""The group commit, its order and bounds, and that a failure is for ever."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_samples import CHAIN, SampleVersion, decided, vote

from p2penergy.consensus.effects import Record
from p2penergy.store import FILE_NAME, Persistence, Store, StoreBusyError, StoreError
from p2penergy.store import writer as writer_module

KILLS = 15
SAMPLES = Path(__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


class Gate:
    """Holds the writer's thread inside a callback, so that a test decides what queues meanwhile."""

    def __init__(self, store: Store) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        store.submit([], self._done)
        assert self._entered.wait(30)

    def _done(self, _: Exception | None) -> None:
        self._entered.set()
        self._open.wait(30)

    def release(self) -> None:
        self._open.set()


def test_all_that_waits_shares_one_commit_in_its_order(path: Path) -> None:
    store = Store.create(path, CHAIN)
    gate, told = Gate(store), []
    for view in range(1, 101):
        store.submit([vote(1, view)], lambda error, view=view: told.append((view, error)))
    gate.release()
    store.persist_now([])
    assert store.commits == 1
    assert told == [(view, None) for view in range(1, 101)]
    assert [each.view for each in store.votes(1)] == list(range(1, 101))
    store.close()


def test_close_writes_what_is_queued(path: Path) -> None:
    store: Persistence = Store.create(path, CHAIN)
    told: list[Exception | None] = []
    for view in range(1, 1001):
        store.submit([vote(1, view)], told.append)
    store.close()
    assert told == [None] * 1000
    again = Store.open(path, CHAIN)
    assert len(again.votes(1)) == 1000
    again.close()


async def test_many_tasks_persist_at_once(path: Path) -> None:
    store = Store.create(path, CHAIN)
    gate = Gate(store)
    async with asyncio.TaskGroup() as tasks:
        for view in range(1, 51):
            tasks.create_task(store.persist([vote(1, view)]))
        await asyncio.sleep(0)
        gate.release()
    assert (store.commits, len(store.votes(1))) == (1, 50)
    store.close()


async def test_a_cancelled_caller_does_not_take_its_records_back(path: Path) -> None:
    store = Store.create(path, CHAIN)
    gate = Gate(store)
    task = asyncio.create_task(store.persist([vote(1, 1)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.release()
    await store.persist([])
    assert store.votes(1) == [vote(1, 1)]
    store.close()


def test_the_queue_is_bounded_in_number_and_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_SUBMISSIONS_MAX", 3)
    monkeypatch.setattr(writer_module, "QUEUE_BYTES_MAX", 1000)
    store = Store.create(path, CHAIN)
    gate, told = Gate(store), []
    with pytest.raises(StoreBusyError):
        store.submit([vote(1, 1, message=b"x" * 1001)], told.append)
    drained = threading.Event()
    for view in (1, 2):
        store.submit([vote(1, view, message=b"x" * 300)], told.append)
    store.submit([vote(1, 3, message=b"x" * 300)], lambda error: (told.append(error), drained.set()))
    with pytest.raises(StoreBusyError, match="3 writes of 900 bytes wait"):
        store.submit([], told.append)
    gate.release()
    assert drained.wait(30)
    store.persist_now([vote(1, 4, message=b"x" * 1000)])
    assert told == [None] * 3
    store.close()


def test_a_callback_that_raises_harms_nobody_else(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store.create(path, CHAIN)
    gate, told = Gate(store), []

    def wrong(_: Exception | None) -> None:
        raise ZeroDivisionError

    store.submit([vote(1, 1)], wrong)
    store.submit([vote(1, 2)], told.append)
    gate.release()
    store.persist_now([vote(1, 3)])
    assert told == [None]
    assert "a callback of the store raised" in caplog.text
    store.close()


def test_a_record_that_cannot_be_stored_is_told_and_stops_all(path: Path) -> None:
    store = Store.create(path, CHAIN)
    with pytest.raises(StoreError, match="can't be stored, by a fault of the program: ValueError"):
        store.persist_now([decided(1, (SampleVersion(b"key", 99, 2, b""),))])
    with pytest.raises(StoreError, match="can't be stored"):
        store.persist_now([vote(1, 1)])
    assert store.tip() == 0
    store.close()


class FailingSync:
    """A connection whose next COMMIT fails as SQLite reports a failing fsync."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.failing = False

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.failing:
            self.failing = False
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, *arguments)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


def test_after_a_failing_fsync_nothing_is_ever_acknowledged(path: Path) -> None:
    store = Store.create(path, CHAIN)
    store.persist_now([vote(1, 1)])
    connection = FailingSync(store._writer._connection)
    store._writer._connection = connection
    connection.failing = True
    gate, told = Gate(store), []
    for view in (2, 3):
        store.submit([vote(1, view)], told.append)
    gate.release()
    with pytest.raises(StoreError, match=r"can't be written: disk I/O error\. Nothing more is stored"):
        store.persist_now([vote(1, 4)])
    # The disk is well again, but what it holds nobody knows: the same error for ever, and at once.
    with pytest.raises(StoreError, match="disk I/O error"):
        store.submit([vote(1, 5)], told.append)
    assert [type(each) for each in told] == [StoreError, StoreError]
    assert store.votes(1) == [vote(1, 1)]
    store.close()


def test_what_queued_behind_a_failure_is_not_written_either(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "GROUP_SUBMISSIONS_MAX", 1)
    store = Store.create(path, CHAIN)
    connection = FailingSync(store._writer._connection)
    store._writer._connection = connection
    connection.failing = True
    gate, told = Gate(store), []
    for view in (1, 2, 3):
        store.submit([vote(1, view)], told.append)
    gate.release()
    store.close()
    assert [type(each) for each in told] == [StoreError] * 3
    again = Store.open(path, CHAIN)
    assert again.votes(1) == []
    again.close()


CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {samples!r})
from store_samples import CHAIN, decided, vote
from p2penergy.store import Store, StoreError
path = Path({path!r})
"""
FULL = """
store = Store.create(path, CHAIN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for view in range(1, 1000):
    try:
        store.persist_now([vote(1, view, message=bytes(2000))])
    except StoreError as error:
        first = str(error)
        break
    print(view, flush=True)
try:
    store.persist_now([vote(2, 1)])
except StoreError as error:
    sys.exit(first if str(error) == first else "another error")
"""
LOOP = """
import threading
store = Store.open(path, CHAIN)
places = threading.Semaphore(8)
height = store.tip() + 1
while True:
    for view in range(1, 21):
        def done(error, height=height, view=view):
            places.release()
            if error is None:
                print(height, view, flush=True)
        places.acquire()
        store.submit([vote(height, view, message=b"%d/%d" % (height, view))], done)
    store.submit([decided(height)], lambda error: None)
    height += 1
"""


def test_a_full_disk_stops_the_store_for_good_and_keeps_what_was_acknowledged(path: Path) -> None:
    script = CHILD.format(samples=str(SAMPLES), path=str(path)) + FULL
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "Check the disk (space, health)" in child.stderr
    acknowledged = [int(line) for line in child.stdout.split()]
    assert acknowledged
    store = Store.open(path, CHAIN)
    assert [each.view for each in store.votes(1)][: len(acknowledged)] == acknowledged
    store.close()


def test_kill_at_any_moment_keeps_everything_acknowledged(path: Path) -> None:
    Store.create(path, CHAIN).close()
    chance = random.Random(20160620)
    script = CHILD.format(samples=str(SAMPLES), path=str(path)) + LOOP
    acknowledged: set[tuple[int, int]] = set()
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 120)):
                height, view = child.stdout.readline().split()
                acknowledged.add((int(height), int(view)))
            child.send_signal(signal.SIGKILL)
            for line in child.stdout.read().splitlines():
                if len(words := line.split()) == 2 and int(words[1]) <= 20:
                    acknowledged.add((int(words[0]), int(words[1])))
        store = Store.open(path, CHAIN)
        stored = {(h, each.view) for h in range(1, store.tip() + 2) for each in store.votes(h)}
        assert acknowledged <= stored
        assert [header.height for header, _ in store.headers(1, 1000)] == list(range(1, store.tip() + 1))
        store.close()


def test_the_log_is_copied_into_the_file_while_running(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_COMMITS", 4)
    store = Store.create(path, CHAIN)
    before_bytes = path.stat().st_size
    records: list[Record] = [vote(1, view, message=bytes(5000)) for view in range(1, 20)]
    for record in records:
        store.persist_now([record])
    store.persist_now([decided(1)])
    assert path.stat().st_size > before_bytes
    store.close()
