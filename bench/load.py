"""The parent's side of the load generators: starts them, gives orders, collects samples.

Lives here: processes that run `bench.generator`, and the merged samples of a run. Never here: sending,
judging. Owns the invariant that all generators of a run share one plan and one start.
"""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.generator import ORDER_BYTES_MAX, Plan
from bench.results import Sample

START_S_MAX = 60.0
ORDER_S_MAX = 600.0


class GeneratorError(Exception):
    """A load generator did not do what it was told; the sentence has its own words."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a run gave."""

    samples: list[Sample]
    """In order of intended time."""
    repeated: int
    """Requests that f+1 members answered twice, with different receipts."""


class Generator:
    """One process."""

    def __init__(self, setup_file: Path) -> None:
        self.setup_file = setup_file
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start, and wait until it takes orders."""
        with self.setup_file.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "bench.generator", str(self.setup_file)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                limit=ORDER_BYTES_MAX,
            )
        await self._answer(START_S_MAX)

    async def order(self, do: str, wait_s: float = ORDER_S_MAX, **arguments: Any) -> dict[str, Any]:
        """Give an order and wait for its answer.

        Raises:
            GeneratorError: it failed, ended, or took too long.
        """
        assert self._process is not None and self._process.stdin is not None, "not started"
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        return await self._answer(wait_s)

    async def stop(self) -> None:
        """Close its stdin, upon which it ends; after a while insist."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _answer(self, wait_s: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None, "not started"
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), wait_s)
        except TimeoutError:
            raise GeneratorError(f"the load generator gave no answer within {wait_s:.0f} s") from None
        if not line:
            log = self.setup_file.with_suffix(".log").read_text(encoding="utf-8", errors="replace").strip()
            last = log.splitlines()[-1] if log else "it said nothing"
            raise GeneratorError(f"the load generator ended: {last}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise GeneratorError(f"the load generator failed: {answer['error']}")
        return answer


class Generators:
    """All load generators of one network."""

    def __init__(self, generators: list[Generator]) -> None:
        self._generators = generators

    def pids(self) -> list[int]:
        """Those that run."""
        return [generator.pid for generator in self._generators if generator.pid is not None]

    async def start(self, validators: int, wait_s: float = ORDER_S_MAX) -> None:
        """Start, connect to so many validators, and have decided what the load depends on."""
        await asyncio.gather(*(generator.start() for generator in self._generators))
        connecting = [g.order("connect", wait_s, count=validators) for g in self._generators]
        await asyncio.gather(*connecting)

    async def sign(self, count: int) -> None:
        """Have `count` requests signed in all, so that the measurement need not."""
        each = -(-count // len(self._generators))
        await asyncio.gather(*(generator.order("sign", count=each) for generator in self._generators))

    async def run(self, plan: Plan) -> Collected:
        """One run; `plan.part`, `plan.parts` and `plan.samples_file` are filled in here."""
        parts = len(self._generators)
        orders, files = [], []
        for part, generator in enumerate(self._generators):
            file = generator.setup_file.with_suffix(".samples")
            mine = msgspec.structs.replace(plan, part=part, parts=parts, samples_file=str(file))
            files.append(file)
            orders.append(generator.order("run", plan=msgspec.to_builtins(mine)))
        answers = await asyncio.gather(*orders)
        samples: list[Sample] = []
        for file in files:
            samples += msgspec.msgpack.decode(file.read_bytes(), type=list[Sample])
            file.unlink()
        samples.sort(key=lambda sample: sample.intended_us)
        return Collected(samples, sum(answer["repeated"] for answer in answers))

    async def status(self, peer: bytes) -> dict[str, Any]:
        """One validator's own word on itself."""
        answer = await self._generators[0].order("status", peer=peer.hex())
        status: dict[str, Any] = answer["status"]
        return status

    async def stop(self) -> None:
        """End all."""
        await asyncio.gather(*(generator.stop() for generator in self._generators))
