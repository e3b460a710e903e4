"""Files written whole or not at all, and read by their owner alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from p2penergy.membership import private_files
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.private_files import (
    read_private,
    refuse_if_others_may_read,
    write_atomically,
)


def test_writes_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert read_private(path, "secret") == b"two"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        write_atomically(tmp_path / "public", b"x", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
@pytest.mark.parametrize("replace", [True, False])
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, replace: bool
) -> None:
    path = tmp_path / "secret"
    if replace:
        write_atomically(path, b"old")

    def disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(private_files.os, step, disk_full)
    with pytest.raises(KeyFileError, match="No space left"):
        write_atomically(path, b"new", replace=replace)
    assert [item.name for item in tmp_path.iterdir()] == (["secret"] if replace else [])
    assert not replace or path.read_bytes() == b"old"


def test_the_bytes_are_on_disk_before_the_name_points_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    write_atomically(path, b"old")
    seen: list[bytes] = []
    genuine = os.fsync

    def watch(descriptor: int) -> None:
        seen.append(path.read_bytes())
        genuine(descriptor)

    monkeypatch.setattr(private_files.os, "fsync", watch)
    write_atomically(path, b"new")
    assert seen == [b"old", b"new"]  # the file before the rename, the folder after it


def test_without_replace_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomically(path, b"old", replace=False)
    with pytest.raises(KeyFileError, match="not overwritten"):
        write_atomically(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="can't be written"):
        write_atomically(tmp_path / "nowhere" / "secret", b"x")


def test_others_rights_are_refused_for_files_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomically(path, b"x", mode=0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_private(path, "secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(KeyFileError, match="chmod 700"):
        refuse_if_others_may_read(folder)


def test_a_missing_huge_or_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyFileError, match="no secret at"):
        read_private(tmp_path / "secret", "secret")
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match="can't be read"):
        read_private(folder, "secret")
    monkeypatch.setattr(private_files, "FILE_BYTES_MAX", 3)
    write_atomically(tmp_path / "large", b"four")
    with pytest.raises(KeyFileError, match="too large"):
        read_private(tmp_path / "large", "secret")
