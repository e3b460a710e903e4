"""Device keys and their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.keys import PASSPHRASE_BYTES_MAX, DeviceKey, public_key_from

KEY = DeviceKey.generate()


def numbers(key: DeviceKey) -> int:
    return key.private_key.private_numbers().private_value


@pytest.mark.parametrize("passphrase", [None, "four words für you"])
def test_comes_back_from_its_file(tmp_path: Path, passphrase: str | None) -> None:
    path = tmp_path / "device.key"
    KEY.save(path, passphrase)
    assert numbers(DeviceKey.load(path, passphrase)) == numbers(KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)


def test_two_keys_differ() -> None:
    assert numbers(DeviceKey.generate()) != numbers(KEY)


def test_the_public_key_is_33_bytes_and_comes_back() -> None:
    short = KEY.public_key_compressed()
    assert len(short) == 33
    assert public_key_from(short) == KEY.public_key()


@given(st.binary(max_size=70))
def test_other_bytes_are_no_public_key_or_a_point(data: bytes) -> None:
    try:
        key = public_key_from(data)
    except ValueError:
        return
    assert len(data) == 33
    assert isinstance(key.curve, ec.SECP256R1)


def test_the_uncompressed_form_is_refused() -> None:
    long = KEY.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    for data in (long, b"\x04" + KEY.public_key_compressed()[1:], b""):
        with pytest.raises(ValueError, match="33 bytes"):
            public_key_from(data)


def test_a_saved_key_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    KEY.save(path)
    with pytest.raises(KeyFileError, match="not overwritten"):
        DeviceKey.generate().save(path)
    assert numbers(DeviceKey.load(path)) == numbers(KEY)
    other = DeviceKey.generate()
    other.save(path, replace=True)
    assert numbers(DeviceKey.load(path)) == numbers(other)
    assert [item.name for item in tmp_path.iterdir()] == ["device.key"]


@pytest.mark.parametrize(
    ("saved", "given_one", "sentence"),
    [("right", "wrong", "wrong"), ("right", None, "under a passphrase"), (None, "some", "has no passphrase")],
)
def test_passphrases(tmp_path: Path, saved: str | None, given_one: str | None, sentence: str) -> None:
    path = tmp_path / "device.key"
    KEY.save(path, saved)
    with pytest.raises(KeyFileError, match=sentence):
        DeviceKey.load(path, given_one)


@pytest.mark.parametrize("passphrase", ["", "x" * (PASSPHRASE_BYTES_MAX + 1)])
def test_a_passphrase_has_a_length(tmp_path: Path, passphrase: str) -> None:
    with pytest.raises(KeyFileError, match="passphrase has"):
        KEY.save(tmp_path / "device.key", passphrase)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o677])
def test_a_key_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "device.key"
    KEY.save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"chmod 600 {path}"):
        DeviceKey.load(path)


def test_what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    with pytest.raises(KeyFileError, match="no device key at"):
        DeviceKey.load(path)
    for content, sentence in (
        (b"", "no PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PEM"),
        (_pem(ed25519.Ed25519PrivateKey.generate()), "not a P-256 key"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match=sentence):
            DeviceKey.load(path)


def test_a_repr_shows_no_key() -> None:
    assert repr(KEY) == "DeviceKey()"


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
