"""A folder into which another program drops CSV files.

Lives here: finding files that are complete, and each of them once. Never here: their columns (`csv_rows`).
Owns the invariants that no file is read while it is written, and that a file that stays is read again only
when it has changed.

A file counts as complete when its name ends in .csv, its size and time are the same at two looks, and it
ends with a line break: a program that writes slowly is waited for, one that moves finished files in is best.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from p2penergy.meters.csv_file import read_samples
from p2penergy.meters.samples import Batch, SourceError

LOOK_S = 1.0
FILES_MAX = 10_000
"""Files that are looked at; the folder should be emptied now and then."""

_Look = dict[str, tuple[int, int]]


class Folder:
    """A source that never ends; `is_known` tells which files were read before a restart."""

    def __init__(self, path: Path, is_known: Callable[[str], bool], look_s: float = LOOK_S) -> None:
        self._path = path
        self._is_known = is_known
        self._look_s = look_s
        self._before: _Look = {}
        self._read: dict[str, tuple[int, int]] = {}

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch per file, by name; raises `SourceError` when the folder can't be looked into."""
        while True:
            for name in self._complete():
                yield self._take(name)
            await asyncio.sleep(self._look_s)

    def done(self, batch: Batch) -> None:
        """The memory has noted the file's mark."""

    def _complete(self) -> list[str]:
        now = self._look()
        same = [name for name, state in now.items() if self._before.get(name) == state]
        self._before = now
        self._read = {name: state for name, state in self._read.items() if name in now}
        return sorted(name for name in same if self._is_new(name, now[name]))

    def _is_new(self, name: str, state: tuple[int, int]) -> bool:
        if self._read.get(name) == state:
            return False
        if self._is_known(_mark(name, state)):
            self._read[name] = state
            return False
        return _ends_with_line_break(self._path / name)

    def _look(self) -> _Look:
        found: _Look = {}
        try:
            for path in self._path.iterdir():
                if path.suffix == ".csv" and not path.name.startswith(".") and path.is_file():
                    if len(found) == FILES_MAX:
                        raise SourceError(f"{self._path} holds more than {FILES_MAX} files: empty it")
                    stat = path.stat()
                    found[path.name] = stat.st_size, stat.st_mtime_ns
        except FileNotFoundError:
            if not self._path.is_dir():
                raise SourceError(f"{self._path} is no folder: make it first") from None
        except OSError as error:
            raise SourceError(f"{self._path} can't be looked into: {error.strerror}") from None
        return found

    def _take(self, name: str) -> Batch:
        state = self._read[name] = self._before[name]
        mark = _mark(name, state)
        try:
            return read_samples(self._path / name, mark)
        except SourceError as error:
            # One bad file must not end the reading of all others.
            return Batch((), (str(error),), mark)


def _mark(name: str, state: tuple[int, int]) -> str:
    return f"{name}:{state[0]}:{state[1]}"


def _ends_with_line_break(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                return False
            file.seek(-1, 2)
            return file.read(1) == b"\n"
    except OSError:
        return False
