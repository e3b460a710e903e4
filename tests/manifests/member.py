"""`python -m tests.manifests.member CLOCK_MS NAMESPACE start ...`: the program itself, elsewhere.

With a clock that is CLOCK_MS off, and in a network namespace ("-": this one). Nothing else is changed.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    """Move this process into a network namespace."""
    with Path("/run/netns", namespace).open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"no way into {namespace}")


def shift_clock(by_ms: int) -> None:
    """Before anything has imported the clock by name."""
    from p2penergy import coordinator

    true_ms = coordinator.wall_clock_ms
    coordinator.wall_clock_ms = lambda: true_ms() + by_ms


if __name__ == "__main__":
    clock_ms, namespace, *arguments = sys.argv[1:]
    if namespace != "-":
        enter(namespace)
    shift_clock(int(clock_ms))
    sys.argv[1:] = arguments
    from p2penergy.cli import main

    main()
