"""Files that only their owner may read, written whole or not at all.

What lives here: the permission check, and the write that survives an interruption (a temporary
file in the same folder, fsync, then rename or link, then fsync of the folder). What never does:
knowledge of what the bytes mean. Invariant: whenever the power fails, the path holds either all
of the old bytes or all of the new ones, and never was readable by anybody but its owner.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from p2penergy.membership.errors import KeyFileError

PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
PUBLIC_FILE_MODE = 0o644
FILE_BYTES_MAX = 16 * 1024 * 1024


def refuse_if_others_may_read(path: Path) -> None:
    """Raise :class:`KeyFileError` when group or world has any right on ``path``."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        wanted = PRIVATE_FOLDER_MODE if path.is_dir() else PRIVATE_FILE_MODE
        raise KeyFileError(
            f"{path} is open to other users of this machine (mode {mode:o}); "
            f"close it with `chmod {wanted:o} {path}`."
        )


def read_private(path: Path, what: str) -> bytes:
    """The bytes of ``path``; ``what`` names them in the sentence of a :class:`KeyFileError`."""
    try:
        refuse_if_others_may_read(path)
        if path.stat().st_size > FILE_BYTES_MAX:
            raise KeyFileError(f"{path} is too large to be {what}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"There is no {what} at {path}.") from None
    except OSError as error:
        raise KeyFileError(f"The {what} at {path} can't be read: {error.strerror}.") from error


def write_atomically(path: Path, data: bytes, *, mode: int = PRIVATE_FILE_MODE, replace: bool = True) -> None:
    """Make ``path`` hold ``data``, durable when this returns.

    With ``replace`` false an existing file is left alone and :class:`KeyFileError` is raised,
    also when another process made it in the meantime: a link, unlike a rename, never overwrites.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        finally:
            # After a rename there is nothing left to remove; after a failure there may be.
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        _fsync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already and is not overwritten.") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror}.") from error


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
