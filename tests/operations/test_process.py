"""Ending a node that does not want to end, and the addresses under which a node is asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from operating_net import make_net, short_chains

from p2penergy.client import ClientError
from p2penergy.config import Config, NodeSettings
from p2penergy.home import LEDGER_FILE, Device, load_device
from p2penergy.operations.asking import own_address
from p2penergy.operations.process import ProcessNotEndedError, running_pid, stop

HOLDER = """
import signal, sys
from pathlib import Path
from p2penergy.store.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a ledger and ignores SIGTERM."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / f"{LEDGER_FILE}.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_process_that_does_not_end_is_named(tmp_path: Path, stubborn: subprocess.Popen[str]) -> None:
    assert running_pid(tmp_path) == stubborn.pid
    with pytest.raises(ProcessNotEndedError, match=f"process {stubborn.pid} did not end within 0.2 s"):
        stop(tmp_path, 0.2)
    stubborn.kill()
    stubborn.wait()
    assert running_pid(tmp_path) is None
    assert stop(tmp_path, 0.2) is None


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("192.0.2.1:7", ("192.0.2.1", 7)),
        ("0.0.0.0:7", ("127.0.0.1", 7)),
        ("[::]:7", ("::1", 7)),
    ],
)
def test_a_node_is_asked_where_this_machine_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listen: str, address: tuple[str, int]
) -> None:
    short_chains(monkeypatch)
    made = load_device(make_net(tmp_path / "net").homes[0])

    def listening(text: str) -> Device:
        config = Config(node=NodeSettings(listen=text))
        return replace(made, config=config)

    assert own_address(listening(listen)) == address
    with pytest.raises(ClientError, match="port 0"):
        own_address(listening("127.0.0.1:0"))
