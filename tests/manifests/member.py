"""`python -m tests.manifests.member CLOCK_FILE NAMESPACE start ...`: the program itself, elsewhere.

With a clock that is off by as many ms as the file says, read again at every SIGUSR1, and in a network
namespace ("-": this one). Nothing else is changed.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    """Move this process into a network namespace."""
    with Path("/run/netns", namespace).open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"no way into {namespace}")


def shift_clock(file: Path) -> None:
    """Before anything has imported the clock by name."""
    from p2penergy import coordinator

    true_ms = coordinator.wall_clock_ms
    by_ms = [int(file.read_text())]
    coordinator.wall_clock_ms = lambda: true_ms() + by_ms[0]

    def step(*_: object) -> None:
        by_ms[0] = int(file.read_text())

    signal.signal(signal.SIGUSR1, step)


if __name__ == "__main__":
    clock_file, namespace, *arguments = sys.argv[1:]
    if namespace != "-":
        enter(namespace)
    shift_clock(Path(clock_file))
    sys.argv[1:] = arguments
    from p2penergy.cli import main

    main()
