"""The file that names machines: what it holds, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2penergy.founding import FoundingError
from p2penergy.operations.hosts import PORT, Machine, hosts_from


def test_hosts_come_from_a_line_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# our machines\nalpha.example\n\n192.0.2.7:9000 pi@attic  # old\n[2001:db8::1]\n")
    assert hosts_from(str(file)) == [
        Machine("alpha.example", PORT, "alpha.example"),
        Machine("192.0.2.7", 9000, "pi@attic"),
        Machine("2001:db8::1", PORT, "2001:db8::1"),
    ]
    assert [machine.address for machine in hosts_from("a, b:1")] == [("a", PORT), ("b", 1)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",", "names no host"),
        ("machines.txt", "there is no file machines.txt"),
        ("lists/machines", "there is no file lists/machines"),
        ("a b", "is not HOST:PORT"),
        ("a:99999", "is not HOST:PORT"),
        ("-oProxyCommand=x", "begins with a dash"),
    ],
)
def test_what_is_no_host_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(FoundingError, match=sentence):
        hosts_from(text)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a b c", "more than two words"),
        ("a -oProxyCommand=x", "begins with a dash"),
        ("b:x b", "is not HOST"),
    ],
)
def test_a_wrong_line_of_a_file_is_refused(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "hosts"
    file.write_text(line)
    with pytest.raises(FoundingError, match=sentence):
        hosts_from(str(file))
