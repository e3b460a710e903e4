"""Snapshots on the disk: written whole or not at all, read in parts, damaged ones left aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from snapshot_village import Made

from p2penergy.ledger.snapshot import read_part
from p2penergy.messages import SNAPSHOT_PARTS, SnapshotOpening
from p2penergy.snapshots import files
from p2penergy.snapshots.files import (
    SNAPSHOTS_KEPT,
    Held,
    SnapshotError,
    SnapshotFolder,
    read_file,
    write_file,
)

NO_LIMIT = 1 << 30


def written(made: Made, folder: Path, height: int = 30) -> Held:
    return write_file(folder, made.genesis.chain_id, made.records[height - 1].block, made.snapshots[height])


def test_what_is_written_is_read_again(made: Made, tmp_path: Path) -> None:
    held = written(made, tmp_path / "snapshots")
    assert read_file(held.path, made.genesis.chain_id) == held
    assert (held.height, held.opening) == (30, made.opening(30))
    parts = held.read(0, SNAPSHOT_PARTS, NO_LIMIT)
    assert list(parts) == made.snapshots[30].encoded_parts()
    roots = held.opening.part_roots
    items = dict(entry for n, data in enumerate(parts) for entry in read_part(n, data, roots))
    assert items == made.snapshots[30].values
    assert [file.name for file in held.path.parent.iterdir()] == ["000000000030.snapshot"]


def test_parts_are_read_as_many_as_fit(made: Made, tmp_path: Path) -> None:
    held = written(made, tmp_path)
    parts = made.snapshots[30].encoded_parts()
    assert held.read(5, 3, NO_LIMIT) == tuple(parts[5:8])
    assert held.read(254, 100, NO_LIMIT) == tuple(parts[254:])
    assert held.read(256, 1, NO_LIMIT) == ()
    assert held.read(0, 0, NO_LIMIT) == ()
    assert held.read(0, 9, 1) == (parts[0],)
    two_bytes = len(parts[10]) + len(parts[11])
    assert held.read(10, 9, two_bytes) == tuple(parts[10:12])
    assert held.read(10, 9, two_bytes - 1) == tuple(parts[10:11])


def test_the_last_two_are_kept(made: Made, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, made.genesis.chain_id)
    assert folder.heights() == ()
    for height in (10, 20, 30):
        folder.add(written(made, tmp_path, height))
    assert SNAPSHOTS_KEPT == 2
    assert folder.heights() == (20, 30)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "000000000020.snapshot",
        "000000000030.snapshot",
    ]
    assert folder.get(10) is None
    again = SnapshotFolder(tmp_path, made.genesis.chain_id)
    assert again.heights() == (20, 30)
    assert again.get(20) == folder.get(20)
    again.drop(20)
    assert again.heights() == (30,)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert SnapshotFolder(tmp_path / "none", bytes(32)).heights() == ()


def damaged(path: Path, name: str) -> None:
    data = path.read_bytes()
    changes = {
        "empty": b"",
        "magic": b"P" + data[1:],
        "head cut": data[:60],
        "head": data[:40] + bytes([data[40] ^ 255]) + data[41:],
        "head too long": data[:21] + b"\xff" * 8 + data[29:],
        "shorter": data[:-1],
        "longer": data + b"\0",
    }
    path.write_bytes(changes[name])


@pytest.mark.parametrize("name", ["empty", "magic", "head cut", "head", "head too long", "shorter", "longer"])
def test_a_damaged_file_is_left_aside_and_the_others_are_told(made: Made, tmp_path: Path, name: str) -> None:
    written(made, tmp_path, 20)
    held = written(made, tmp_path, 30)
    damaged(held.path, name)
    with pytest.raises(SnapshotError, match=str(held.path.name)):
        read_file(held.path, made.genesis.chain_id)
    folder = SnapshotFolder(tmp_path, made.genesis.chain_id)
    assert folder.heights() == (20,)
    assert held.path.exists()


def test_another_chains_file_is_left_aside(made: Made, foreign: Made, tmp_path: Path) -> None:
    written(foreign, tmp_path)
    assert SnapshotFolder(tmp_path, made.genesis.chain_id).heights() == ()
    with pytest.raises(SnapshotError, match="another chain"):
        read_file(tmp_path / "000000000030.snapshot", made.genesis.chain_id)


def test_a_file_that_is_cut_or_gone_while_it_is_told_is_an_error(made: Made, tmp_path: Path) -> None:
    held = written(made, tmp_path)
    held.path.write_bytes(held.path.read_bytes()[:-5])
    with pytest.raises(SnapshotError, match="shorter than it says"):
        held.read(250, 6, NO_LIMIT)
    held.path.unlink()
    with pytest.raises(SnapshotError, match="can't be read"):
        held.read(0, 1, NO_LIMIT)


def test_a_disk_that_refuses_leaves_no_half_file(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(SnapshotError, match="can't be written: No space left on device"):
        written(made, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_half_file_of_a_power_cut_is_none(made: Made, tmp_path: Path) -> None:
    (tmp_path / "000000000030.snapshot.part").write_bytes(b"half")
    assert SnapshotFolder(tmp_path, made.genesis.chain_id).heights() == ()
    assert written(made, tmp_path).height == 30


def test_a_part_that_no_message_can_carry_is_refused(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SNAPSHOT_PART_BYTES_MAX", 10)
    with pytest.raises(SnapshotError, match="at most 10 fit a message"):
        written(made, tmp_path)


def test_the_head_has_room_for_the_largest_block() -> None:
    block_bytes, roots_bytes, sizes_bytes = 3 * 1024 * 1024, 8192, 5 * SNAPSHOT_PARTS
    assert block_bytes + roots_bytes + sizes_bytes + 1000 < files.HEAD_BYTES_MAX
    assert SnapshotOpening(b"b", bytes(32 * SNAPSHOT_PARTS))
