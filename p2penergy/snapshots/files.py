"""Snapshots in a home's folder `snapshots`: one file each, the last two kept.

Lives here: the file's layout, writing one whole or not at all, reading parts of it. Never here: when one is
made, who asks. Owns the invariant that whatever the folder holds, a damaged file is at worst not told: what
is told proves itself to whoever takes it. Implements the snapshots of CONSENSUS section 7.

A file is a magic line, the length of its head (8 bytes), the head (msgpack), and the parts in their order.
"""

import contextlib
import logging
import os
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.ledger import Snapshot
from p2penergy.messages import (
    SNAPSHOT_PART_BYTES_MAX,
    SNAPSHOT_PARTS,
    Digest,
    Height,
    SnapshotOpening,
)

SNAPSHOTS_KEPT = 2
HEAD_BYTES_MAX = 4 * 1024 * 1024
SUFFIX = ".snapshot"
_MAGIC = b"p2penergy snapshot 1\n"
_LENGTH_BYTES = 8

log = logging.getLogger(__name__)


class SnapshotError(Exception):
    """A snapshot's file can't be written or read; the sentence says why."""


class _Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All of a snapshot but its parts."""

    chain_id: Digest
    height: Height
    opening: SnapshotOpening
    part_bytes: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=SNAPSHOT_PART_BYTES_MAX)], ...],
        Meta(min_length=SNAPSHOT_PARTS, max_length=SNAPSHOT_PARTS),
    ]


_decoder = msgspec.msgpack.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Held:
    """One file that is there."""

    path: Path
    height: int
    opening: SnapshotOpening
    offsets: tuple[int, ...]
    """Where each part begins, and where the last one ends."""

    def read(self, first: int, count: int, bytes_max: int) -> tuple[bytes, ...]:
        """Parts from `first` on: at most `count`, and `bytes_max` unless the first is larger.

        Raises:
            SnapshotError: the file can't be read.
        """
        last = min(first + count, SNAPSHOT_PARTS)
        while last > first + 1 and self.offsets[last] - self.offsets[first] > bytes_max:
            last -= 1
        bounds = list(zip(self.offsets[first:last], self.offsets[first + 1 : last + 1], strict=True))
        if not bounds:
            return ()
        begin, size_bytes = bounds[0][0], bounds[-1][1] - bounds[0][0]
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                data = file.read(size_bytes)
        except OSError as error:
            raise SnapshotError(f"{self.path} can't be read: {error.strerror}") from None
        if len(data) != size_bytes:
            raise SnapshotError(f"{self.path} is shorter than it says")
        return tuple(data[start - begin : end - begin] for start, end in bounds)


def write_file(folder: Path, chain_id: bytes, block: bytes, snapshot: Snapshot) -> Held:
    """Write a snapshot, whole or not at all; takes long for a large state, in any thread.

    Raises:
        SnapshotError: the disk refuses, or a part is larger than a message may be.
    """
    parts = snapshot.encoded_parts()
    largest_bytes = max(len(part) for part in parts)
    if largest_bytes > SNAPSHOT_PART_BYTES_MAX:
        raise SnapshotError(
            f"the state has a part of {largest_bytes} bytes, at most {SNAPSHOT_PART_BYTES_MAX} fit a message"
        )
    path = folder / f"{snapshot.height:012}{SUFFIX}"
    opening = SnapshotOpening(block, snapshot.part_roots)
    head = msgspec.msgpack.encode(
        _Head(chain_id, snapshot.height, opening, tuple(len(part) for part in parts))
    )
    draft = path.with_name(path.name + ".part")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with draft.open("wb") as file:
            file.write(_MAGIC + len(head).to_bytes(_LENGTH_BYTES, "big") + head)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise SnapshotError(f"{path} can't be written: {error.strerror}") from None
    return _held(path, head, opening, snapshot.height, [len(part) for part in parts])


def _held(path: Path, head: bytes, opening: SnapshotOpening, height: int, part_bytes: list[int]) -> Held:
    start = len(_MAGIC) + _LENGTH_BYTES + len(head)
    return Held(path, height, opening, tuple(accumulate(part_bytes, initial=start)))


def read_file(path: Path, chain_id: bytes) -> Held:
    """A snapshot's file as it is on the disk.

    Raises:
        SnapshotError: it is damaged, another chain's, or can't be read.
    """
    try:
        with path.open("rb") as file:
            front = file.read(len(_MAGIC) + _LENGTH_BYTES)
            head_bytes = int.from_bytes(front[len(_MAGIC) :], "big")
            if not front.startswith(_MAGIC) or head_bytes > HEAD_BYTES_MAX:
                raise SnapshotError(f"{path} is no snapshot")
            head = file.read(head_bytes)
            size_bytes = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise SnapshotError(f"{path} can't be read: {error.strerror}") from None
    try:
        decoded = _decoder.decode(head)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{path} is damaged: {error}") from None
    if decoded.chain_id != chain_id:
        raise SnapshotError(f"{path} belongs to another chain")
    held = _held(path, head, decoded.opening, decoded.height, list(decoded.part_bytes))
    if held.offsets[-1] != size_bytes:
        raise SnapshotError(f"{path} has {size_bytes} bytes instead of {held.offsets[-1]}")
    return held


def files_in(folder: Path) -> list[Path]:
    """The snapshots' files, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []


class SnapshotFolder:
    """The snapshots of one home, newest last."""

    def __init__(self, path: Path, chain_id: bytes) -> None:
        self.path = path
        self.chain_id = chain_id
        self._held: dict[int, Held] = {}
        for file in files_in(path):
            try:
                self.add(read_file(file, chain_id))
            except SnapshotError as error:
                log.warning("snapshot left aside", extra={"error": str(error)})

    def heights(self) -> tuple[int, ...]:
        """Of which blocks there are snapshots, ascending."""
        return tuple(sorted(self._held))

    def get(self, height: int) -> Held | None:
        """The snapshot of this height."""
        return self._held.get(height)

    def add(self, held: Held) -> None:
        """Note a file, and remove those that are older than the last ones kept."""
        self._held[held.height] = held
        for height in self.heights()[:-SNAPSHOTS_KEPT]:
            old = self._held.pop(height)
            with contextlib.suppress(OSError):
                old.path.unlink()

    def drop(self, height: int) -> None:
        """Tell no more of a snapshot; its file stays for whoever looks into it."""
        self._held.pop(height, None)
