"""Founding a community on one machine: an authority, a certificate per meter, genesis, folders.

Lives here: everything that exists before the first process starts, for the demo, the benchmarks and the
tests. Never here: processes, trades. The households get no identity certificates: they are members from
genesis on, and nobody had to verify them.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.config import Config, NodeSettings
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member, check
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.opening import genesis_versions
from p2penergy.signing import EcdsaSigner
from p2penergy.store import Store
from transport import TlsIdentity

WALLET_NANO = 100 * 10**9
"""What every household starts with: 100 of the currency."""
HOST = "127.0.0.1"


class FoundingError(Exception):
    """The community can't be founded; the sentence says why."""


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
    """First of the validators' ports; None: the system chooses free ones."""
    tls: bool = True


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


def found(plan: Plan, folder: Path) -> Community:
    """Make keys, certificates, genesis and one folder per validator below `folder`.

    Raises:
        FoundingError: a port is in use, or the folder can't be written.
        GenesisError: the rules of the plan do not fit together.
    """
    authority = Authority.in_memory(plan.community)
    meters = {name: _meter(authority, name) for name, _ in plan.households}
    names = tuple(name for name, _ in plan.households[: plan.validators])
    secrets = {name: homes.new_beacon_secret() for name in names}
    genesis = _genesis(plan, meters, secrets)
    versions = genesis_versions(genesis)
    ports = _ports(plan)
    addresses = {meters[name].participant_id: (HOST, port) for name, port in zip(names, ports, strict=True)}
    places = {name: folder / name for name in names}
    try:
        for name, port in zip(names, ports, strict=True):
            homes.write(
                places[name],
                config=Config(
                    node=NodeSettings(listen=f"{HOST}:{port}", tls=plan.tls),
                    peers={pid.hex(): f"{host}:{p}" for pid, (host, p) in addresses.items()},
                ),
                genesis=genesis,
                key=meters[name].key,
                certificate_pem=meters[name].certificate_pem,
                authority_pem=authority.certificate_pem,
                beacon_secret=secrets[name],
            )
            ledger = places[name] / homes.LEDGER_FILE
            Store.create(ledger, genesis.chain_id, genesis_versions=versions).close()
    except OSError as error:
        raise FoundingError(f"{error.filename or folder} can't be written: {error.strerror}") from None
    return Community(genesis, authority.certificate_pem, meters, names, places, addresses)


def _meter(authority: Authority, name: str) -> Meter:
    key = DeviceKey.generate()
    certificate = authority.issue_device(key.public_key())
    return Meter(name, key, certificate.pem, certificate.participant_id)


def _genesis(plan: Plan, meters: dict[str, Meter], secrets: dict[str, bytes]) -> Genesis:
    members = []
    for name, rated_w in plan.households:
        secret = secrets.get(name)
        members.append(
            Member(
                participant_id=meters[name].participant_id.hex(),
                public_key=meters[name].key.public_key_compressed().hex(),
                validator=secret is not None,
                rated_w=rated_w,
                wallet_nano=WALLET_NANO,
                beacon_tip=None if secret is None else HashChain(secret).tip.hex(),
            )
        )
    genesis = Genesis(
        community=plan.community, consensus=plan.consensus, market=plan.market, members=tuple(members)
    )
    check(genesis)
    return genesis


def _ports(plan: Plan) -> list[int]:
    wanted = [0] * plan.validators
    if plan.base_port is not None:
        wanted = [plan.base_port + i for i in range(plan.validators)]
    # All are held until all are known, so that the system gives out different ones.
    held: list[socket.socket] = []
    try:
        for port in wanted:
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((HOST, port))
            except OSError as error:
                reason = os.strerror(error.errno or 0).lower()
                raise FoundingError(
                    f"port {port} of {HOST} can't be used ({reason}): choose another base port"
                ) from None
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
