"""Founding a community: an authority, a certificate per meter, genesis, folders.

Lives here: everything that exists before the first process starts, for the demo, the benchmarks, the tests
and the testnets of `p2penergy testnet`. Never here: processes, trades, what a host needs beside its nodes
(`operations.host_files`). The households get no identity certificates: they are members from genesis on,
and nobody had to verify them.
"""

import itertools
import os
import random
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.config import Config, GatewaySettings, NodeSettings
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member, check
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.keys import DeviceKey
from p2penergy.opening import genesis_versions
from p2penergy.signing import EcdsaSigner
from p2penergy.store import Store
from transport import TlsIdentity

WALLET_NANO = 100 * 10**9
"""What every household starts with: 100 of the currency."""
HOST = "127.0.0.1"
FREE_PORTS = range(20_000, 32_000)
"""Where validators of one machine listen; below the ports that Linux gives to whoever dials."""


class FoundingError(Exception):
    """The community can't be founded; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where one validator lives."""

    host: str
    port: int
    folder: Path
    """Its home, below the community's folder."""
    gateway: str = ""
    """HOST:PORT of its HTTP listener; "" for none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to found. The first `validators` of the households are the validators."""

    community: str
    households: Sequence[tuple[str, int]]
    """Name and rated power of the connection, W (0: not limited)."""
    validators: int
    consensus: ConsensusRules
    market: MarketRules
    base_port: int | None = None
    """First of the validators' ports on loopback; None: the system chooses free ones."""
    tls: bool = True
    penniless: Collection[str] = ()
    """Households that start without money."""
    sites: Sequence[Site] | None = None
    """One per validator; None: all on this machine's loopback, each in a folder of its own name."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One household's device: its key, its certificate, its participant id."""

    name: str
    key: DeviceKey
    certificate_pem: bytes
    participant_id: bytes

    @property
    def signer(self) -> EcdsaSigner:
        """Signs as this participant."""
        return EcdsaSigner(self.participant_id, self.key.private_key)


@dataclass(frozen=True, slots=True)
class Community:
    """Who is there, and where the validators' folders and addresses are."""

    genesis: Genesis
    authority_pem: bytes
    meters: dict[str, Meter]
    validators: tuple[str, ...]
    homes: dict[str, Path]
    addresses: dict[bytes, tuple[str, int]]

    def name_of(self, participant_id: bytes) -> str:
        """The household's name, which no ledger holds."""
        return next(m.name for m in self.meters.values() if m.participant_id == participant_id)

    def tls(self, name: str) -> TlsIdentity:
        """The TLS identity of one household's device."""
        meter = self.meters[name]
        return TlsIdentity.load(meter.certificate_pem, meter.key.to_pem(), [self.authority_pem])


def found(plan: Plan, folder: Path, authority: Authority | None = None) -> Community:
    """Make keys, certificates, genesis and one folder per validator below `folder`.

    `authority` is one that exists already; without it one is made and forgotten.

    Raises:
        FoundingError: a port is in use, or the folder can't be written.
        GenesisError: the rules of the plan do not fit together.
    """
    authority = authority or Authority.in_memory(plan.community)
    meters = {name: _meter(authority, name) for name, _ in plan.households}
    names = tuple(name for name, _ in plan.households[: plan.validators])
    secrets = {name: homes.new_beacon_secret() for name in names}
    genesis = _genesis(plan, meters, secrets, authority.public_key)
    sites = dict(zip(names, plan.sites or _on_loopback(plan, names), strict=True))
    addresses = {meters[name].participant_id: (site.host, site.port) for name, site in sites.items()}
    community = Community(
        genesis,
        authority.certificate_pem,
        meters,
        names,
        {name: folder / site.folder for name, site in sites.items()},
        addresses,
    )
    versions = genesis_versions(genesis)
    for name, site in sites.items():
        settings = NodeSettings(listen=address_text(site.host, site.port), tls=plan.tls)
        write_home(community, name, community.homes[name], settings, site.gateway, secrets[name])
        ledger = community.homes[name] / homes.LEDGER_FILE
        Store.create(ledger, genesis.chain_id, genesis_versions=versions).close()
    return community


def write_home(
    community: Community,
    name: str,
    folder: Path,
    node: NodeSettings,
    gateway: str = "",
    beacon_secret: bytes | None = None,
) -> None:
    """Write the folder of one household's device; only a validator's has a `beacon_secret`.

    Raises:
        FoundingError: the folder can't be written.
    """
    meter = community.meters[name]
    peers = {pid.hex(): address_text(*address) for pid, address in community.addresses.items()}
    try:
        homes.write(
            folder,
            config=Config(node=node, gateway=GatewaySettings(listen=gateway), peers=peers),
            genesis=community.genesis,
            key=meter.key,
            certificate_pem=meter.certificate_pem,
            authority_pem=community.authority_pem,
            beacon_secret=beacon_secret,
        )
    except OSError as error:
        raise FoundingError(f"{error.filename or folder} can't be written: {error.strerror}") from None
    except KeyFileError as error:
        raise FoundingError(str(error)) from None


def address_text(host: str, port: int) -> str:
    """HOST:PORT; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _meter(authority: Authority, name: str) -> Meter:
    key = DeviceKey.generate()
    certificate = authority.issue_device(key.public_key())
    return Meter(name, key, certificate.pem, certificate.participant_id)


def _genesis(
    plan: Plan, meters: dict[str, Meter], secrets: dict[str, bytes], authority_key: bytes
) -> Genesis:
    members = []
    for name, rated_w in plan.households:
        secret = secrets.get(name)
        members.append(
            Member(
                participant_id=meters[name].participant_id.hex(),
                public_key=meters[name].key.public_key_compressed().hex(),
                validator=secret is not None,
                verifier=secret is not None,
                rated_w=rated_w,
                wallet_nano=0 if name in plan.penniless else WALLET_NANO,
                beacon_tip=None if secret is None else HashChain(secret).tip.hex(),
            )
        )
    genesis = Genesis(
        community=plan.community,
        authority_key=authority_key.hex(),
        consensus=plan.consensus,
        market=plan.market,
        members=tuple(members),
    )
    check(genesis)
    return genesis


def _on_loopback(plan: Plan, names: Sequence[str]) -> list[Site]:
    return [Site(HOST, port, Path(name)) for name, port in zip(names, _ports(plan), strict=True)]


def _ports(plan: Plan) -> list[int]:
    if plan.base_port is None:
        return _free_ports(plan.validators)
    wanted = [plan.base_port + i for i in range(plan.validators)]
    for port in wanted:
        reason = _fault(port)
        if reason is not None:
            raise FoundingError(f"port {port} of {HOST} can't be used ({reason}): choose another base port")
    return wanted


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody uses now.

    Not those that the system gives to whoever dials: a validator that dials before another listens would
    otherwise take its port now and then.
    """
    candidates = random.SystemRandom().sample(FREE_PORTS, len(FREE_PORTS))
    found = list(itertools.islice((port for port in candidates if _fault(port) is None), count))
    if len(found) < count:
        raise FoundingError(f"{HOST} has no {count} free ports from {FREE_PORTS[0]} to {FREE_PORTS[-1]}")
    return found


def _fault(port: int) -> str | None:
    """Why nobody could listen on a port; None: somebody could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
    return None
