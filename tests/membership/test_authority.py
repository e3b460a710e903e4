"""The community's authority: its folder, what it issues, what it refuses."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.membership import authority as authority_module
from p2penergy.membership.authority import AUTHORITY_DAYS, REASONS, Authority
from p2penergy.membership.certificates import verify_device, verify_identity
from p2penergy.membership.errors import (
    AuthorityError,
    CertificateRefused,
    KeyFileError,
    RefusalCode,
)
from p2penergy.membership.issuing import read_revocation_list
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PERSON = Person("Ada Bauer", "Sonnenweg 3", "ada@example.org")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Authority.create(tmp_path / "ca", "Sunny Lane", at=NOW)
    return tmp_path / "ca"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestFolder:
    def test_holds_what_the_docstring_says_and_is_private(self, folder: Path) -> None:
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        private = {"ca.key": 0o600, "community.secret": 0o600, "index.json": 0o600}
        assert modes == private | {"ca.pem": 0o644, "crl.pem": 0o644}
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in folder.parent.iterdir()] == ["ca"]

    def test_opens_again_with_the_same_secrets(self, folder: Path) -> None:
        first, second = Authority.open(folder), Authority.open(folder)
        assert first.certificate == second.certificate
        assert first.meter_pseudonym("1") == second.meter_pseudonym("1")

    def test_an_existing_authority_is_never_overwritten(self, folder: Path) -> None:
        before = contents(folder)
        with pytest.raises(AuthorityError, match="folder of its own"):
            Authority.create(folder, "Other Lane")
        assert contents(folder) == before

    def test_one_made_in_the_meantime_is_not_overwritten_either(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        genuine = authority_module.write_atomically

        def somebody_else_is_faster(path: Path, data: bytes, **how: int) -> None:
            (tmp_path / "ca").mkdir(exist_ok=True)
            (tmp_path / "ca" / "ca.key").write_bytes(b"theirs")
            genuine(path, data, **how)

        monkeypatch.setattr(authority_module, "write_atomically", somebody_else_is_faster)
        with pytest.raises(AuthorityError, match="can't be made"):
            Authority.create(tmp_path / "ca", "Sunny Lane")
        assert contents(tmp_path / "ca") == {"ca.key": b"theirs"}
        assert len(list(tmp_path.iterdir())) == 1

    def test_an_interrupted_creation_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        genuine = authority_module.write_atomically

        def fails_late(path: Path, data: bytes, **how: int) -> None:
            if path.name == "ca.pem":
                raise KeyFileError("disk full")
            genuine(path, data, **how)

        monkeypatch.setattr(authority_module, "write_atomically", fails_late)
        with pytest.raises(KeyFileError):
            Authority.create(tmp_path / "ca", "Sunny Lane")
        assert not list(tmp_path.iterdir())

    def test_an_empty_folder_will_do_and_becomes_private(self, tmp_path: Path) -> None:
        (tmp_path / "ca").mkdir(mode=0o755)
        Authority.create(tmp_path / "ca", "Sunny Lane")
        assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700

    def test_a_file_or_a_place_under_a_file_will_not_do(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        for place in (tmp_path / "file", tmp_path / "file" / "ca"):
            with pytest.raises(AuthorityError):
                Authority.create(place, "Sunny Lane")

    @pytest.mark.parametrize("name", ["ca.key", "community.secret", "index.json", "."])
    def test_rights_of_others_are_refused_with_the_remedy(self, folder: Path, name: str) -> None:
        (folder / name).chmod(0o744)
        with pytest.raises(KeyFileError, match=r"chmod [67]00"):
            Authority.open(folder)

    def test_the_passphrase_guards_key_and_secret(self, tmp_path: Path) -> None:
        made = Authority.create(tmp_path / "ca", "Sunny Lane", "right")
        assert Authority.open(tmp_path / "ca", "right").meter_pseudonym("1") == made.meter_pseudonym("1")
        for passphrase in ("wrong", None):
            with pytest.raises(KeyFileError, match="passphrase"):
                Authority.open(tmp_path / "ca", passphrase)

    def test_no_authority_here(self, tmp_path: Path) -> None:
        with pytest.raises(AuthorityError, match="ca init"):
            Authority.open(tmp_path)

    def test_files_of_two_authorities_are_not_mixed(self, folder: Path, tmp_path: Path) -> None:
        Authority.create(tmp_path / "other", "Other Lane")
        shutil.copy(tmp_path / "other" / "ca.pem", folder / "ca.pem")
        with pytest.raises(AuthorityError, match="belong together"):
            Authority.open(folder)
        (folder / "ca.pem").unlink()
        with pytest.raises(AuthorityError, match=r"ca\.pem can't be read"):
            Authority.open(folder)

    def test_one_that_was_opened_earlier_forgets_nothing(self, folder: Path) -> None:
        early, late = Authority.open(folder), Authority.open(folder)
        for authority in (late, early, late):
            authority.issue_device(DeviceKey.generate().public_key())
        assert len(Authority.open(folder).list()) == 3

    def test_the_folder_is_locked_while_it_changes(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        genuine, written = authority_module.write_atomically, []

        def while_locked(path: Path, data: bytes, **how: int) -> None:
            descriptor = os.open(folder, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
            written.append(path.name)
            genuine(path, data, **how)

        authority = Authority.open(folder)
        monkeypatch.setattr(authority_module, "write_atomically", while_locked)
        device = authority.issue_device(DeviceKey.generate().public_key())
        authority.revoke(device.serial)
        assert written == ["index.json", "index.json", "crl.pem"]

    def test_two_processes_lose_no_record(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_issue_some, args=(folder, 5)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
        assert len(Authority.open(folder).list()) == 10


class TestIssuing:
    def test_devices_and_identities_pass_their_verifiers(self, folder: Path) -> None:
        authority, key = Authority.open(folder), DeviceKey.generate()
        device = authority.issue_device(key.public_key(), at=NOW)
        identity = authority.issue_identity(PERSON, device.der, "1ESY 116", at=NOW)
        verified = verify_device(device.der, authority.certificate, NOW, authority.revoked())
        assert verified.participant_id == device.participant_id
        assert verified.serial == device.serial
        found = verify_identity(
            identity.der,
            authority.certificate,
            NOW,
            (),
            device_public_key=verified.public_key,
            meter_pseudonym=authority.meter_pseudonym("1esy116"),
        )
        assert (found.person, found.serial) == (PERSON, identity.serial)
        kinds = [(item.kind, int(item.serial, 16)) for item in Authority.open(folder).list()]
        assert kinds == [("device", device.serial), ("identity", identity.serial)]

    def test_the_index_names_nobody(self, folder: Path) -> None:
        authority = Authority.open(folder)
        device = authority.issue_device(DeviceKey.generate().public_key())
        authority.issue_identity(PERSON, device.der, "1ESY 116")
        for content in contents(folder).values():
            assert b"Bauer" not in content
            assert b"1ESY" not in content

    def test_one_key_is_one_participant(self) -> None:
        authority, key = Authority.in_memory("Sunny Lane"), DeviceKey.generate()
        first = authority.issue_device(key.public_key())
        with pytest.raises(AuthorityError, match="renew"):
            authority.issue_device(key.public_key())
        renewed = authority.issue_device(key.public_key(), renews=first.participant_id)
        moved = authority.issue_device(DeviceKey.generate().public_key(), renews=first.participant_id)
        assert renewed.participant_id == moved.participant_id == first.participant_id
        assert len({first.serial, renewed.serial, moved.serial}) == 3

    def test_a_renewal_needs_a_participant_and_its_own_key(self) -> None:
        authority, key = Authority.in_memory("Sunny Lane"), DeviceKey.generate()
        with pytest.raises(AuthorityError, match="no participant"):
            authority.issue_device(key.public_key(), renews=b"x" * 20)
        first = authority.issue_device(key.public_key())
        other = DeviceKey.generate()
        authority.issue_device(other.public_key())
        with pytest.raises(AuthorityError, match="another participant"):
            authority.issue_device(other.public_key(), renews=first.participant_id)

    def test_an_identity_needs_a_good_device_of_this_authority(self) -> None:
        authority, other = Authority.in_memory("Sunny Lane"), Authority.in_memory("Sunny Lane")
        stranger = other.issue_device(DeviceKey.generate().public_key())
        revoked = authority.issue_device(DeviceKey.generate().public_key())
        authority.revoke(revoked.serial)
        for der, code in (
            (stranger.der, RefusalCode.WRONG_ISSUER),
            (revoked.der, RefusalCode.REVOKED),
            (b"", RefusalCode.GARBAGE),
        ):
            with pytest.raises(CertificateRefused) as caught:
                authority.issue_identity(PERSON, der, "1")
            assert caught.value.code is code
        assert len(authority.list()) == 1

    def test_nothing_outlives_the_authority(self) -> None:
        authority = Authority.in_memory("Sunny Lane", at=NOW)
        with pytest.raises(AuthorityError, match="outlive"):
            authority.issue_device(DeviceKey.generate().public_key(), days=AUTHORITY_DAYS + 1, at=NOW)
        later = NOW + timedelta(days=AUTHORITY_DAYS - 10)
        authority.issue_device(DeviceKey.generate().public_key(), days=9, at=later)

    def test_only_p256(self) -> None:
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        with pytest.raises(AuthorityError, match="P-256"):
            Authority.in_memory("Sunny Lane").issue_device(key)

    def test_a_given_serial_is_used_once(self) -> None:
        authority = Authority.in_memory("Sunny Lane")
        assert authority.issue_device(DeviceKey.generate().public_key(), serial=5).serial == 5
        with pytest.raises(AuthorityError, match="used already"):
            authority.issue_device(DeviceKey.generate().public_key(), serial=5)

    def test_a_whole_neighbourhood_in_memory(self) -> None:
        authority = Authority.in_memory("Sunny Lane")
        issued = [authority.issue_device(DeviceKey.generate().public_key()) for _ in range(130)]
        assert len({device.participant_id for device in issued}) == 130
        assert authority.folder is None


class TestRevocation:
    @pytest.mark.parametrize("reason", REASONS)
    def test_goes_round(self, folder: Path, reason: str) -> None:
        authority = Authority.open(folder)
        device = authority.issue_device(DeviceKey.generate().public_key())
        kept = authority.issue_device(DeviceKey.generate().public_key())
        authority.revoke(device.serial, reason)
        listed = read_revocation_list((folder / "crl.pem").read_bytes(), authority.certificate).serials
        assert listed == Authority.open(folder).revoked() == {device.serial}
        with pytest.raises(CertificateRefused) as caught:
            verify_device(device.der, authority.certificate, datetime.now(UTC), listed)
        assert caught.value.code is RefusalCode.REVOKED
        verify_device(kept.der, authority.certificate, datetime.now(UTC), listed)

    def test_a_new_folder_has_an_empty_list(self, folder: Path) -> None:
        listed = (folder / "crl.pem").read_bytes()
        assert read_revocation_list(listed, Authority.open(folder).certificate).serials == frozenset()

    def test_unknown_serials_and_reasons(self, folder: Path) -> None:
        authority, before = Authority.open(folder), contents(folder)
        with pytest.raises(AuthorityError, match="No certificate"):
            authority.revoke(12345)
        with pytest.raises(AuthorityError, match="choose from"):
            authority.revoke(12345, "boredom")
        assert contents(folder) == before

    @pytest.mark.parametrize("damage", ["lost", "garbage", "stale"])
    def test_the_list_is_mended_at_the_next_change(self, folder: Path, damage: str) -> None:
        authority, listed = Authority.open(folder), folder / "crl.pem"
        device = authority.issue_device(DeviceKey.generate().public_key())
        stale = listed.read_bytes()
        authority.revoke(device.serial)
        if damage == "lost":
            listed.unlink()
        else:
            listed.write_bytes(stale if damage == "stale" else b"garbage")
        authority.issue_device(DeviceKey.generate().public_key())
        assert read_revocation_list(listed.read_bytes(), authority.certificate).serials == {device.serial}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
class TestOpenssl:
    def test_agrees(self, folder: Path, tmp_path: Path) -> None:
        authority = Authority.open(folder)
        device = authority.issue_device(DeviceKey.generate().public_key())
        identity = authority.issue_identity(PERSON, device.der, "1ESY 116")
        (tmp_path / "device.pem").write_bytes(device.pem)
        (tmp_path / "identity.pem").write_bytes(identity.pem)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["openssl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
            )

        verify = ("verify", "-x509_strict", "-CAfile", "ca/ca.pem")
        for purpose in ("sslclient", "sslserver"):
            assert run(*verify, "-purpose", purpose, "device.pem").returncode == 0
            assert run(*verify, "-purpose", purpose, "identity.pem").returncode != 0
        assert run(*verify, "identity.pem").returncode == 0
        assert "CN = Ada Bauer" in run("x509", "-text", "-noout", "-in", "identity.pem").stdout
        crl = ("-crl_check", "-CRLfile", "ca/crl.pem", "device.pem")
        assert run(*verify, *crl).returncode == 0
        authority.revoke(device.serial, "key-compromise")
        assert "revoked" in run(*verify, *crl).stderr

    def test_a_certificate_it_signs_with_sha1_is_refused(self, folder: Path, tmp_path: Path) -> None:
        authority, key = Authority.open(folder), DeviceKey.generate()
        (tmp_path / "device.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        key.save(tmp_path / "device.key")
        request = "req -new -key device.key -subj /CN=meter -out device.csr"
        sign = "x509 -req -in device.csr -CA ca/ca.pem -CAkey ca/ca.key -set_serial 7 -sha1 -outform DER"
        subprocess.run(["openssl", *request.split()], cwd=tmp_path, check=True, capture_output=True)
        signed = subprocess.run(["openssl", *sign.split()], cwd=tmp_path, check=True, capture_output=True)
        with pytest.raises(CertificateRefused) as caught:
            verify_device(signed.stdout, authority.certificate, datetime.now(UTC), ())
        assert caught.value.code is RefusalCode.WEAK_HASH


def _issue_some(folder: Path, count: int) -> None:
    authority = Authority.open(folder)
    for _ in range(count):
        authority.issue_device(DeviceKey.generate().public_key())
