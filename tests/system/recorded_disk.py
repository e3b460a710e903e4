"""What a process did to a file, by its system calls, and every disk that a power cut may have left of it.

The model: what was written before the last fsync of a file that returned is on the disk. Of what was
written to the same file since then, any part may be there and any part missing, in any order, and a write may
be torn.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
STRING_BYTES_MAX = 1 << 20
CALLS = "pwrite64,write,fsync,fdatasync,ftruncate"
_CALL = re.compile(r'^\d+\s+(\w+)\((\d+)<([^>]*)>(?:, "([^"]*)")?(?:, (\d+))?(?:, (\d+))?\)\s+= (-?\d+)')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded."""

    name: str
    descriptor: int
    path: str
    data: bytes = b""
    offset: int = 0
    """Of a write; the new length for ftruncate."""


def record(command: Sequence[str | Path], log: Path) -> list[Call]:
    """Run a command to its end under strace; what it wrote and synced, in order."""
    options = ("-f", "-y", "-xx", "-s", str(STRING_BYTES_MAX), "-e", f"trace={CALLS}", "-o", str(log))
    subprocess.run(["strace", *options, *map(str, command)], check=True, capture_output=True)
    return list(calls(log.read_text("ascii", "replace")))


def calls(text: str) -> Iterator[Call]:
    """The calls of strace's log; one that another thread interrupted stands where it returned."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"^\d+\s+<\.\.\. \w+ resumed>\s*(.*)", line)
        found = _CALL.match(begun.pop(thread, "") + resumed[1] if resumed else line)
        if found is None or int(found[7]) < 0:
            continue
        name, descriptor, path, data, first, second, _ = found.groups()
        offset = int((second if name == "pwrite64" else first) or 0)
        yield Call(name, int(descriptor), unhex(path).decode(), unhex(data or ""), offset)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Disk:
    """Files as they are surely, and what was done to each since its last fsync."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._sure = {path: bytearray(data) for path, data in files.items()}
        self._loose: dict[str, list[Call]] = {path: [] for path in files}

    def follow(self, call: Call) -> None:
        """One more call; those to other files mean nothing."""
        if call.path not in self._sure:
            return
        if call.name in ("fsync", "fdatasync"):
            for each in self._loose[call.path]:
                _apply(self._sure[call.path], each, len(each.data))
            self._loose[call.path].clear()
        else:
            self._loose[call.path].append(call)

    def after_power_cut(self, dice: random.Random) -> dict[str, bytes]:
        """One of the disks that may be left."""
        left = {}
        for path, sure in self._sure.items():
            data = bytearray(sure)
            share = dice.choice((0.0, 0.5, 0.9, 1.0))
            kept = [call for call in self._loose[path] if dice.random() < share]
            if dice.random() < 0.5:
                dice.shuffle(kept)
            for call in kept:
                torn = dice.random() < 0.2
                sectors = dice.randint(0, len(call.data) // SECTOR_BYTES)
                _apply(data, call, sectors * SECTOR_BYTES if torn else len(call.data))
            left[path] = bytes(data)
        return left


def _apply(data: bytearray, call: Call, count: int) -> None:
    if call.name == "ftruncate":
        del data[call.offset :]
        data.extend(bytes(call.offset - len(data)))
    elif count:
        if len(data) < call.offset:
            data.extend(bytes(call.offset - len(data)))
        data[call.offset : call.offset + count] = call.data[:count]
