"""What the processes of a network use: CPU seconds, memory, bytes, messages, durable commits.

Lives here: reading them, before and after a run, and the cost per request. Never here: the machine as a
whole (`machine`). Owns the invariant that a cost is a difference over the same run whose requests it is
divided by, warm-up and drain included on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import process_cpu_s
from bench.network import Network

KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """One validator's use so far."""

    cpu_s: float
    """This and the next two: 0 for a validator on another machine."""
    rss_mib: float
    disk_bytes: int
    frames: int
    bytes_out: int
    commits: int | None
    """Durable commits, each an fsync or two; None where the node does not tell."""
    height: int
    state_root: str


def rss_mib(pid: int) -> float:
    """Resident memory of a process; 0 when there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
    return kib / KIB


async def usage(network: Network) -> dict[int, Usage]:
    """The use of every correct validator that runs, by its number."""
    found = {}
    for number in network.correct():
        pid = network.pid(number)
        if pid is None and not network.is_remote:
            continue
        status = await network.status(number)
        found[number] = _usage(pid, status, 0 if network.is_remote else network.disk_bytes(number))
    return found


def _usage(pid: int | None, status: Mapping[str, Any], disk_bytes: int) -> Usage:
    transport: Mapping[str, int] = status["transport"]
    return Usage(
        cpu_s=process_cpu_s(pid) if pid else 0.0,
        rss_mib=rss_mib(pid) if pid else 0.0,
        disk_bytes=disk_bytes,
        frames=transport.get("frames_out", 0),
        bytes_out=transport.get("bytes_out", 0),
        commits=status.get("durable_commits"),
        height=status["height"],
        state_root=status["state_root"],
    )


def costs(before: Mapping[int, Usage], after: Mapping[int, Usage], requests: int) -> dict[str, float]:
    """Cost per decided request over all validators, and figures of one validator; {} for no request."""
    pairs = [(before[number], after[number]) for number in after if number in before]
    if not pairs or not requests:
        return {}
    blocks = max(b.height - a.height for a, b in pairs)
    found = {
        "cpu_ms_per_request": sum(b.cpu_s - a.cpu_s for a, b in pairs) * 1000 / requests,
        "messages_per_request": sum(b.frames - a.frames for a, b in pairs) / requests,
        "bytes_per_request": sum(b.bytes_out - a.bytes_out for a, b in pairs) / requests,
        "disk_bytes_per_request_and_node": max(b.disk_bytes - a.disk_bytes for a, b in pairs) / requests,
        "requests_per_block": requests / max(blocks, 1),
        "rss_mib_max": max(b.rss_mib for _, b in pairs),
    }
    commits = [(b.commits - a.commits) for a, b in pairs if a.commits is not None and b.commits is not None]
    if commits:
        found["commits_per_request"] = sum(commits) / requests
        found["commits_per_block_and_node"] = sum(commits) / len(commits) / max(blocks, 1)
    # What can't be seen from here, on other machines, is left out rather than called nothing.
    return {name: figure for name, figure in found.items() if figure}


def disagreement(found: Mapping[int, Usage]) -> str | None:
    """Why the validators' states can't all be right, None if they can: one state root per height."""
    roots: dict[int, set[str]] = {}
    for one in found.values():
        roots.setdefault(one.height, set()).add(one.state_root)
    for height, different in sorted(roots.items()):
        if len(different) > 1:
            return f"validators disagree: {len(different)} different states at height {height}"
    return None
