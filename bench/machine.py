"""The machine: what it is, what else it does, and how many signatures it can check.

Lives here: everything read from the operating system about the machine as a whole. Never here: single
processes of a run (`resources`). Owns the invariant that the signature limit is measured on all cores
at once, with the network idle, in the same run as the figures that stand beside it.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("p2penergy", "cryptography", "msgspec", "msgpack", "uvloop")
OTHERS_SHARE_MAX = 0.05
"""Share of the machine that anything else may use while it is measured."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, str | int]:
    """Machine, versions and commit, for the results."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_mib": _memory_mib(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "commit": commit(),
        **{name: _version(name) for name in PACKAGES},
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str:
    """The commit that is measured, with `+` when files differ from it; `unknown` outside a checkout."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, ValueError, OSError):
        return 0


# ---- load by others -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Busy seconds so far: of all cores, and of the processes that belong to the benchmark."""

    at_s: float
    busy_s: float | None
    """None where the system does not tell."""
    ours_s: float


def cpu_times(pids: Iterable[int]) -> CpuTimes:
    """Read both; processes that have ended count nothing, so measure while they live."""
    return CpuTimes(time.monotonic(), _busy_s(), sum(process_cpu_s(pid) for pid in pids))


def own_pid() -> int:
    """This process, which belongs to the benchmark too."""
    return os.getpid()


def process_cpu_s(pid: int) -> float:
    """CPU seconds that one process has used; 0 when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    # The name in parentheses may hold anything; utime and stime are the 14th and 15th field.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _busy_s() -> float | None:
    try:
        first = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(x) for x in first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def others_share(before: CpuTimes, after: CpuTimes) -> float:
    """Share of the machine, 0..1, that others used between the two; 0 where that is not known."""
    if before.busy_s is None or after.busy_s is None:
        return 0.0
    others_s = (after.busy_s - before.busy_s) - (after.ours_s - before.ours_s)
    return max(0.0, others_s / ((after.at_s - before.at_s) * cores()))


def busy_with_others(share: float, when: str) -> str | None:
    """Why a run can't be trusted because of what else ran, None if it can."""
    if share <= OTHERS_SHARE_MAX:
        return None
    return (
        f"the machine was busy with something else {when}: {share:.0%} of it, "
        f"{OTHERS_SHARE_MAX:.0%} are allowed"
    )


# ---- the signature limit --------------------------------------------------------------------------


def verifies_per_s(length_s: float = 1.0) -> float:
    """Signatures that all cores together check in a second: bare P-256 verification, nothing around it."""
    command = [sys.executable, "-m", "bench.verify_rate", str(length_s)]
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in range(cores()):
            pipe = subprocess.PIPE
            running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT))
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        # All are ready: from here on they work at the same time.
        return sum(float(process.communicate("go\n", timeout=length_s + 60)[0]) for process in running)
    finally:
        for process in running:
            process.kill()
            process.wait()


def signature_limit(verifies: float, verifies_per_transaction: int, replicas: int) -> float | None:
    """Transactions per second if nothing but client signatures cost anything; None where none is checked."""
    if not verifies_per_transaction:
        return None
    return verifies / (verifies_per_transaction * replicas)
