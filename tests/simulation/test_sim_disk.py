import pytest

from p2penergy.consensus.effects import BlockRecord, PreparedRecord, ViewRecord, VoteRecord
from p2penergy.messages import VoteKind
from p2penergy.simulation.disk import Disk, DiskError

VOTE = VoteRecord(VoteKind.PREPARE, 1, 2, 2, b"d" * 32, b"message")


def test_what_was_committed_comes_back_and_nothing_of_other_heights() -> None:
    disk = Disk()
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


def test_a_view_never_goes_back() -> None:
    disk = Disk()
    disk.commit([ViewRecord(1, 5), ViewRecord(1, 3)])
    assert disk.restored().view == 5


def test_a_failing_disk_takes_nothing() -> None:
    disk = Disk()
    disk.failing = True
    with pytest.raises(DiskError):
        disk.commit([VOTE])
    assert disk.restored().votes == ()


def test_a_lost_store_remembers_when_it_began_anew() -> None:
    assert Disk(amnesia_slot=7).restored().amnesia_slot == 7
