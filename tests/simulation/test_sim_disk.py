import pytest

from p2penergy.consensus.effects import BlockRecord, PreparedRecord, ViewRecord, VoteRecord
from p2penergy.consensus.errors import InvariantError
from p2penergy.messages import VoteKind
from p2penergy.simulation.disk import Disk, DiskError, StoredDisk
from p2penergy.simulation.node import CrashOrder
from p2penergy.simulation.plans import draw_plan, profile_named
from p2penergy.simulation.runner import Run

CHAIN_ID = bytes(32)
VOTE = VoteRecord(VoteKind.PREPARE, 1, 2, 2, b"d" * 32, b"message")


@pytest.fixture(params=["book", "rows"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return Disk() if request.param == "book" else StoredDisk(CHAIN_ID, [])


def test_what_was_committed_comes_back_and_nothing_of_other_heights(disk: Disk) -> None:
    block, prepared = BlockRecord(1, b"d" * 32, b"block"), PreparedRecord(1, 2, b"d" * 32, b"pc")
    disk.commit([ViewRecord(1, 2), VOTE, block, prepared, ViewRecord(2, 9)])
    restored = disk.restored()
    assert (restored.view, restored.votes, restored.blocks) == (2, (VOTE,), (block,))
    assert restored.prepared == prepared
    assert restored.tip is None
    assert disk.holds(VoteKind.PREPARE, 1, 2)
    assert not disk.holds(VoteKind.COMMIT, 1, 2)
    assert b"message" in disk.messages
    assert b"d" * 32 in disk.blocks


def test_a_view_never_goes_back_in_the_book() -> None:
    disk = Disk()
    disk.commit([ViewRecord(1, 5), ViewRecord(1, 3)])
    assert disk.restored().view == 5


def test_a_failing_disk_takes_nothing_until_it_is_mended_and_opened_again(disk: Disk) -> None:
    disk.failing = True
    with pytest.raises(DiskError):
        disk.commit([VOTE])
    disk.failing = False
    disk.reopen()
    assert disk.restored().votes == ()
    disk.commit([VOTE])
    assert disk.restored().votes == (VOTE,)


def test_a_lost_store_remembers_when_it_began_anew() -> None:
    assert Disk(amnesia_slot=7).restored().amnesia_slot == 7
    assert StoredDisk(CHAIN_ID, [], amnesia_slot=7).restored().amnesia_slot == 7


def test_the_rows_refuse_what_no_correct_core_asks_and_it_is_no_fault_of_the_disk() -> None:
    disk = StoredDisk(CHAIN_ID, [])
    disk.commit([VOTE])
    second = VoteRecord(VOTE.kind, VOTE.height, VOTE.view, VOTE.slot, b"e" * 32, b"another")
    with pytest.raises(InvariantError, match="A second, different PREPARE"):
        disk.commit([second])


def test_rows_that_differ_from_the_book_are_seen_when_a_process_starts() -> None:
    disk = StoredDisk(CHAIN_ID, [])
    disk.commit([VOTE])
    disk._store.persist_now([ViewRecord(1, 3)])
    with pytest.raises(InvariantError, match="something else than was made durable"):
        disk.restored()


def test_processes_of_the_ledger_profile_come_back_from_the_real_stores_rows() -> None:
    run = Run(draw_plan(1, 4, profile_named("ledger")))
    run.world.nodes[0].crash_order = CrashOrder("decided", 2, 300)
    result = run.execute()
    assert result.ok, result.sentence
    node = run.world.nodes[0]
    assert isinstance(node.disk, StoredDisk)
    assert node.incarnation > 1
    assert node.disk.restored().tip == node.disk.tip()
    assert dict(node.disk.state()) == dict(node.application.items())  # type: ignore[attr-defined]


def test_another_state_than_the_header_names_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(draw_plan(1, 4, profile_named("ledger")))
    run.world.nodes[0].crash_order = CrashOrder("decided", 2, 300)
    monkeypatch.setattr(StoredDisk, "state", lambda _disk: iter(run.world._bare_application().items()))  # type: ignore[attr-defined]
    result = run.execute()
    assert result.violation == "core invariant"
    assert "are another state" in result.sentence
