"""A network for measuring: validators and load generators as processes, in a folder of its own.

Lives here: founding it, starting and ending everything, asking nodes for their status. Never here: what
is measured. Owns the invariants that every process ends with the network, and that a faulty or delayed
validator runs `bench.member`, a correct one the very program that a community runs.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bench import workloads
from bench.generator import Household, Setup
from bench.load import Generator, Generators
from bench.member import PROFILE_FILE, Profile
from p2penergy import config as configuration
from p2penergy import home as homes
from p2penergy.config import Config, NodeSettings
from p2penergy.founding import Community, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.processes import Validator

FIRST_PERIOD = 1_600_000
START_TOGETHER_MAX = 4
"""Validators that start at once; each start is mostly CPU."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What genesis says of time; meets alpha >= 4 eps + 12 delta, so that a view change fits in a slot."""

    alpha_ms: int = 500
    eps_ms: int = 5
    delta_ms: int = 40


@dataclass(frozen=True, slots=True)
class Options:
    """One network."""

    n: int
    workload: str = "trades"
    timing: Timing = field(default_factory=Timing)
    faults: Mapping[int, str] = field(default_factory=dict)
    """Number of the validator, and its fault's name in `bench.faulty`."""
    delay_ms: float = 0.0
    """Added to every message between validators, one way."""
    bandwidth_bytes_per_s: int = 0
    """Of each direction of each link between validators; 0: unlimited."""
    traced: bool = False
    tls: bool = True
    generators: int = 1
    pairs: int = 4
    """Sellers and buyers of each generator."""
    node: NodeSettings = field(default_factory=NodeSettings)
    """Settings of every node but its address and TLS."""

    @property
    def f(self) -> int:
        """Faulty validators that the network tolerates."""
        return (self.n - 1) // 3

    @property
    def kind(self) -> workloads.Kind:
        """The workload."""
        return workloads.KINDS[self.workload]

    def profile(self, number: int) -> Profile:
        """How validator `number` differs from what a community runs."""
        return Profile(
            application=self.kind.application,
            fault=self.faults.get(number, ""),
            delay_ms=self.delay_ms,
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s,
            delta_ms=self.timing.delta_ms,
            traced=self.traced,
        )


class Network:
    """Processes of one network; `async with` starts and ends them.

    With `hosts` the validators are on other machines: their homes are made for those addresses, and who
    starts them is somebody else; `validators` is empty then.
    """

    def __init__(self, options: Options, folder: Path, hosts: Sequence[tuple[str, int]] = ()) -> None:
        self.options = options
        self.folder = folder
        self.is_remote = bool(hosts)
        self.community = found_network(options, folder)
        self.addresses = self._place(hosts) if hosts else self.community.addresses
        self.validators = [] if hosts else [self._validator(number) for number in range(options.n)]
        self.generators = Generators(
            [Generator(self._write_setup(part)) for part in range(options.generators)]
        )

    async def __aenter__(self) -> "Network":
        try:
            gate = asyncio.Semaphore(START_TOGETHER_MAX)

            async def start(validator: Validator) -> None:
                async with gate:
                    await validator.start()

            async with asyncio.TaskGroup() as group:
                for validator in self.validators:
                    group.create_task(start(validator))
            await self.generators.start(self.options.n)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        await self.generators.stop()
        await asyncio.gather(*(validator.stop() for validator in self.validators))

    def correct(self) -> list[int]:
        """Numbers of the validators without a fault."""
        return [number for number in range(self.options.n) if number not in self.options.faults]

    def pids(self) -> list[int]:
        """All processes of the network that run."""
        running = [validator.pid for validator in self.validators if validator.pid is not None]
        return running + self.generators.pids()

    async def status(self, number: int) -> dict[str, Any]:
        """One validator's own word on itself."""
        return await self.generators.status(self.participant(number))

    def participant(self, number: int) -> bytes:
        """The participant id of validator `number`."""
        return self.community.meters[self.community.validators[number]].participant_id

    def disk_bytes(self, number: int) -> int:
        """What the ledger of validator `number` takes on the disk."""
        home = self.validators[number].home
        return sum(file.stat().st_size for file in home.glob(f"{homes.LEDGER_FILE}*"))

    def pid(self, number: int) -> int | None:
        """The process of validator `number`; None while it does not run here."""
        return None if self.is_remote else self.validators[number].pid

    def _place(self, hosts: Sequence[tuple[str, int]]) -> dict[bytes, tuple[str, int]]:
        """Write the hosts' addresses into the homes."""
        places = {self.participant(number): place for number, place in enumerate(hosts)}
        peers = {pid.hex(): _address_text(*place) for pid, place in places.items()}
        for number, name in enumerate(self.community.validators):
            home = self.community.homes[name]
            config = configuration.load(home)
            listen = peers[self.participant(number).hex()]
            node = msgspec.structs.replace(config.node, listen=listen)
            _write_config(home, Config(node=node, log=config.log, peers=peers))
        return places

    def _validator(self, number: int) -> Validator:
        name = self.community.validators[number]
        home = self.community.homes[name]
        profile = self.options.profile(number)
        if profile.is_plain:
            return Validator(name, home)
        (home / PROFILE_FILE).write_bytes(msgspec.json.encode(profile))
        return Validator(name, home, program=("bench.member",))

    def _write_setup(self, part: int) -> Path:
        community, folder = self.community, self.folder
        households = [name for name in community.meters if name not in community.validators]
        mine = households[part * 2 * self.options.pairs :]
        files = {name: _write_household(community, name, folder) for name in mine[: 2 * self.options.pairs]}
        ready = list(files.values())
        setup = Setup(
            genesis_file=str(community.homes[community.validators[0]] / homes.GENESIS_FILE),
            authority_file=str(community.homes[community.validators[0]] / homes.AUTHORITY_FILE),
            addresses={pid.hex(): address for pid, address in self.addresses.items()},
            tls=self.options.tls,
            workload=self.options.workload,
            pairs=list(zip(ready[::2], ready[1::2], strict=True)),
        )
        path = folder / f"generator-{part}.json"
        path.write_bytes(msgspec.json.encode(setup))
        return path


def found_network(options: Options, folder: Path) -> Community:
    """Keys, genesis and homes of a network, in a folder."""
    households = [(f"validator-{number}", 0) for number in range(options.n)]
    households += [(f"household-{i}", 0) for i in range(2 * options.pairs * options.generators)]
    plan = Plan(
        community="bench",
        households=households,
        validators=options.n,
        consensus=ConsensusRules(
            t0_ms=time.time_ns() // 1_000_000,
            alpha_ms=options.timing.alpha_ms,
            eps_ms=options.timing.eps_ms,
            delta_ms=options.timing.delta_ms,
        ),
        # A replay network keeps to one period while requests about it wait: no quarter of an hour ends
        # in the middle of a run.
        market=MarketRules(replay=True, first_period=FIRST_PERIOD),
        tls=options.tls,
    )
    community = found(plan, folder / "homes")
    for home in community.homes.values():
        _set_node(home, options.node)
    return community


def _set_node(home: Path, node: NodeSettings) -> None:
    config = configuration.load(home)
    settings = msgspec.structs.replace(node, listen=config.node.listen, tls=config.node.tls)
    _write_config(home, Config(node=settings, log=config.log, peers=config.peers))


def _address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_config(home: Path, config: Config) -> None:
    (home / configuration.CONFIG_FILE).write_text(configuration.render(config), encoding="utf-8")


def _write_household(community: Community, name: str, folder: Path) -> Household:
    meter = community.meters[name]
    place = folder / "households" / name
    place.mkdir(parents=True)
    meter.key.save(place / homes.KEY_FILE)
    (place / homes.CERTIFICATE_FILE).write_bytes(meter.certificate_pem)
    return Household(
        participant_id=meter.participant_id.hex(),
        key_file=str(place / homes.KEY_FILE),
        certificate_file=str(place / homes.CERTIFICATE_FILE),
    )


def with_faults(options: Options, fault: str, count: int) -> Options:
    """The same network with its last `count` validators at fault."""
    return replace(options, faults={options.n - 1 - i: fault for i in range(count)})
