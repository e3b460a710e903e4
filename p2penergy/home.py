"""A node's folder: which file is which, and opening them all with one clear sentence when one is wrong.

Lives here: file names and loading. Never here: what the files mean. Owns the invariant that a node runs
only when its key, its certificate, genesis and settings fit together.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import structs

from p2penergy import config as configuration
from p2penergy import genesis as genesis_module
from p2penergy.beacon import ChainSeries, HashChain
from p2penergy.config import Config, Role
from p2penergy.genesis import Genesis, GenesisError
from p2penergy.ledger.grid_check import grid_plan
from p2penergy.ledger.initial import require_in_range
from p2penergy.membership.certificates import load_authority, participant_id
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.identifying import Identifier
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.private_files import PUBLIC_FILE_MODE, read_private, write_atomically
from p2penergy.membership.revocations import RevocationFile
from p2penergy.signing import EcdsaSigner
from transport import TlsIdentity, TransportError

GENESIS_FILE = "genesis.json"
KEY_FILE = "device.key.pem"
PUBLIC_KEY_FILE = "device.public.pem"
"""What goes to the authority, for the first certificate and for every later one."""
CERTIFICATE_FILE = "device.cert.pem"
AUTHORITY_FILE = "community.cert.pem"
REVOCATIONS_FILE = "community.crl.pem"
"""The authority's revocation list, where there is one; it may be exchanged while the node runs."""
BEACON_FILE = "beacon.secret"
LEDGER_FILE = "ledger.sqlite3"
SNAPSHOTS_FOLDER = "snapshots"
SEALED_FOLDER = "sealed"
"""Where a verifier keeps what newcomers sealed to it."""
IDENTITY_FILE = "identity.cert.pem"
"""A newcomer's identity certificate; for verifiers only, under seal."""
GENESIS_BYTES_MAX = 64 * 1024 * 1024
BEACON_SECRET_BYTES = 32


class HomeError(Exception):
    """The folder can't be used; the sentence names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Device:
    """A certified device with its settings: what it takes to ask the network something."""

    path: Path
    config: Config
    genesis: Genesis
    signer: EcdsaSigner
    tls: TlsIdentity
    identify: Identifier
    """Certificate of a link -> participant at its other end."""
    key: DeviceKey
    authority: x509.Certificate
    revocations: RevocationFile


@dataclass(frozen=True, slots=True)
class Home(Device):
    """Everything a node reads at start."""

    hash_chain: ChainSeries

    @property
    def ledger_path(self) -> Path:
        """The store's file."""
        return self.path / LEDGER_FILE

    @property
    def sealed_path(self) -> Path:
        """The folder of what was sealed to this node as a verifier."""
        return self.path / SEALED_FOLDER

    @property
    def snapshots_path(self) -> Path:
        """The folder of the snapshots that the node makes."""
        return self.path / SNAPSHOTS_FOLDER


def read_genesis(path: Path) -> Genesis:
    """Genesis from a file; raises `HomeError`."""
    try:
        if path.stat().st_size > GENESIS_BYTES_MAX:
            raise HomeError(f"{path} has more than {GENESIS_BYTES_MAX} bytes: that is no genesis")
        parsed = genesis_module.parse(path.read_bytes())
        # What only the ledger can check: that its sums fit, and that the feeder is one.
        require_in_range(parsed)
        grid_plan(parsed)
        return parsed
    except FileNotFoundError:
        raise HomeError(f"there is no {path}: copy the community's genesis there") from None
    except OSError as error:
        raise HomeError(f"{path} can't be read: {error.strerror}") from None
    except GenesisError as error:
        raise HomeError(f"{path}: {error}") from None


def new_beacon_secret() -> bytes:
    """A fresh secret for a member's hash chain."""
    return os.urandom(BEACON_SECRET_BYTES)


def write(
    path: Path,
    *,
    config: Config,
    genesis: Genesis,
    key: DeviceKey,
    certificate_pem: bytes,
    authority_pem: bytes,
    beacon_secret: bytes | None,
) -> None:
    """Write a node's folder, or with no `beacon_secret` a meter's.

    An existing key is never overwritten (`KeyFileError`).
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    key.save(path / KEY_FILE)
    write_public_key(path, key)
    if beacon_secret is not None:
        save_beacon_secret(path, beacon_secret)
    (path / configuration.CONFIG_FILE).write_text(configuration.render(config), encoding="utf-8")
    (path / GENESIS_FILE).write_bytes(genesis_module.render(genesis))
    (path / CERTIFICATE_FILE).write_bytes(certificate_pem)
    (path / AUTHORITY_FILE).write_bytes(authority_pem)


def write_public_key(path: Path, key: DeviceKey) -> None:
    """Write the public half into a folder, as PEM; raises `KeyFileError`."""
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_atomically(path / PUBLIC_KEY_FILE, pem, mode=PUBLIC_FILE_MODE)


def save_beacon_secret(path: Path, secret: bytes) -> None:
    """Write the secret into a folder, for its owner only; raises `KeyFileError`."""
    write_atomically(path / BEACON_FILE, secret.hex().encode() + b"\n", replace=False)


def read_beacon_secret(folder: Path) -> bytes:
    """The secret of a member's hash chain; raises `HomeError` or `KeyFileError`."""
    path = folder / BEACON_FILE
    text = read_private(path, "beacon secret").strip()
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise HomeError(f"{path} is damaged: it holds no 64 hex digits") from None
    if len(secret) != BEACON_SECRET_BYTES:
        raise HomeError(f"{path} is damaged: it holds {len(secret)} bytes, not 32")
    return secret


def load_device(path: Path) -> Device:
    """Open the folder of any device, a node's or a meter's.

    Raises:
        HomeError: a file is missing, damaged, or does not fit the others.
        ConfigError: the settings can't be used.
    """
    config = configuration.load(path)
    genesis = read_genesis(path / GENESIS_FILE)
    try:
        key = DeviceKey.load(path / KEY_FILE)
        tls = TlsIdentity.load(path / CERTIFICATE_FILE, path / KEY_FILE, [path / AUTHORITY_FILE])
        authority = load_authority((path / AUTHORITY_FILE).read_bytes())
        revocations = RevocationFile(path / REVOCATIONS_FILE, authority)
    except (MembershipError, TransportError) as error:
        raise HomeError(str(error)) from None
    identify = Identifier(authority, revocations)
    name = identify(tls.certificate_der)
    if name is None:
        raise HomeError(f"{path / CERTIFICATE_FILE} is no valid device certificate of this community")
    member = next((m for m in genesis.members if m.participant_id == name.hex()), None)
    # A renewal names the participant whose id it keeps, and may have another key.
    first = participant_id(tls.certificate_der) == name
    if member is not None and first and bytes.fromhex(member.public_key) != key.public_key_compressed():
        raise HomeError(f"{path / KEY_FILE} is not the key that genesis names for participant {name.hex()}")
    signer = EcdsaSigner(name, key.private_key)
    return Device(path, config, genesis, signer, tls, identify, key, authority, revocations)


def load(path: Path) -> Home:
    """Open a node's folder; raises as `load_device` does."""
    device = load_device(path)
    try:
        chain = ChainSeries(read_beacon_secret(path), HashChain)
    except MembershipError as error:
        raise HomeError(str(error)) from None
    return Home(
        device.path,
        device.config,
        device.genesis,
        device.signer,
        device.tls,
        device.identify,
        device.key,
        device.authority,
        device.revocations,
        chain,
    )


def in_role(home: Home, role: Role) -> Home:
    """The same node in another role than that of its settings."""
    node = structs.replace(home.config.node, role=role)
    return replace(home, config=structs.replace(home.config, node=node))
