"""A testnet of one host's loopback, founded by the real command, for tests of the operator's side."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from p2penergy import founding
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.cli import main
from p2penergy.operations import initial

LINKS = 4096
"""Of a beacon chain: 131,072 take longer to make than these tests need."""
GATEWAY_OFFSET = 1000
PORTS = (10_000, 30_000)


def short_chains(patch: pytest.MonkeyPatch) -> None:
    """Make founding quick; for networks whose nodes run in this process, or not at all."""
    for module in (homes, founding, initial):
        patch.setattr(module, "HashChain", lambda secret: HashChain(secret, LINKS))


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed)


def done(*arguments: str | Path, typed: str | None = None) -> str:
    result = run(*arguments, typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


def free_port() -> int:
    """A port that is free, and the one of its gateway, too.

    Below those that the system gives to whoever dials: a node that dials before another listens would
    otherwise take its port now and then.
    """
    while True:
        port = random.SystemRandom().randint(*PORTS)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + GATEWAY_OFFSET))
            except OSError:
                continue
            return port


class Net:
    """Where everything of a testnet is."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.figures: dict[str, Any] = json.loads((out / "network.json").read_text())

    @property
    def homes(self) -> list[Path]:
        return [self.out / each["home"] for each in self.figures["validators"]]

    @property
    def meters(self) -> list[Path]:
        return [self.out / each["home"] for each in self.figures["meters"]]

    def gateway(self, number: int = 0) -> str:
        return str(self.figures["validators"][number]["gateway"])


def make_net(out: Path, validators: int = 1, *more: str) -> Net:
    hosts = ",".join(f"127.0.0.1:{free_port()}" for _ in range(validators))
    done("testnet", "--validators", str(validators), "--hosts", hosts, "--out", out, *more)
    return Net(out)
