"""One process per ledger: an exclusive lock on a file beside it.

Lives here: the lock and its sentence. Never here: SQLite, which locks single transactions only. Owns the
invariant that two processes never vote from one store. The lock ends with the process, however it ends.
"""

import fcntl
import os
from pathlib import Path

from p2penergy.store.errors import StoreError


class FileLock:
    """Held from construction to `release`.

    Raises:
        StoreError: another process (or another store of this one) holds it, or the folder can't be
            written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"The lock {path} can't be opened: {error.strerror}. The ledger's folder must exist and be "
                "writable by the user who runs the node."
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreError(
                f"The ledger beside {path} is in use by another process (pid {holder}): stop that node "
                "first; two nodes with one key would contradict each other."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others in; the file stays, for removing it would race with them."""
        os.close(self._descriptor)
