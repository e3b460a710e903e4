"""Deploying by the command with a stand-in for ssh that runs the scripts in folders of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from operating_net import done, run, short_chains

from p2penergy.operations.deploy import DeployError, Deployment, targets_of
from p2penergy.operations.hosts import hosts_from
from p2penergy.operations.ssh import Ssh

SSH = """\
#!/bin/sh
# The machine's name is the word before `sh -s`; its disk is a folder of that name.
for word; do before=$name; name=$word; done
cd "$MACHINES/$before" 2>/dev/null || { echo "ssh: no host $before" >&2; exit 255; }
exec sh -s
"""
RSYNC = """\
#!/bin/sh
# Copies between folders as `rsync -a` does; only what the tests need.
while [ $# -gt 2 ]; do shift; done
from=$1 to=$2
case $from in *:*) from=$MACHINES/${from%%:*}/${from#*:};; esac
case $to in *:*) to=$MACHINES/${to%%:*}/${to#*:};; esac
mkdir -p "$to" && cp -Rp "$from." "$to"
"""
PROGRAM = """\
#!/bin/sh
# A p2penergy whose nodes are files: start.sh and deploy need `start`, `status` and `stop`.
STATUS='{"height": 1, "view": 2, "connected": []}'
verb=$1; shift
while [ "$1" != --home ]; do shift; done
case $verb in
  start) echo began; touch "$2/up";;
  status) [ -e "$2/up" ] && echo '{"pid": 7, "problem": null, "status": '"$STATUS}" \
    || { echo '{"pid": null, "problem": "no answer", "status": null}'; exit 1; };;
  stop) rm -f "$2/up"; echo "Process 7 has ended.";;
esac
"""


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    short_chains(monkeypatch)
    programs, disks = tmp_path / "bin", tmp_path / "machines"
    programs.mkdir()
    for name, text in (("ssh", SSH), ("rsync", RSYNC), ("p2penergy", PROGRAM)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("a", "attic"):
        (disks / name).mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("MACHINES", str(disks))
    (tmp_path / "hosts").write_text("a\nb attic\n")
    done("testnet", "--validators", "3", "--hosts", tmp_path / "hosts", "--out", tmp_path / "net")
    return disks


def test_folders_are_put_there_once_and_never_again(machines: Path, tmp_path: Path) -> None:
    net, hosts = tmp_path / "net", ("--hosts", tmp_path / "hosts")
    early = run("deploy", "start", net, *hosts)
    assert early.exit_code == 1
    assert "a: nothing is installed there: run `p2penergy deploy install` first." in early.output
    said = done("deploy", "install", net, *hosts)
    assert "a: node-3: its folder is there" in said
    chain = json.loads((net / "network.json").read_text())["chain_id"][:16]
    ledger = machines / "a" / "p2penergy" / chain / "node-3" / "ledger.sqlite3"
    assert ledger.exists()
    # A ledger that is gone is gone: an empty one in its place would know of no vote.
    ledger.unlink()
    assert "a: node-3: its folder was there, and stays as it is" in done("deploy", "install", net, *hosts)
    assert not ledger.exists()
    assert not (ledger.parent.parent / ".incoming").exists()


def test_nodes_are_started_asked_and_stopped(machines: Path, tmp_path: Path) -> None:
    net, hosts = tmp_path / "net", ("--hosts", tmp_path / "hosts")
    done("deploy", "install", net, *hosts)
    before = run("deploy", "status", net, *hosts, "--json")
    assert before.exit_code == 1
    assert [each["problem"] for each in json.loads(before.output)] == ["no answer"] * 3
    assert "a: runs." in done("deploy", "start", net, *hosts)
    states = json.loads(done("deploy", "status", net, *hosts, "--json"))
    assert [(each["host"], each["node"], each["pid"]) for each in states] == [
        *(("a", "node-1", 7), ("a", "node-3", 7), ("b", "node-2", 7))
    ]
    assert "node-3" in done("deploy", "status", net, *hosts)
    assert "b: node-2: Process 7 has ended." in done("deploy", "stop", net, *hosts, "--only", "b")
    done("deploy", "logs", net, *hosts, "--out", tmp_path / "logs")
    assert (tmp_path / "logs" / "b" / "node-2" / "node.log").read_text() == "began\n"


def test_a_machine_that_is_not_there_keeps_no_other_from_its_work(machines: Path, tmp_path: Path) -> None:
    # Without the file ssh is told `b`, which it does not know.
    result = run("deploy", "install", tmp_path / "net")
    assert result.exit_code == 1
    assert "b: ssh can't get in: ssh: no host b; make `ssh b` work without a password." in result.output
    assert "a: installed." in result.output


def test_a_node_that_does_not_come_up_is_told_with_its_last_words(machines: Path, tmp_path: Path) -> None:
    done("deploy", "install", tmp_path / "net", "--hosts", tmp_path / "hosts")
    program = tmp_path / "bin" / "p2penergy"
    program.write_text(PROGRAM.replace('echo began; touch "$2/up"', "echo 'Error: no such key.'"))
    chain_id, targets = targets_of(tmp_path / "net", hosts_from(str(tmp_path / "hosts")))
    first, second = Deployment(chain_id, targets, Ssh()).start(ready_s_max=2)
    assert first.problem == "node-1 does not answer: Error: no such key."
    assert second.problem == "node-2 does not answer: Error: no such key."


def test_what_can_not_be_meant_is_refused(machines: Path, tmp_path: Path) -> None:
    net, two_wheels = tmp_path / "net", tmp_path / "wheels"
    two_wheels.mkdir()
    for version in ("1", "2"):
        (two_wheels / f"p2penergy-{version}-py3-none-any.whl").touch()
    for arguments, sentence in (
        (("status", tmp_path), "NET is a folder made by `testnet`"),
        (("status", net, "--only", "c"), "here is no host c in"),
        (("status", net, "--folder", "$(reboot)"), "must be letters"),
        (("status", net, "--folder", "../x"), "must be letters"),
        (("install", net, "--wheels", tmp_path), "has no wheel of p2penergy"),
        (("install", net, "--offline"), "needs --wheels"),
        (("install", net, "--wheels", two_wheels), "leave the one to install"),
    ):
        result = run("deploy", *arguments)
        assert result.exit_code == 2, result.output
        assert sentence in result.output
    (net / "network.json").write_text("{}")
    assert "is damaged" in run("deploy", "status", net).output


def test_targets_follow_the_folders_of_the_network(machines: Path, tmp_path: Path) -> None:
    chain_id, targets = targets_of(tmp_path / "net", hosts_from(str(tmp_path / "hosts")))
    assert [(t.host, t.ssh_name, t.nodes) for t in targets] == [
        *(("a", "a", ("node-1", "node-3")), ("b", "attic", ("node-2",)))
    ]
    assert all(target.source.is_dir() for target in targets)
    with pytest.raises(DeployError):
        Deployment(chain_id, targets, Ssh(), "a b")
