"""Running a script on other machines, and copying folders there and back, by the system's ssh and rsync.

Lives here: the two programs' arguments, their limits, and what their failures mean in one sentence. Never
here: what is run (`deploy`). Owns the invariant that nothing asks for a password or waits for ever: keys,
jump hosts and names are the business of the user's own ssh configuration.
"""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECT_S_MAX = 10
SILENT_S_MAX = 15
"""A link that died is given up after that long."""
_SSH_FAILED = 255
_SSH_FAILED_TEXT = f"(code {_SSH_FAILED})"
"""How rsync says the same."""
_BESIDE_THE_POINT = ("Warning:", "rsync")


class RemoteError(Exception):
    """A machine did not do it; the sentence says why, without the machine's name."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How to reach machines."""

    config: Path | None = None
    """Instead of the user's own configuration file."""

    def run(self, name: str, script: str, wait_s: float) -> str:
        """Run a shell script on a machine; what it printed.

        Raises:
            RemoteError: no way in, the script failed, or it did not end in time.
        """
        # By its standard input: whatever shell the user has there, it only has to know `sh`.
        return _run([*self._ssh(), "--", name, "sh -s"], wait_s, name, script)

    def copy_to(self, source: Path, name: str, folder: str, wait_s: float, *options: str) -> None:
        """Copy what a local folder holds into one on a machine; raises `RemoteError`."""
        self._rsync(name, wait_s, [*options, f"{source}/", f"{_bracketed(name)}:{folder}/"])

    def copy_from(self, name: str, folder: str, target: Path, wait_s: float, *options: str) -> None:
        """The other way."""
        self._rsync(name, wait_s, [*options, f"{_bracketed(name)}:{folder}/", f"{target}/"])

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_S_MAX),
            "ServerAliveInterval": str(SILENT_S_MAX // 3),
            "ServerAliveCountMax": "3",
        }
        said = [f"-o{key}={value}" for key, value in options.items()]
        return ["ssh", *(["-F", str(self.config)] if self.config else []), *said]

    def _rsync(self, name: str, wait_s: float, arguments: Sequence[str]) -> None:
        how = ["rsync", "-a", "--no-owner", "--no-group", "-e", shlex.join(self._ssh())]
        _run([*how, *arguments], wait_s, name)


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _run(command: list[str], wait_s: float, name: str, text: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=wait_s, check=False, errors="replace"
        )
    except FileNotFoundError:
        raise RemoteError(f"{command[0]} is not installed on this machine") from None
    except subprocess.TimeoutExpired:
        raise RemoteError(f"it did not end within {wait_s:g} s") from None
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        if done.returncode == _SSH_FAILED or (command[0] == "rsync" and _SSH_FAILED_TEXT in done.stderr):
            said = [line for line in lines if not line.startswith(_BESIDE_THE_POINT)] or ["it says nothing"]
            reason = said[-1].removesuffix(".")
            raise RemoteError(f"ssh can't get in: {reason}; make `ssh {name}` work without a password")
        raise RemoteError(lines[-1] if lines else f"it failed with {done.returncode}")
    return done.stdout
