"""The validators as operating-system processes: started, killed, started again, always ended.

Lives here: child processes and their ready lines. Never here: what they say over the network. Owns the
invariant that no child outlives its parent: each ends by itself when the pipe from its parent closes,
however the parent went.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from p2penergy.cli.start import READY_LINE

START_S_MAX = 60
STOP_S_MAX = 10
LOG_FILE = "node.log"


class ProcessError(Exception):
    """A validator's process did not do what it should; the sentence has its last words."""


class Validator:
    """One validator's process."""

    def __init__(
        self,
        name: str,
        home: Path,
        program: Sequence[str] = ("p2penergy", "start"),
        ended: "Callable[[Validator], None]" = lambda _validator: None,
    ) -> None:
        """`program` is the module to run and its first arguments; a benchmark may run another node.

        `ended` is called when the process ends that nobody asked to.
        """
        self.name = name
        self.home = home
        self._program = program
        self._ended = ended
        self.kills = 0
        """How often it ended without being asked to: SIGKILL, or by itself."""
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The running process's id; None while there is none."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> None:
        """Start, and wait until it listens.

        Raises:
            ProcessError: it ended instead; the sentence is its own last words.
        """
        log = (self.home / LOG_FILE).open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", *self._program, "--home", str(self.home), "--until-stdin-closes"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C goes to the parent alone, which then ends its children in order.
                start_new_session=True,
            )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_S_MAX)
        except TimeoutError:
            await self._end(signal.SIGKILL)
            raise ProcessError(f"validator {self.name} did not start within {START_S_MAX} s") from None
        if not line.startswith(READY_LINE.encode()):
            await self._end(signal.SIGTERM)
            raise ProcessError(f"validator {self.name} did not start: {self.last_words()}")
        self._watching = asyncio.ensure_future(self._watch(self._process))

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.running:
            self.kills += 1
            await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end; after `STOP_S_MAX` insist."""
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if self._watching is not None:
            self._watching.cancel()
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), STOP_S_MAX)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.kills += 1
        self._ended(self)

    def last_words(self) -> str:
        """The last line of its log."""
        text = (self.home / LOG_FILE).read_text(encoding="utf-8", errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"
