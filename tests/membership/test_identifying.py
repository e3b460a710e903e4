"""Whom a link's certificate names, and who is a stranger although the certificate is good."""

from __future__ import annotations

from p2penergy.membership.authority import Authority
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
    identify.require(lambda shown: registered.get(shown.participant_id) == shown.public_key)
    assert identify(device.der) == device.participant_id
    registered[device.participant_id] = DeviceKey.generate().public_key_compressed()
    assert identify(device.der) is None
    registered[device.participant_id] = key.public_key_compressed()
    revoked.add(device.serial)
    assert identify(device.der) is None
