"""``p2penergy ca``: what it writes, what it shows, and one sentence when something is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from p2penergy.cli.ca import ca
from p2penergy.membership.certificates import (
    der_of,
    lfdi_text,
    load_authority,
    verify_device,
    verify_identity,
)
from p2penergy.membership.issuing import read_revocation_list
from p2penergy.membership.keys import DeviceKey

PERSON = ("--person", "Ada Bauer", "--address", "Sonnenweg 3", "--contact", "ada@example.org")


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(ca, [str(argument) for argument in arguments], input=typed)


def run_json(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def refused(result: Result, sentence: str) -> None:
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert sentence in last


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert run("init", tmp_path / "ca", "--name", "Sunny Lane").exit_code == 0
    return tmp_path / "ca"


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    result = run("init", tmp_path / "ca", "--name", "Sunny Lane")
    assert result.exit_code == 0
    assert "Sunny Lane" in result.output
    assert "ca.pem" in result.output
    made = run_json("init", tmp_path / "other", "--name", "Other Lane")
    assert made["community"] == "Other Lane"


def test_init_overwrites_nothing(folder: Path) -> None:
    refused(run("init", folder, "--name", "Other Lane"), "not empty")
    refused(run("init", folder.parent / "new", "--name", "x" * 65), "64 is the limit")


def test_issue_writes_all_that_a_meter_needs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "meter"
    meter = ("--meter-serial", "1ESY 116", "--rated-w", "9000", "--cluster", "7")
    answer = run_json("issue", folder, "--out", out, *PERSON, *meter)
    assert answer["files"] == ["ca.pem", "device.key", "device.pem", "identity.pem"]
    assert {path.name: path.stat().st_mode & 0o777 for path in out.iterdir()} == {
        "ca.pem": 0o644,
        "device.pem": 0o644,
        "device.key": 0o600,
        "identity.pem": 0o600,
    }
    authority, key = load_authority((out / "ca.pem").read_bytes()), DeviceKey.load(out / "device.key")
    device = verify_device(_der(out / "device.pem"), authority, datetime.now(UTC), ())
    assert device.public_key == key.public_key_compressed()
    assert device.participant_id.hex() == answer["participant_id"]
    certificate = x509.load_pem_x509_certificate((out / "identity.pem").read_bytes())
    pseudonym = certificate.extensions[-2].value
    assert isinstance(pseudonym, x509.UnrecognizedExtension)
    identity = verify_identity(
        _der(out / "identity.pem"),
        authority,
        datetime.now(UTC),
        (),
        device_public_key=device.public_key,
        meter_pseudonym=pseudonym.value[2:],
    )
    assert identity.person.name == "Ada Bauer"
    assert (identity.connection.rated_w, identity.connection.cluster) == (9_000, 7)


def test_issue_for_a_key_made_on_the_meter_and_its_renewal(folder: Path, tmp_path: Path) -> None:
    public = tmp_path / "meter.pub"
    public.write_bytes(_public_pem(DeviceKey.generate().private_key))
    first = run_json("issue", folder, "--out", tmp_path / "one", "--public-key", public)
    assert first["files"] == ["ca.pem", "device.pem"]
    shown = lfdi_text(bytes.fromhex(first["participant_id"]))
    again = ("issue", folder, "--out", tmp_path / "two", "--public-key", public)
    refused(run(*again), shown)
    renewed = run_json(*again, "--renews", shown)
    assert renewed["participant_id"] == first["participant_id"]
    assert renewed["serial"] != first["serial"]


def test_issue_refuses_what_it_can_not_do(folder: Path, tmp_path: Path) -> None:
    out, bad = tmp_path / "meter", tmp_path / "bad.pub"
    issue = ("issue", folder, "--out", out)
    refused(run(*issue, *PERSON), "--meter-serial")
    refused(run(*issue, "--renews", "abc"), "40 hex digits")
    refused(run(*issue, "--public-key", bad), "can't be read")
    bad.write_bytes(b"x")
    refused(run(*issue, "--public-key", bad), "no public key")
    bad.write_bytes(_public_pem(ed25519.Ed25519PrivateKey.generate()))
    refused(run(*issue, "--public-key", bad), "P-256")
    bad.write_bytes(_public_pem(ec.generate_private_key(ec.SECP384R1())))
    refused(run(*issue, "--public-key", bad), "P-256")
    refused(run(*issue, "--days", "100000"), "36525 days")
    refused(run("issue", tmp_path, "--out", out), "no authority")
    assert run_json("list", folder) == []
    assert not any(out.glob("*"))


def test_issue_leaves_a_used_folder_alone(folder: Path, tmp_path: Path) -> None:
    issue = ("issue", folder, "--out", tmp_path / "meter")
    assert run(*issue).exit_code == 0
    key = (tmp_path / "meter" / "device.key").read_bytes()
    refused(run(*issue), "another folder")
    assert (tmp_path / "meter" / "device.key").read_bytes() == key
    (tmp_path / "file").write_bytes(b"")
    refused(run("issue", folder, "--out", tmp_path / "file" / "x"), "can't be made")
    assert len(run_json("list", folder)) == 1


def test_revoke_and_list(folder: Path, tmp_path: Path) -> None:
    issued = run_json("issue", folder, "--out", tmp_path / "meter")
    result = run("revoke", folder, issued["serial"].upper(), "--reason", "moved-out")
    assert result.exit_code == 0
    assert "crl.pem" in result.output
    (entry,) = run_json("list", folder)
    assert (entry["serial"], entry["reason"]) == (issued["serial"], "moved-out")
    authority = load_authority((folder / "ca.pem").read_bytes())
    listed = read_revocation_list((folder / "crl.pem").read_bytes(), authority).serials
    assert listed == {int(issued["serial"], 16)}
    table = run("list", folder)
    assert table.exit_code == 0
    assert "device" in table.output
    refused(run("revoke", folder, issued["serial"]), "revoked already")
    refused(run("revoke", folder, "abc"), "No certificate")
    refused(run("revoke", folder, "xyz"), "not a serial number")
    other = run_json("issue", folder, "--out", tmp_path / "two")
    assert run_json("revoke", folder, other["serial"])["reason"] == "unspecified"


def test_a_passphrase_from_a_file_or_asked_for(tmp_path: Path) -> None:
    folder, secret = tmp_path / "ca", tmp_path / "secret"
    secret.write_bytes(b"four words for you\n")
    init = ("init", folder, "--name", "Sunny Lane", "--passphrase-file", secret)
    secret.chmod(0o644)
    refused(run(*init), "chmod 600")
    secret.chmod(0o600)
    assert run(*init).exit_code == 0
    refused(run("list", folder), "under a passphrase")
    assert run_json("list", folder, "--passphrase-file", secret) == []
    assert run("list", folder, "--ask-passphrase", typed="four words for you\n").exit_code == 0
    refused(run("list", folder, "--ask-passphrase", typed="guess\n"), "passphrase is wrong")
    both = ("list", folder, "--ask-passphrase", "--passphrase-file", secret)
    refused(run(*both), "not both")


def test_an_open_key_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / "ca.key").chmod(0o644)
    refused(run("list", folder), f"chmod 600 {folder / 'ca.key'}")


def _der(path: Path) -> bytes:
    return der_of(x509.load_pem_x509_certificate(path.read_bytes()))


def _public_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
