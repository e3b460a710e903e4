"""One node's folder, made step by step by its owner: key first, certificate when the authority gave one.

Lives here: which files exist and what is still missing. Never here: certificates (`membership`), genesis of
a whole community (`founding`). Owns the invariant that an empty ledger is made together with the key or not
at all: later it could hide that votes were lost (CONSENSUS section 6).
"""

from dataclasses import dataclass
from pathlib import Path

from p2penergy import config as configuration
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.config import Config
from p2penergy.genesis import Genesis, render
from p2penergy.home import Home, HomeError
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.private_files import PUBLIC_FILE_MODE, write_atomically
from p2penergy.opening import genesis_versions
from p2penergy.store import Store

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

    @property
    def public_key_file(self) -> Path:
        """What goes to the authority."""
        return self.home / homes.PUBLIC_KEY_FILE


def prepare(home: Path, genesis: Genesis, config: Config) -> Prepared:
    """Make the folder with key, beacon secret, settings, genesis and empty ledger, or look at it again.

    A folder that has a key keeps everything it has.

    Raises:
        HomeError: a file can't be read or written.
        StoreError: the ledger can't be made.
    """
    try:
        made = not (home / homes.KEY_FILE).exists()
        if made:
            _make(home, genesis, config)
        key = DeviceKey.load(home / homes.KEY_FILE)
        secret = homes.read_beacon_secret(home)
    except MembershipError as error:
        raise HomeError(str(error)) from None
    except OSError as error:
        raise HomeError(f"{error.filename or home} can't be written: {error.strerror}") from None
    certified = (home / homes.CERTIFICATE_FILE).exists()
    return Prepared(home, key.public_key_compressed(), HashChain(secret).tip, made, certified)


def _make(home: Path, genesis: Genesis, config: Config) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = home / homes.LEDGER_FILE
    if ledger.exists():
        raise HomeError(
            f"{ledger} is there without its key: remove {home} if an init was interrupted, or choose another"
        )
    (home / configuration.CONFIG_FILE).write_text(configuration.render(config), encoding="utf-8")
    (home / homes.GENESIS_FILE).write_bytes(render(genesis))
    homes.save_beacon_secret(home, homes.new_beacon_secret())
    Store.create(ledger, genesis.chain_id, genesis_versions=genesis_versions(genesis)).close()
    # Last: a folder with a key is complete, and without one nothing was ever signed.
    key = DeviceKey.generate()
    homes.write_public_key(home, key)
    key.save(home / homes.KEY_FILE)


def certify(home: Path, certificate_pem: bytes, authority_pem: bytes) -> Home:
    """Put certificates into the folder, and open it as `start` would.

    Raises:
        HomeError: they do not fit the key; then they are not kept.
    """
    files = {homes.CERTIFICATE_FILE: certificate_pem, homes.AUTHORITY_FILE: authority_pem}
    before = {name: (home / name).read_bytes() if (home / name).exists() else None for name in files}
    try:
        for name, pem in files.items():
            write_atomically(home / name, pem, mode=PUBLIC_FILE_MODE)
        return homes.load(home)
    except (MembershipError, HomeError) as error:
        for name, old in before.items():
            (home / name).unlink(missing_ok=True)
            if old is not None:
                write_atomically(home / name, old, mode=PUBLIC_FILE_MODE)
        raise HomeError(str(error)) from None


def certify_with(home: Path, authority: Authority) -> Home:
    """The same, where the authority is at hand; raises `MembershipError`, too."""
    key = DeviceKey.load(home / homes.KEY_FILE)
    certificate = authority.issue_device(key.public_key())
    return certify(home, certificate.pem, authority.certificate_pem)


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
