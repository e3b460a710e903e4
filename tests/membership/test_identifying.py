"""Whom a link's certificate names, and who is a stranger although the certificate is good."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import pytest

from p2penergy.membership import identifying
from p2penergy.membership.authority import Authority
from p2penergy.membership.certificates import VerifiedDevice
from p2penergy.membership.identifying import identifier
from p2penergy.membership.keys import DeviceKey

AUTHORITY = Authority.in_memory("Sunny Lane")


def test_a_good_certificate_names_its_participant() -> None:
    device = AUTHORITY.issue_device(DeviceKey.generate().public_key())
    other = Authority.in_memory("Sunny Lane").issue_device(DeviceKey.generate().public_key())
    identify = identifier(AUTHORITY.certificate_pem)
    assert identify(device.der) == device.participant_id
    assert identify(other.der) is None


def test_revocations_and_the_registry_are_asked_each_time() -> None:
    key = DeviceKey.generate()
    device = AUTHORITY.issue_device(key.public_key())
    revoked: set[int] = set()
    identify = identifier(AUTHORITY.certificate_pem, revoked)
    registered = {device.participant_id: key.public_key_compressed()}

    def name_of(shown: VerifiedDevice) -> bytes | None:
        return shown.participant_id if registered.get(shown.participant_id) == shown.public_key else None

    identify.name_by(name_of)
    assert identify(device.der) == device.participant_id
    registered[device.participant_id] = DeviceKey.generate().public_key_compressed()
    assert identify(device.der) is None
    registered[device.participant_id] = key.public_key_compressed()
    revoked.add(device.serial)
    assert identify(device.der) is None


def test_a_remembered_certificate_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    device = AUTHORITY.issue_device(DeviceKey.generate().public_key(), days=2)
    identify = identifier(AUTHORITY.certificate_pem)
    assert identify(device.der) == device.participant_id

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=3)

    monkeypatch.setattr(identifying, "datetime", Later)
    assert identify(device.der) is None
    assert identifier(AUTHORITY.certificate_pem)(device.der) is None


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifying, "CERTIFICATES_REMEMBERED_MAX", 2)
    identify = identifier(AUTHORITY.certificate_pem)
    for _ in range(4):
        device = AUTHORITY.issue_device(DeviceKey.generate().public_key())
        assert identify(device.der) == device.participant_id
    assert len(identify._seen) == 2
