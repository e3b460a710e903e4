"""Household commands against the running network: how tests call them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from demo_village import Demo, all_ended, figures, write_village

from p2penergy.cli import main


@dataclass
class Stay:
    """The network that the demo left running."""

    keep: Path
    json_path: Path
    demo: Demo

    @property
    def said(self) -> str:
        return "".join(self.demo.seen)

    @property
    def figures(self) -> dict[str, Any]:
        return figures(self.json_path)

    @property
    def nodes(self) -> list[str]:
        lines = [line.split() for line in self.said.splitlines() if line.startswith("  --node")]
        return [words[1] for words in lines]

    def home(self, number: int) -> Path:
        return self.keep / "households" / f"H{number:03}"

    def run(self, number: int, *arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--home", str(self.home(number))])

    def text(self, number: int, *arguments: str) -> str:
        result = self.run(number, *arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, number: int, *arguments: str) -> Any:
        return json.loads(self.text(number, *arguments, "--json"))

    def refused(self, number: int, *arguments: str) -> str:
        """The one sentence of a command that does not work, with exit code 2."""
        result = self.run(number, *arguments)
        assert result.exit_code == 2, result.output
        return result.output.strip().splitlines()[-1]


@contextmanager
def staying(folder: Path) -> Iterator[Stay]:
    """`p2penergy demo --stay` as a person starts it, until whoever uses it is done."""
    data = write_village(folder / "elm street")
    keep = folder / "kept"
    with Demo(data, "--keep", str(keep), "--stay", "--json", str(folder / "out.json")) as demo:
        demo.read_until("p2penergy bill --home")
        yield Stay(keep, folder / "out.json", demo)
        demo.signal(signal.SIGINT)
        code, out, err = demo.end()
    assert (code, err) == (0, ""), out + err
    all_ended(keep)
