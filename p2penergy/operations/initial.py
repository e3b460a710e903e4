"""One node's folder, made step by step by its owner: key, certificate, genesis, in the order they come.

Lives here: which files exist and what is still missing. Never here: certificates (`membership`), genesis of
a whole community (`founding`, `ceremony`). Owns the invariant that an empty ledger is made together with
genesis or not at all: a folder that has genesis may have voted, and an empty ledger would hide that its
votes were lost (CONSENSUS section 6).
"""

from dataclasses import dataclass
from pathlib import Path

from p2penergy import config as configuration
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.config import Config
from p2penergy.genesis import Genesis, render
from p2penergy.home import HomeError
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.identifying import identifier
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.private_files import PUBLIC_FILE_MODE, write_atomically
from p2penergy.opening import genesis_versions
from p2penergy.store import Store
from transport import TlsIdentity, TransportError

CERTIFICATE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a folder holds after a step."""

    home: Path
    public_key: bytes
    """33 bytes compressed: what genesis and the authority need."""
    beacon_tip: bytes
    """The end of the hash chain: what genesis needs of a validator."""
    made_key: bool
    certified: bool
    has_genesis: bool

    @property
    def public_key_file(self) -> Path:
        """What goes to the authority."""
        return self.home / homes.PUBLIC_KEY_FILE


def prepare(home: Path, genesis: Genesis | None, config: Config) -> Prepared:
    """Make key, beacon secret and settings where there is no key yet; add genesis where there is none.

    A file that is there stays as it is.

    Raises:
        HomeError: a file can't be read or written.
        StoreError: the ledger can't be made.
    """
    try:
        made = not (home / homes.KEY_FILE).exists()
        if made:
            _make(home, config)
        if genesis is not None and not (home / homes.GENESIS_FILE).exists():
            _begin(home, genesis)
        key = DeviceKey.load(home / homes.KEY_FILE)
        secret = homes.read_beacon_secret(home)
    except MembershipError as error:
        raise HomeError(str(error)) from None
    except OSError as error:
        raise HomeError(f"{error.filename or home} can't be written: {error.strerror}") from None
    certified = (home / homes.CERTIFICATE_FILE).exists()
    has_genesis = (home / homes.GENESIS_FILE).exists()
    tip = HashChain(secret).tip
    return Prepared(home, key.public_key_compressed(), tip, made, certified, has_genesis)


def _make(home: Path, config: Config) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_ledger(home, "its key")
    (home / configuration.CONFIG_FILE).write_text(configuration.render(config), encoding="utf-8")
    homes.save_beacon_secret(home, homes.new_beacon_secret())
    key = DeviceKey.generate()
    homes.write_public_key(home, key)
    key.save(home / homes.KEY_FILE)


def _begin(home: Path, genesis: Genesis) -> None:
    _refuse_ledger(home, "genesis")
    ledger = home / homes.LEDGER_FILE
    Store.create(ledger, genesis.chain_id, genesis_versions=genesis_versions(genesis)).close()
    write_atomically(home / homes.GENESIS_FILE, render(genesis), mode=PUBLIC_FILE_MODE)


def _refuse_ledger(home: Path, what: str) -> None:
    ledger = home / homes.LEDGER_FILE
    if ledger.exists():
        raise HomeError(f"{ledger} is there without {what}: remove it if an init was interrupted")


def certify(home: Path, certificate_pem: bytes, authority_pem: bytes) -> bytes:
    """Put certificates into the folder once they fit its key, and genesis if it is there; the participant.

    Raises:
        HomeError: they do not fit; then they are not kept.
    """
    files = {homes.CERTIFICATE_FILE: certificate_pem, homes.AUTHORITY_FILE: authority_pem}
    before = {name: (home / name).read_bytes() if (home / name).exists() else None for name in files}
    try:
        for name, pem in files.items():
            write_atomically(home / name, pem, mode=PUBLIC_FILE_MODE)
        return _certified(home)
    except (MembershipError, HomeError, TransportError) as error:
        for name, old in before.items():
            (home / name).unlink(missing_ok=True)
            if old is not None:
                write_atomically(home / name, old, mode=PUBLIC_FILE_MODE)
        raise HomeError(str(error)) from None


def certify_with(home: Path, authority: Authority) -> bytes:
    """The same, where the authority is at hand; raises `MembershipError`, too."""
    key = DeviceKey.load(home / homes.KEY_FILE)
    certificate = authority.issue_device(key.public_key())
    return certify(home, certificate.pem, authority.certificate_pem)


def participant_of(home: Path) -> str | None:
    """Whom the certificate of a folder names, in hex; None without one. Raises `HomeError`."""
    if not (home / homes.CERTIFICATE_FILE).exists():
        return None
    try:
        return _certified(home).hex()
    except (MembershipError, TransportError) as error:
        raise HomeError(str(error)) from None


def _certified(home: Path) -> bytes:
    # With genesis there, all is held against it, too; before that the certificate alone.
    if (home / homes.GENESIS_FILE).exists():
        return homes.load(home).signer.participant_id
    authority = home / homes.AUTHORITY_FILE
    tls = TlsIdentity.load(home / homes.CERTIFICATE_FILE, home / homes.KEY_FILE, [authority])
    participant = identifier(read_certificate(authority))(tls.certificate_der)
    if participant is None:
        raise HomeError(f"{home / homes.CERTIFICATE_FILE} is no valid device certificate of this authority")
    return participant


def read_certificate(path: Path) -> bytes:
    """A PEM file of limited size; raises `HomeError`."""
    try:
        with path.open("rb") as file:
            data = file.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as error:
        raise HomeError(f"{path} can't be read: {error.strerror}") from None
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise HomeError(f"{path} has more than {CERTIFICATE_BYTES_MAX} bytes: that is no certificate")
    return data
