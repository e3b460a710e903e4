"""A torn end of the log is dropped; damage before its last commit refuses to start.

The model of a power loss: the log is cut at any byte. What that covers: the file system kept a prefix of
the log, of which every acknowledged commit is part, for its fsync had returned. Not covered: a disk that
lies about fsync, or loses bytes before those it kept; the damage tests show which of these are noticed.
"""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from store_samples import CHAIN, vote

from p2penergy.store import FILE_NAME, Store, StoreError
from p2penergy.store.wal import first_lost_frame, refuse_damaged_log

COMMITS = 6
FRAME_BYTES = 24 + 4096


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A ledger whose process ended without closing it, and the log's length after each commit."""
    folder = tmp_path_factory.mktemp("crashed")
    path = folder / "source.sqlite3"
    store = Store.create(path, CHAIN)
    log = path.with_name(path.name + "-wal")
    copy = folder / "copy"
    copy.mkdir()
    lengths = [0]
    for view in range(1, COMMITS + 1):
        store.persist_now([vote(1, view, message=bytes([view]) * 3000)])
        lengths.append(len(log.read_bytes()))
    shutil.copy(path, copy / FILE_NAME)
    shutil.copy(log, copy / f"{FILE_NAME}-wal")
    store.close()
    return copy, lengths


def laid_out(crashed: Path, folder: Path, log: bytes) -> Path:
    path = folder / FILE_NAME
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    shutil.copy(crashed / FILE_NAME, path)
    path.with_name(path.name + "-wal").write_bytes(log)
    return path


def votes_in(path: Path) -> list[int]:
    store = Store.open(path, CHAIN)
    views = [each.view for each in store.votes(1)]
    store.close()
    return views


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_log_cut_at_any_byte_keeps_the_commits_before_the_cut(
    crashed: tuple[Path, list[int]], tmp_path: Path, data: st.DataObject
) -> None:
    source, lengths = crashed
    log = (source / f"{FILE_NAME}-wal").read_bytes()
    edges = [length + off for length in lengths for off in (-1, 0, 1) if 0 <= length + off <= len(log)]
    cut = data.draw(st.integers(0, len(log)) | st.sampled_from(edges))
    path = laid_out(source, tmp_path, log[:cut])
    assert votes_in(path) == [number for number in range(1, COMMITS + 1) if lengths[number] <= cut]


def test_votes_stored_after_a_torn_end_stay(crashed: tuple[Path, list[int]], tmp_path: Path) -> None:
    source, lengths = crashed
    log = (source / f"{FILE_NAME}-wal").read_bytes()
    path = laid_out(source, tmp_path, log[: lengths[-1] - 100])
    store = Store.open(path, CHAIN)
    # A new log: what the torn commit left behind must not follow later commits.
    assert path.with_name(path.name + "-wal").stat().st_size == 0
    store.persist_now([vote(1, 99)])
    store.close()
    assert votes_in(path) == [1, 2, 3, 4, 5, 99]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_flipped_byte_before_the_last_commit_is_noticed(
    crashed: tuple[Path, list[int]], data: st.DataObject
) -> None:
    source, lengths = crashed
    log = bytearray((source / f"{FILE_NAME}-wal").read_bytes())
    starts = [32 + FRAME_BYTES * i for i in range((len(log) - 32) // FRAME_BYTES)]
    # In any commit that has another one behind it.
    place = data.draw(
        st.integers(0, lengths[-2] - 1)
        | st.sampled_from([start + off for start in starts for off in range(24)])
    )
    assume(place < lengths[-2])
    log[place] ^= data.draw(st.integers(1, 255))
    # Without its size field a commit can't be told from one that was never finished.
    last_frame = lengths[-2] - FRAME_BYTES
    assume(any(log[last_frame + 4 : last_frame + 8]))
    assert first_lost_frame(bytes(log)) is not None


def test_damage_refuses_to_start_every_time_and_changes_nothing(
    crashed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    source, _ = crashed
    log = bytearray((source / f"{FILE_NAME}-wal").read_bytes())
    log[32 + FRAME_BYTES + 200] ^= 1
    path = laid_out(source, tmp_path, bytes(log))
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"damaged at frame 2, with durable commits behind it.*--votes-lost"
        ):
            Store.open(path, CHAIN)
    assert path.with_name(path.name + "-wal").read_bytes() == log


def test_a_broken_last_commit_is_taken_for_torn(crashed: tuple[Path, list[int]]) -> None:
    source, lengths = crashed
    log = bytearray((source / f"{FILE_NAME}-wal").read_bytes())
    assert first_lost_frame(bytes(log)) is None
    log[lengths[-2] + 500] ^= 1
    assert first_lost_frame(bytes(log)) is None


def test_frames_from_before_the_last_reset_are_no_damage(crashed: tuple[Path, list[int]]) -> None:
    source, lengths = crashed
    log = bytearray((source / f"{FILE_NAME}-wal").read_bytes())
    # As after a reset: new frames over the old ones, whose salts are others.
    for start in range(lengths[2], len(log), FRAME_BYTES):
        for place in range(start + 8, start + 16):
            log[place] ^= 0x5A
    assert first_lost_frame(bytes(log)) is None


def test_commits_grow_the_log_and_a_missing_one_is_sound(
    crashed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    _, lengths = crashed
    assert all(before < after for before, after in pairwise(lengths))
    refuse_damaged_log(tmp_path / FILE_NAME)
