"""Where a verifier keeps the sealed bytes of the newcomers that it judged.

What lives here: a private folder with one file per join request, bounded. What never does: opened
certificates (they stay in memory for the moment of the judgement only), any index that names a person.
Implements "sealed bytes are kept by verifiers only" of LEDGER section 2.

Invariants: the folder and its files are their owner's alone; a file is whole or absent; a flood of requests
takes no more than the limits, the oldest going first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.private_files import (
    PRIVATE_FOLDER_MODE,
    read_private,
    refuse_if_others_may_read,
    write_atomically,
)

REQUESTS_KEPT_MAX: Final = 4_096
_SUFFIX: Final = ".sealed"


class SealedStore:
    """Sealed bytes by the digest of their request."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, if there is one yet; raises KeyFileError when others may read it."""
        self._folder = folder
        if folder.exists():
            refuse_if_others_may_read(folder)
        kept = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        self._kept = {path.stem: None for path in kept}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, request_digest: bytes, sealed: bytes) -> None:
        """Keep one seal, durable when this returns; raises KeyFileError."""
        name = request_digest.hex()
        try:
            self._folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyFileError(f"{self._folder} can't be made: {error.strerror}.") from None
        while len(self._kept) >= REQUESTS_KEPT_MAX and name not in self._kept:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._path(oldest).unlink(missing_ok=True)
        write_atomically(self._path(name), sealed)
        self._kept[name] = None

    def read(self, request_digest: bytes) -> bytes | None:
        """The seal of one request; None where none is kept."""
        name = request_digest.hex()
        return read_private(self._path(name), "seal") if name in self._kept else None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"
