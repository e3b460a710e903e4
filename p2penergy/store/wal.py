"""Damage in the write-ahead log that SQLite itself would take for a torn end.

Lives here: reading the log's frames before SQLite opens the file (never while it is open: closing a file
drops a process's locks on it). Never here: repairing. Owns the second half of "a torn last record is dropped,
a corrupt middle refuses to start" (CONSENSUS section 6): SQLite stops at the first frame whose checksum fails
and forgets all after it, which may be votes that were acknowledged.

Every commit is on the disk before the next one is begun. So a broken frame in the last commit is a torn end,
and one with a whole commit and a further frame behind it is damage. The format is SQLite's documented one.
"""

import sys
from array import array
from pathlib import Path
from struct import Struct

from p2penergy.store.errors import REFETCH, StoreError

_HEADER = Struct(">8I")
_FRAME = Struct(">6I")
_MAGIC = 0x377F0682
"""Its lowest bit says in which byte order the checksums were made."""
_CHECKSUMMED_HEADER_BYTES = 24
_CHECKSUMMED_FRAME_BYTES = 8


def refuse_damaged_log(path: Path) -> None:
    """Look at the log beside a ledger file.

    Raises:
        StoreError: it is damaged before its last commit.
    """
    log = path.with_name(path.name + "-wal")
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"The log {log} can't be read: {error.strerror}.") from error
    frame = first_lost_frame(data)
    if frame is not None:
        raise StoreError(
            f"The ledger's log {log} is damaged at frame {frame}, with durable commits behind it. {REFETCH}"
        )


def first_lost_frame(log: bytes) -> int | None:
    """Number of the first broken frame that has a whole commit and more behind it; 0 is the log's header.

    None where the log is sound, or torn at its end.
    """
    if len(log) <= _HEADER.size:
        return None
    magic, _, page_bytes, _, *salts, sum0, sum1 = _HEADER.unpack_from(log)
    big_endian = bool(magic & 1)
    sums = _summed(log[:_CHECKSUMMED_HEADER_BYTES], big_endian, (0, 0))
    if magic & ~1 != _MAGIC or sums != (sum0, sum1):
        # The header is on the disk before the first frame is written, so it is never torn beside frames.
        return 0 if any(log[_HEADER.size :]) else None
    frames = range(_HEADER.size, len(log) - _FRAME.size + 1, _FRAME.size + page_bytes)
    for number, offset in enumerate(frames, start=1):
        _, _, *frame_salts, frame_sum0, frame_sum1 = _FRAME.unpack_from(log, offset)
        page = log[offset + _FRAME.size : offset + _FRAME.size + page_bytes]
        if frame_salts == salts and len(page) == page_bytes:
            sums = _summed(log[offset : offset + _CHECKSUMMED_FRAME_BYTES] + page, big_endian, sums)
            if sums == (frame_sum0, frame_sum1):
                continue
        return number if _has_later_commit(log, frames[number - 1 :], salts) else None
    return None


def _has_later_commit(log: bytes, frames: range, salts: list[int]) -> bool:
    """Whether behind the first commit at or after a broken frame another frame of this log was begun.

    Frames left over from before the log's last reset have other salts.
    """
    seen_commit = False
    for offset in frames:
        _, pages_after_commit, salt0, salt1, _, _ = _FRAME.unpack_from(log, offset)
        if salt0 != salts[0] and salt1 != salts[1]:
            continue
        if seen_commit:
            return True
        seen_commit = pages_after_commit > 0
    return False


def _summed(data: bytes, big_endian: bool, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's running checksum over a multiple of eight bytes."""
    words = array("I", data)
    if big_endian != (sys.byteorder == "big"):
        words.byteswap()
    sum0, sum1 = sums
    pairs = iter(words)
    for first, second in zip(pairs, pairs, strict=True):
        sum0 = (sum0 + first + sum1) & 0xFFFFFFFF
        sum1 = (sum1 + second + sum0) & 0xFFFFFFFF
    return sum0, sum1
