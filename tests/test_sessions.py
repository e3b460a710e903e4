"""Whose links a node keeps when keys are renewed and revocation lists change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_network import FakeMesh

from p2penergy import sessions as module
from p2penergy.membership.authority import Authority
from p2penergy.membership.certificates import VerifiedDevice
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.revocations import RevocationFile
from p2penergy.peers import guest_of, is_guest, participant_of
from p2penergy.sessions import Sessions

WHO, KEY, OTHER = b"w" * 20, b"\2" * 33, b"\3" * 33


def shown(key: bytes) -> VerifiedDevice:
    return VerifiedDevice(WHO, key, 7, datetime.now(UTC))


async def test_a_member_is_known_by_the_registered_key_alone(tmp_path: Path) -> None:
    registered: dict[bytes, bytes] = {}
    authority = Authority.in_memory("Sunny Lane")
    revocations = RevocationFile(tmp_path / "crl.pem", authority.certificate)
    barred: set[tuple[bytes, bytes]] = set()
    sessions = Sessions(FakeMesh(), revocations, registered.get, lambda who, key: (who, key) in barred)
    assert sessions.name_of(shown(KEY)) == WHO
    registered[WHO] = OTHER
    guest = sessions.name_of(shown(KEY))
    assert guest == guest_of(WHO)
    assert is_guest(guest)
    assert participant_of(guest) == WHO
    assert not is_guest(WHO)
    assert sessions.name_of(shown(OTHER)) == WHO
    barred.add((WHO, OTHER))
    assert sessions.name_of(shown(OTHER)) is None
    assert sessions.name_of(shown(KEY)) == guest


async def test_a_new_revocation_list_and_time_have_links_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.001)
    authority, path = Authority.in_memory("Sunny Lane"), tmp_path / "crl.pem"
    mesh, revocations = FakeMesh(), RevocationFile(tmp_path / "crl.pem", authority.certificate)
    sessions = Sessions(mesh, revocations, {}.get, lambda _who, _key: False)
    sessions.start()
    try:
        authority.revoke(authority.issue_device(DeviceKey.generate().public_key()).serial)
        path.write_bytes(authority.revocation_list_pem())
        async with asyncio.timeout(30):
            while not mesh.rechecks:  # noqa: ASYNC110 - a counter of a fake
                await asyncio.sleep(0.001)
        assert mesh.rechecks == len(revocations) == 1
        monkeypatch.setattr(module, "RECHECK_S", 0)
        async with asyncio.timeout(30):
            while mesh.rechecks < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
    finally:
        sessions.stop()
