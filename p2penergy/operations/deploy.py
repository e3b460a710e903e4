"""A testnet's folders and the program on their machines: installed, started, asked, stopped, logs fetched.

Lives here: the scripts that run on the machines, and how a testnet's folders belong to machines. Never here:
ssh itself (`ssh`), tables (`cli.deploy`). Owns the invariant that a node's folder on a machine is put there
once and never written again: a ledger that is copied over forgets votes (CONSENSUS section 6).

    FOLDER/env/           the program, if it was installed from here
    FOLDER/CHAIN/NAME/    a validator's home; CHAIN begins the chain's id, so that networks never mix
"""

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from p2penergy.operations.host_files import STOP_S
from p2penergy.operations.hosts import Machine
from p2penergy.operations.ssh import RemoteError, Ssh
from p2penergy.operations.testnet import HOSTS_FOLDER, NETWORK_FILE, host_folder

FOLDER = "p2penergy"
AT_ONCE_MAX = 16
"""Machines that are worked on at the same time."""
COPY_S_MAX = 600
INSTALL_S_MAX = 900
READY_S_MAX = 90
"""For the nodes of one machine to answer after their start."""
STATUS_S_MAX = 60
LOG_FILE = "node.log"
CHAIN_DIGITS = 16
_FOLDER_PATTERN = re.compile(r"[A-Za-z0-9._/][A-Za-z0-9._/-]*")


class DeployError(Exception):
    """The network's folder or an option can't be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """One machine and what belongs there."""

    host: str
    ssh_name: str
    source: Path
    """Its folder in the network's `hosts/`."""
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went on one machine."""

    target: Target
    text: str = ""
    problem: str = ""
    """Empty when all went well."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one node said on its own machine."""

    host: str
    node: str
    pid: int | None
    status: dict[str, Any] | None
    problem: str


@dataclass(frozen=True, slots=True)
class Program:
    """What to install."""

    wheel: Path
    """Its wheel, in a folder of its own."""
    offline: bool
    """Whether everything it needs is in that folder, too."""
    python: str
    """The interpreter's name on the machines."""


class Deployment:
    """A testnet on its machines; nothing here raises because of one machine, its outcome says so."""

    def __init__(self, chain_id: str, targets: Sequence[Target], ssh: Ssh, folder: str = FOLDER) -> None:
        """`folder` on each machine, beginning in the user's home unless absolute; raises `DeployError`."""
        if not _FOLDER_PATTERN.fullmatch(folder) or ".." in folder:
            raise DeployError(f"the folder {folder!r} must be letters, digits, dots, dashes and slashes")
        self.targets = tuple(targets)
        self._ssh = ssh
        self._folder = folder.rstrip("/")
        self._nodes_folder = f"{self._folder}/{chain_id[:CHAIN_DIGITS]}"

    def install(self, program: Program | None) -> list[Outcome]:
        """The program, if it is given, and the folders of nodes that are not there yet."""

        incoming = f"{self._nodes_folder}/{_INCOMING}"

        def job(target: Target) -> str:
            said = self._run(target, _PREPARE.format(incoming=quote(incoming)))
            if program is not None:
                said = self._install_program(target, program)
            self._ssh.copy_to(target.source, target.ssh_name, incoming, COPY_S_MAX)
            return said + self._run(target, self._in_nodes_folder(target, _SETTLE))

        return self._everywhere(job)

    def start(self, ready_s_max: int = READY_S_MAX) -> list[Outcome]:
        """Start the nodes that do not run, and wait until all answer."""
        script = _START.format(ready_s_max=ready_s_max, log=LOG_FILE)
        return self._everywhere(
            lambda target: self._run(target, self._with_program(target, script), ready_s_max + STATUS_S_MAX)
        )

    def stop(self) -> list[Outcome]:
        """End all nodes in order."""
        return self._everywhere(
            lambda target: self._run(
                target, self._with_program(target, _STOP), STATUS_S_MAX + STOP_S * len(target.nodes)
            )
        )

    def status(self) -> tuple[list[Outcome], list[NodeState]]:
        """Every node, asked on its own machine."""
        outcomes = self._everywhere(lambda target: self._run(target, self._with_program(target, _STATUS)))
        return outcomes, [state for outcome in outcomes for state in _states(outcome)]

    def logs(self, out: Path) -> list[Outcome]:
        """The nodes' logs, into OUT/HOST/NAME/node.log."""

        def job(target: Target) -> str:
            folder = out / target.source.name
            folder.mkdir(parents=True, exist_ok=True)
            which = ("--prune-empty-dirs", "--include=*/", f"--include={LOG_FILE}", "--exclude=*")
            self._ssh.copy_from(target.ssh_name, self._nodes_folder, folder, COPY_S_MAX, *which)
            return str(folder)

        return self._everywhere(job)

    # ---- inside ---------------------------------------------------------------------------------

    def _everywhere(self, job: Callable[[Target], str]) -> list[Outcome]:
        def one(target: Target) -> Outcome:
            try:
                return Outcome(target, job(target))
            except RemoteError as error:
                return Outcome(target, problem=str(error))

        with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
            return list(pool.map(one, self.targets))

    def _install_program(self, target: Target, program: Program) -> str:
        wheels = f"{self._folder}/wheels"
        which = ("--delete", "--include=*.whl", "--exclude=*")
        self._ssh.copy_to(program.wheel.parent, target.ssh_name, wheels, COPY_S_MAX, *which)
        script = _INSTALL.format(
            folder=quote(self._folder),
            python=quote(program.python),
            index="--no-index" if program.offline else "",
            wheel=quote(f"wheels/{program.wheel.name}"),
        )
        return self._run(target, script, INSTALL_S_MAX)

    def _run(self, target: Target, script: str, wait_s: float = STATUS_S_MAX) -> str:
        return self._ssh.run(target.ssh_name, script, wait_s)

    def _in_nodes_folder(self, target: Target, script: str) -> str:
        names = " ".join(quote(name) for name in target.nodes)
        folder = quote(self._nodes_folder)
        return f"set -eu\ncd {folder} 2>/dev/null || {{ {_NOTHING_THERE}; }}\nset -- {names}\n{script}"

    def _with_program(self, target: Target, script: str) -> str:
        return self._in_nodes_folder(target, _PROGRAM + script)


def wheel_in(folder: Path) -> Path:
    """The one wheel of the program in a folder; raises `DeployError`."""
    found = sorted(folder.glob("p2penergy-*.whl"))
    if not found:
        raise DeployError(f"{folder} has no wheel of p2penergy: make it with `pip wheel . -w {folder}`")
    if len(found) > 1:
        raise DeployError(f"{folder} has {found[0].name} and {found[1].name}: leave the one to install")
    return found[0]


def targets_of(net: Path, machines: Sequence[Machine], only: Sequence[str] = ()) -> tuple[str, list[Target]]:
    """The chain's id and the machines of a testnet; `only` names some of them.

    Raises:
        DeployError: the folder is no testnet's, or a name is no machine of it.
    """
    path = net / NETWORK_FILE
    try:
        network = json.loads(path.read_text(encoding="utf-8"))
        chain_id = str(bytes.fromhex(network["chain_id"]).hex())
        homes = [(Path(each["home"]), str(each["address"])) for each in network["validators"]]
    except OSError as error:
        raise DeployError(
            f"{path} can't be read ({error.strerror}): NET is a folder made by `testnet`"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise DeployError(f"{path} is damaged: found the network anew with `p2penergy testnet`") from None
    ssh_names = {host_folder(machine.host): machine for machine in machines}
    nodes: dict[str, list[str]] = {}
    hosts: dict[str, str] = {}
    for home, address in homes:
        nodes.setdefault(home.parent.name, []).append(home.name)
        hosts[home.parent.name] = address.rpartition(":")[0].strip("[]")
    targets = [
        Target(
            host=hosts[name],
            ssh_name=ssh_names[name].ssh_name if name in ssh_names else hosts[name],
            source=net / HOSTS_FOLDER / name,
            nodes=tuple(names),
        )
        for name, names in nodes.items()
    ]
    unknown = [host for host in only if host not in hosts.values()]
    if unknown:
        raise DeployError(f"there is no host {unknown[0]} in {net}, there are {', '.join(hosts.values())}")
    return chain_id, [target for target in targets if not only or target.host in only]


def _states(outcome: Outcome) -> list[NodeState]:
    target = outcome.target
    if outcome.problem:
        return [NodeState(target.host, node, None, None, outcome.problem) for node in target.nodes]
    decoder, text, states = json.JSONDecoder(), outcome.text.strip(), []
    for node in target.nodes:
        try:
            said, end = decoder.raw_decode(text)
        except ValueError:
            said, end = {"pid": None, "status": None, "problem": "no answer that can be read"}, 0
        text = text[end:].strip()
        states.append(NodeState(target.host, node, said["pid"], said["status"], said["problem"] or ""))
    return states


# ---- what runs on the machines, by sh ------------------------------------------------------------

_INCOMING = ".incoming"
_NOTHING_THERE = "echo 'nothing is installed there: run `p2penergy deploy install` first' >&2; exit 1"

_PREPARE = """\
set -eu
command -v rsync >/dev/null || {{ echo 'rsync is missing there: install it' >&2; exit 1; }}
umask 077
mkdir -p {incoming}
"""

_INSTALL = """\
set -eu
cd {folder}
command -v {python} >/dev/null || {{ echo {python} is missing there: name one with --python >&2; exit 1; }}
{python} -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
|| {{ echo {python} is older than Python 3.11: name another with --python >&2; exit 1; }}
[ -x env/bin/python ] || {python} -m venv env
env/bin/python -m pip uninstall --quiet --yes p2penergy 2>/dev/null
# The wheel itself, by its file: an index may hold something else of that name.
env/bin/python -m pip install --quiet --disable-pip-version-check {index} --find-links wheels {wheel}
env/bin/p2penergy --version
"""

_SETTLE = f"""\
for node in "$@"; do
    if [ -e "$node" ]; then echo "$node: its folder was there, and stays as it is"
    else mv "{_INCOMING}/$node" "$node"; echo "$node: its folder is there"; fi
    rm -rf "{_INCOMING}/$node"
done
mv -f {_INCOMING}/* .
rmdir {_INCOMING}
"""

_PROGRAM = """\
program=$(cd .. && pwd)/env/bin/p2penergy
[ -x "$program" ] || program=p2penergy
command -v "$program" >/dev/null || {
    echo 'p2penergy is not installed there: deploy install --wheels, or put it on the PATH' >&2; exit 1; }
"""

_START = """\
ready() {{ "$program" status --home "$1" --wait-ms "$2" >/dev/null; }}
for node in "$@"; do
    ready "$node" 500 || P2PENERGY=$program ./start.sh "$node"
done
end=$(($(date +%s) + {ready_s_max}))
for node in "$@"; do
    until ready "$node" 2000; do
        [ "$(date +%s)" -lt $end ] || {{
            echo "$node does not answer: $(tail -n 1 "$node/{log}")" >&2; exit 1; }}
    done
done
"""

_STOP = """\
for node in "$@"; do
    echo "$node: $("$program" stop --home "$node")"
done
"""

_STATUS = """\
for node in "$@"; do
    "$program" status --home "$node" --json --wait-ms 3000 || [ $? = 1 ]
done
"""
