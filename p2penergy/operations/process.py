"""The process of a node on this machine: whether it runs, and ending it.

Lives here: reading the lock beside the ledger, the signal, the wait. Never here: starting. The lock is the
one truth about a running node: it ends with the process, however that ended, so no stale number counts.
"""

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

from p2penergy.home import LEDGER_FILE

POLL_MS = 20


class ProcessNotEndedError(Exception):
    """The node did not end; the sentence says what to do."""


def running_pid(home: Path) -> int | None:
    """The process id of the node that runs in this folder, None when there is none.

    In a container it is the id inside of it.
    """
    path = home / f"{LEDGER_FILE}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        if not text.isdecimal() or not _is_alive(int(text)):
            return None
        try:
            # Tried only while such a process is there: a node that starts right now must find it free.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(text)
        return None
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop(home: Path, wait_s: float) -> int | None:
    """End the node of this folder in order, and wait for it; its process id, None when none ran.

    Raises:
        ProcessNotEndedError: it is another user's, or it did not end in time.
    """
    pid = running_pid(home)
    if pid is None:
        return None
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise ProcessNotEndedError(
            f"process {pid} belongs to another user: stop it as that user, or with its service manager"
        ) from None
    deadline = time.monotonic() + wait_s
    while running_pid(home) == pid:
        if time.monotonic() > deadline:
            raise ProcessNotEndedError(
                f"process {pid} did not end within {wait_s:g} s; its log says why, `kill -9 {pid}` ends it "
                "safely: what it promised is on the disk"
            )
        time.sleep(POLL_MS / 1000)
    return pid
