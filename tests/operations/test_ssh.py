"""What the system's ssh and rsync are told, and what their failures mean: with stand-ins on the PATH.

The real ones are tried in tests/system/test_deploy.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p2penergy.operations.ssh import RemoteError, Ssh


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_script_goes_in_and_its_output_comes_back(programs: Path) -> None:
    stand_in(programs, "ssh", 'echo "$@"; exec sh -s')
    said = Ssh(Path("my_config")).run("pi@attic", "echo from there; cat", 5)
    assert said.splitlines()[1:] == ["from there"]
    arguments = said.splitlines()[0]
    assert "-F my_config" in arguments
    assert "-oBatchMode=yes" in arguments
    assert arguments.endswith("-- pi@attic sh -s")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'Permission denied (publickey).' >&2; exit 255", "can't get in: Permission denied.*`ssh pi`"),
        ("echo 'Warning: added a key' >&2; echo 'pi: no way' >&2; exit 255", "can't get in: pi: no way;"),
        ("exit 255", "it says nothing"),
        ("echo first >&2; echo 'no room' >&2; exit 3", "^no room$"),
        ("exit 3", "^it failed with 3$"),
        ("sleep 30", "did not end within 0.2 s"),
    ],
)
def test_each_failure_is_one_sentence(programs: Path, script: str, sentence: str) -> None:
    stand_in(programs, "ssh", f"exec 9>&1; {script}" if "sleep" not in script else f"exec {script}")
    with pytest.raises(RemoteError, match=sentence):
        Ssh().run("pi", "true", 0.2 if "sleep" in script else 5)


def test_folders_go_and_come_by_rsync_over_the_same_ssh(programs: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    stand_in(programs, "rsync", f'printf "%s\\n" "$@" >>{told}')
    Ssh().copy_to(Path("here"), "2001:db8::1", "there", 5, "--exclude=*")
    Ssh().copy_from("pi", "there", Path("back"), 5)
    lines = told.read_text().splitlines()
    assert "-oBatchMode=yes" in next(line for line in lines if line.startswith("ssh "))
    assert lines[lines.index("--exclude=*") :][:3] == ["--exclude=*", "here/", "[2001:db8::1]:there/"]
    assert lines[-2:] == ["pi:there/", "back/"]


def test_rsync_that_can_not_connect_blames_ssh(programs: Path) -> None:
    text = "ssh: connect to host pi port 22: No route to host\\nrsync error: unexplained error (code 255)"
    stand_in(programs, "rsync", f'printf "{text}\\n" >&2; exit 12')
    with pytest.raises(RemoteError, match="can't get in: ssh: connect to host pi port 22: No route"):
        Ssh().copy_to(Path("here"), "pi", "there", 5)


def test_a_missing_program_is_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(RemoteError, match="ssh is not installed on this machine"):
        Ssh().run("pi", "true", 5)
    with pytest.raises(RemoteError, match="rsync is not installed on this machine"):
        Ssh().copy_to(Path("here"), "pi", "there", 5)
