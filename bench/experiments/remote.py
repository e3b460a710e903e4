"""`remote`: the same measurement with the validators on machines of their own.

The command makes a home for each host and says what to run there; copying and starting is left to whoever
owns the machines, or done as `p2penergy deploy` does it. When all are connected it looks for the peak and
measures at the peak and at half of it, always on this one network. Load comes from the machine that the
command runs on.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.experiment import Bench, point
from bench.experiments.peak import guess_per_s
from bench.measurement import measure
from bench.network import Network
from p2penergy.config import ConfigError, parse_address
from p2penergy.operations import host_files
from p2penergy.operations.deploy import DeployError, Deployment, Outcome, Program, Target, wheel_in
from p2penergy.operations.hosts import Machine, hosts_from
from p2penergy.operations.ssh import Ssh
from p2penergy.operations.testnet import host_folder

HOSTS_MIN, HOSTS_MAX = 4, 100


class HostsError(Exception):
    """The file with the hosts can't be used; the sentence names the line."""


def parse_hosts(text: str, where: str) -> list[tuple[str, int]]:
    """One HOST:PORT a line; empty lines and what follows a # are passed over.

    A second word is ssh's name for the machine: the file serves `p2penergy deploy`, too.

    Raises:
        HostsError: a line is no address, one is there twice, or there are too few or too many.
    """
    hosts: list[tuple[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        try:
            address = parse_address(said.partition(" ")[0])
        except ConfigError as error:
            raise HostsError(f"{where}, line {number}: {error}") from None
        if address in hosts:
            raise HostsError(f"{where}, line {number}: {said} is there twice")
        hosts.append(address)
    if not HOSTS_MIN <= len(hosts) <= HOSTS_MAX:
        raise HostsError(f"{where} names {len(hosts)} hosts: {HOSTS_MIN} to {HOSTS_MAX} make a network")
    return hosts


def read_hosts(path: Path) -> list[tuple[str, int]]:
    """The hosts of a file; raises `HostsError`."""
    try:
        return parse_hosts(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise HostsError(f"{path} can't be read: {error}") from None


def instructions(network: Network, hosts: Sequence[tuple[str, int]]) -> list[str]:
    """What to do on each machine."""
    lines = ["Copy each folder to its machine, keep it private (it holds a key), and start it there:"]
    for name, (host, port) in zip(network.community.validators, hosts, strict=True):
        home = network.community.homes[name]
        lines.append(f"  {host}:{port}  {home}  p2penergy start --home {name}")
    return lines


@dataclass(frozen=True, slots=True)
class Way:
    """How the machines are reached."""

    ssh_config: Path | None
    wheels: Path | None
    """What to install there; None: `p2penergy` is on their PATH."""


def deployment(network: Network, machines: Sequence[Machine], folder: Path, way: Way) -> Deployment:
    """One folder per machine with its homes and the script that starts them."""
    names: dict[str, list[str]] = {}
    for name, machine in zip(network.community.validators, machines, strict=True):
        source = folder / host_folder(machine.host)
        shutil.copytree(network.community.homes[name], source / name)
        names.setdefault(machine.host, []).append(name)
        script = source / host_files.START_FILE
        script.write_text(host_files.start_script(names[machine.host]), encoding="utf-8")
        script.chmod(0o755)
    ssh_names = {machine.host: machine.ssh_name for machine in machines}
    targets = [
        Target(host, ssh_names[host], folder / host_folder(host), tuple(there))
        for host, there in names.items()
    ]
    return Deployment(network.community.genesis.chain_id.hex(), targets, Ssh(way.ssh_config))


async def _everywhere(job: Callable[[], list[Outcome]]) -> None:
    """Raises `HostsError` with the first machine's sentence."""
    for outcome in await asyncio.to_thread(job):
        if outcome.problem:
            raise HostsError(f"{outcome.target.host}: {outcome.problem}")


@contextlib.asynccontextmanager
async def deployed(made: Deployment, way: Way) -> AsyncIterator[None]:
    """The nodes run on their machines while the block lasts."""
    try:
        program = None if way.wheels is None else Program(wheel_in(way.wheels), True, "python3")
    except DeployError as error:
        raise HostsError(str(error)) from None
    await _everywhere(lambda: made.install(program))
    try:
        await _everywhere(made.start)
        yield
    finally:
        await asyncio.to_thread(made.stop)


async def run(bench: Bench, hosts_file: Path, wait_s: float, way: Way | None = None) -> None:
    """Measure the network of the hosts in the file; with a `way` start and stop it there, too."""
    hosts = read_hosts(hosts_file)
    options = bench.settings.options(len(hosts))
    network = Network(options, bench.folder.path / "network", hosts)
    if way is None:
        for line in instructions(network, hosts):
            bench.watcher.tell(line)
        await _measure(bench, network, wait_s)
        return
    machines = hosts_from(str(hosts_file))
    async with deployed(deployment(network, machines, bench.folder.path / "hosts", way), way):
        await _measure(bench, network, wait_s)


async def _measure(bench: Bench, network: Network, wait_s: float) -> None:
    options = network.options
    bench.watcher.begin("waiting for all validators", bench.settings.runs)
    try:
        await network.generators.start(options.n, wait_s)
        rate = bench.settings.peak_per_s or await bench.peak_of(network, guess_per_s(options))
        at_peak, at_half = [], []
        for number in range(bench.settings.runs):
            bench.watcher.say(f"{rate:,.0f}/s, then half")
            at_peak.append(await measure(network, bench.settings.load(rate, number)))
            at_half.append(await measure(network, bench.settings.load(rate / 2, number)))
            bench.watcher.advance()
    finally:
        await network.generators.stop()
    bench.record(point("remote", "peak", options), at_peak)
    bench.record(point("remote", "half of peak", options), at_half)
