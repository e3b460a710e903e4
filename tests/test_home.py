"""A node's folder: written once, opened again, and a clear sentence for whatever does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from samples import small_genesis

from p2penergy import home as module
from p2penergy.beacon import HashChain
from p2penergy.config import Config, ConfigError, NodeSettings
from p2penergy.genesis import ConsensusRules, Genesis, GridNode, GridRules, Member, render
from p2penergy.home import HomeError, load, new_beacon_secret, read_genesis, write
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.keys import DeviceKey
from p2penergy.signing import verify_signature

LINKS = 100
CONFIG = Config(node=NodeSettings(listen="127.0.0.1:0"))


@dataclass
class Meter:
    """What one household brings, and the folder it goes to."""

    path: Path
    key: DeviceKey
    name: bytes
    certificate_pem: bytes
    authority_pem: bytes
    secret: bytes

    def genesis(self, key: DeviceKey | None = None) -> Genesis:
        entry = Member(
            participant_id=self.name.hex(),
            public_key=(key or self.key).public_key_compressed().hex(),
            validator=True,
            beacon_tip=HashChain(self.secret, LINKS).tip.hex(),
        )
        rules = ConsensusRules(t0_ms=0, alpha_ms=500, eps_ms=50, delta_ms=100)
        return Genesis(community="Elm Street", consensus=rules, members=(entry,))

    def write(self, genesis: Genesis | None = None) -> None:
        write(
            self.path,
            config=CONFIG,
            genesis=genesis or self.genesis(),
            key=self.key,
            certificate_pem=self.certificate_pem,
            authority_pem=self.authority_pem,
            beacon_secret=self.secret,
        )


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Meter:
    # The real chain has 131,072 links; nothing here depends on its length.
    monkeypatch.setattr(module, "HashChain", lambda secret: HashChain(secret, LINKS))
    authority = Authority.in_memory("Elm Street")
    key = DeviceKey.generate()
    device = authority.issue_device(key.public_key())
    return Meter(
        tmp_path / "home" / "7",
        key,
        device.participant_id,
        device.pem,
        authority.certificate_pem,
        new_beacon_secret(),
    )


def test_what_is_written_is_opened_again(meter: Meter) -> None:
    meter.write()
    home = load(meter.path)
    assert home.path == meter.path
    assert home.config == CONFIG
    assert home.genesis == meter.genesis()
    assert home.signer.participant_id == meter.name
    assert verify_signature((meter.key.public_key_compressed(), b"m", home.signer.sign(b"m")))
    tip = home.genesis.members[0].beacon_tip
    assert tip is not None
    assert home.hash_chain.preimage(bytes.fromhex(tip)) is not None
    assert home.ledger_path == meter.path / "ledger.sqlite3"


def test_secrets_are_for_their_owner_only(meter: Meter) -> None:
    meter.write()
    assert meter.path.stat().st_mode & 0o777 == 0o700
    for name in (module.KEY_FILE, module.BEACON_FILE):
        assert (meter.path / name).stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(meter: Meter) -> None:
    meter.write()
    before = {path: path.read_bytes() for path in meter.path.iterdir()}
    meter.key, meter.secret = DeviceKey.generate(), new_beacon_secret()
    with pytest.raises(KeyFileError, match="exists already"):
        meter.write()
    assert {path: path.read_bytes() for path in meter.path.iterdir()} == before


def test_beacon_secrets_differ() -> None:
    assert len({new_beacon_secret() for _ in range(5)}) == 5
    assert len(new_beacon_secret()) == module.BEACON_SECRET_BYTES


def test_a_stranger_to_genesis_may_open_its_home(meter: Meter) -> None:
    # A newcomer that wants to join has a certificate, and genesis does not know it.
    meter.name = b"x" * 20
    meter.write()
    assert load(meter.path).signer.participant_id != meter.name


def test_genesis_must_name_the_key_that_is_there(meter: Meter) -> None:
    meter.write(meter.genesis(DeviceKey.generate()))
    with pytest.raises(
        HomeError, match=f"is not the key that genesis names for participant {meter.name.hex()}"
    ):
        load(meter.path)


def test_key_and_certificate_must_fit(meter: Meter) -> None:
    meter.write()
    (meter.path / module.KEY_FILE).unlink()
    DeviceKey.generate().save(meter.path / module.KEY_FILE)
    with pytest.raises(HomeError, match="does not belong to the device certificate"):
        load(meter.path)


@pytest.mark.parametrize(
    "name", ["KEY_FILE", "CERTIFICATE_FILE", "AUTHORITY_FILE", "BEACON_FILE", "GENESIS_FILE"]
)
def test_a_missing_file_is_named(meter: Meter, name: str) -> None:
    meter.write()
    path = meter.path / getattr(module, name)
    path.unlink()
    with pytest.raises(HomeError, match=str(path)):
        load(meter.path)


def test_a_certificate_of_another_community_is_refused(meter: Meter) -> None:
    meter.authority_pem = Authority.in_memory("Oak Street").certificate_pem
    meter.write()
    path = meter.path / module.CERTIFICATE_FILE
    with pytest.raises(HomeError, match=f"{path} is no valid device certificate of this community"):
        load(meter.path)


def test_missing_settings_are_the_settings_error(meter: Meter) -> None:
    meter.write()
    (meter.path / "config.toml").unlink()
    with pytest.raises(ConfigError, match=r"config\.toml is missing"):
        load(meter.path)


@pytest.mark.parametrize(
    "name", ["KEY_FILE", "CERTIFICATE_FILE", "AUTHORITY_FILE", "BEACON_FILE", "GENESIS_FILE"]
)
@pytest.mark.parametrize("damage", [b"", b"nonsense\n", b"\xff\x00" * 40], ids=["empty", "text", "bytes"])
def test_a_damaged_file_is_refused(meter: Meter, name: str, damage: bytes) -> None:
    meter.write()
    (meter.path / getattr(module, name)).write_bytes(damage)
    with pytest.raises(HomeError):
        load(meter.path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"ab" * 31, "it holds 31 bytes, not 32"),
        (b"ab" * 33, "it holds 33 bytes, not 32"),
        (b"zz" * 32, "it holds no 64 hex digits"),
        ("é".encode() * 32, "it holds no 64 hex digits"),
    ],
)
def test_a_damaged_beacon_secret_is_described(meter: Meter, text: bytes, sentence: str) -> None:
    meter.write()
    path = meter.path / module.BEACON_FILE
    path.write_bytes(text)
    with pytest.raises(HomeError) as caught:
        load(meter.path)
    assert str(caught.value) == f"{path} is damaged: {sentence}"


@pytest.mark.parametrize("name", ["KEY_FILE", "BEACON_FILE"])
def test_a_secret_that_others_may_read_is_refused(meter: Meter, name: str) -> None:
    meter.write()
    (meter.path / getattr(module, name)).chmod(0o640)
    with pytest.raises(HomeError, match="open to other users"):
        load(meter.path)


def _directory(path: Path) -> None:
    path.mkdir()


def _too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(module.GENESIS_BYTES_MAX + 1)


def _no_tree(path: Path) -> None:
    """A feeder without a busbar: well-formed, and nothing that a ledger can begin with."""
    node = GridNode(node=1, parent=0, r_uohm=0, x_uohm=0, i_max_a=1)
    path.write_bytes(render(replace(small_genesis(), grid=GridRules(nodes=(node,)))))


def _invalid(path: Path) -> None:
    path.write_bytes(b"{}")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, ": copy the community's genesis there"),
        (_directory, "can't be read: Is a directory"),
        (_too_large, "has more than 67108864 bytes: that is no genesis"),
        (_invalid, ": genesis is not valid: "),
        (_no_tree, ": grid: node 1 is out of place"),
    ],
)
def test_a_genesis_that_cannot_be_used_says_why(
    tmp_path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "genesis.json"
    make(path)
    with pytest.raises(HomeError) as caught:
        read_genesis(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)
