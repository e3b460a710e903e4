"""The revocation list of a running node: newer ones count, older and foreign ones change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import CertificateRefused, KeyFileError, RefusalCode
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.revocations import RevocationFile


@pytest.fixture
def authority() -> Authority:
    return Authority.in_memory("Sunny Lane")


def revoked(authority: Authority) -> int:
    device = authority.issue_device(DeviceKey.generate().public_key())
    authority.revoke(device.serial)
    return device.serial


def put(path: Path, data: bytes) -> None:
    """Exchange the file, as an operator does; another inode, so it is another file in any case."""
    draft = path.with_suffix(".new")
    draft.write_bytes(data)
    draft.replace(path)


def test_a_node_without_a_list_gets_one_while_it_runs(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "crl.pem"
    found = RevocationFile(path, authority.certificate)
    assert not found.changed()
    assert len(found) == 0
    serial = revoked(authority)
    put(path, authority.revocation_list_pem())
    assert serial not in found
    assert found.changed()
    assert serial in found
    assert not found.changed()


def test_what_was_revoked_stays_so(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "crl.pem"
    revoked(authority)
    older = authority.revocation_list_pem()
    serial = revoked(authority)
    put(path, authority.revocation_list_pem())
    found = RevocationFile(path, authority.certificate)
    assert serial in found
    foreign = Authority.in_memory("Sunny Lane")
    for _ in range(5):
        revoked(foreign)
    for worse in (older, foreign.revocation_list_pem(), b"garbage"):
        put(path, worse)
        assert not found.changed()
        assert serial in found
    path.unlink()
    assert not found.changed()
    assert serial in found


def test_a_refused_list_is_told_once(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "crl.pem"
    found = RevocationFile(path, authority.certificate)
    put(path, b"garbage")
    assert not found.changed()
    assert not found.changed()
    assert [record.message for record in caplog.records] == ["revocation list refused"]


def test_a_node_does_not_start_on_a_list_that_it_can_not_read(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "crl.pem"
    put(path, Authority.in_memory("Next Lane").revocation_list_pem())
    with pytest.raises(CertificateRefused) as caught:
        RevocationFile(path, authority.certificate)
    assert caught.value.code is RefusalCode.WRONG_ISSUER
    path.unlink()
    path.mkdir()
    with pytest.raises(KeyFileError, match="can't be read"):
        RevocationFile(path, authority.certificate)
