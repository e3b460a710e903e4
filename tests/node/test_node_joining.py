"""Newcomers over real TCP: they join, are refused with a reason, and are members everywhere at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from newcomer_village import PERSON, SERIAL, Newcomer, a_newcomer, apply, client_of, files_of
from node_network import PATIENCE_S, Village, eventually

from p2penergy.home import REVOCATIONS_FILE, SEALED_FOLDER
from p2penergy.ledger import Decline, sentence, sign_leave, transaction_id
from p2penergy.ledger.memberships import VerdictCode
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.sealed_identity import Binding, SealedIdentity, seal_to_all
from p2penergy.messages import Request, Status, encode
from p2penergy.newcomers import joining
from p2penergy.node import Node


def nodes_of(village: Village) -> list[Node]:
    return [running.node for running in village.nodes.values()]


def key_at(node: Node, who: Newcomer) -> bytes | None:
    return node.ledger.member_key(who.participant_id, node.ledger.height)


async def is_member_everywhere(village: Village, who: Newcomer) -> None:
    key = who.key.public_key_compressed()
    await eventually(lambda: all(key_at(node, who) == key for node in nodes_of(village)))


async def test_three_newcomers_join_one_after_the_other(village: Village) -> None:
    await village.start()
    for number in range(3):
        who = a_newcomer(village.authority, f"METER-{number}")
        receipt, _ = await apply(village, who)
        assert receipt.accepted, sentence(receipt)
        assert receipt.participant == who.participant_id
        await is_member_everywhere(village, who)
        assert who.told[:2][1] == ("sealed", {"verifiers": 4, "quorum": 3})
    # No restart was needed: the last of them asks as a member.
    client, mesh = client_of(village, who)
    await client.start(village.community.addresses)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.connected(4)
            peer = sorted(mesh.connected())[0]
            assert (await client.query_json(peer, "status"))["height"] > 0
    finally:
        await client.stop()
    sealed = [len(files_of(home / SEALED_FOLDER)) for home in village.community.homes.values()]
    assert min(sealed) >= 0
    assert sum(sealed) >= 9


async def test_one_node_is_enough_to_apply_to(village: Village) -> None:
    await village.start()
    receipt, _ = await apply(village, a_newcomer(village.authority), nodes=1)
    assert receipt.accepted


def forged(authority: Authority, genuine: Newcomer) -> Newcomer:
    """Its identity is signed by somebody who calls himself the authority."""
    forger = Authority.in_memory("Elm Street")
    device = forger.issue_device(genuine.key.public_key())
    return Newcomer(genuine.key, genuine.device, forger.issue_identity(PERSON, device.der, SERIAL))


async def test_bad_newcomers_are_refused_with_the_reason_in_words(village: Village) -> None:
    await village.start()
    authority = village.authority
    honest = a_newcomer(authority)
    longer_ago = datetime.now(UTC) - timedelta(days=400)
    old = a_newcomer(authority, "OLD-1")
    expired_key = DeviceKey.generate()
    device = authority.issue_device(expired_key.public_key(), at=longer_ago, days=3000)
    expired = Newcomer(
        expired_key,
        device,
        authority.issue_identity(PERSON, device.der, "OLD-2", at=longer_ago, days=30),
    )
    other = a_newcomer(authority, "OTHER-1")
    mixed = Newcomer(other.key, other.device, old.identity)
    for who, code in (
        (expired, VerdictCode.EXPIRED),
        (forged(authority, honest), VerdictCode.WRONG_ISSUER),
        (mixed, VerdictCode.MISMATCH),
    ):
        receipt, _ = await apply(village, who)
        assert (receipt.code, receipt.found) == (Decline.VERIFIERS_REFUSED, code), sentence(receipt)
        assert all(key_at(node, who) is None for node in nodes_of(village))
    # Refusals cost the honest nothing: the same device, with its own identity, joins.
    receipt, _ = await apply(village, honest)
    assert receipt.accepted
    # The same meter with another device does not.
    twice = a_newcomer(authority, SERIAL.lower())
    receipt, _ = await apply(village, twice)
    assert receipt.code is Decline.METER_JOINED
    assert "this meter joined" in sentence(receipt)


async def test_who_is_on_the_revocation_list_gets_no_link_and_no_verdict(village: Village) -> None:
    revoked = a_newcomer(village.authority, "REVOKED-1")
    village.authority.revoke(revoked.identity.serial)
    for home in village.community.homes.values():
        (home / REVOCATIONS_FILE).write_bytes(village.authority.revocation_list_pem())
    await village.start()
    receipt, _ = await apply(village, revoked)
    assert (receipt.code, receipt.found) == (Decline.VERIFIERS_REFUSED, VerdictCode.REVOKED)
    # Its device certificate too, while the nodes run: they end its link by themselves.
    client, mesh = client_of(village, revoked)
    await client.start(village.community.addresses)
    try:
        await eventually(lambda: len(mesh.connected()) == 4)
        village.authority.revoke(revoked.device.serial)
        for home in village.community.homes.values():
            draft = home / "draft"
            draft.write_bytes(village.authority.revocation_list_pem())
            draft.replace(home / REVOCATIONS_FILE)
        await eventually(lambda: not mesh.connected())
        counters = [running.mesh.counters() for running in village.nodes.values()]
        assert all(each.get("refused_no_longer_known", 0) >= 1 for each in counters)
    finally:
        await client.stop()


async def test_leaving_and_joining_again(village: Village) -> None:
    await village.start()
    who = a_newcomer(village.authority)
    assert (await apply(village, who))[0].accepted
    await is_member_everywhere(village, who)
    client, _ = client_of(village, who)
    genesis = village.community.genesis
    await client.start(village.community.addresses)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.connected(4)
            period = nodes_of(village)[0].replica._work.chain.tip.header.period  # type: ignore[union-attr]
            leave = sign_leave(who.signer, genesis.chain_id, 1, period + 10)
            (result,) = await client.results([(transaction_id(leave, genesis.chain_id), encode(leave))])
            assert result.receipt
            await eventually(lambda: all(key_at(node, who) is None for node in nodes_of(village)))
            # From then on it is a guest again.
            peer = sorted(village.community.addresses)[0]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.query(peer, "status")
    finally:
        await client.stop()
    assert (await apply(village, who))[0].accepted


async def test_a_seal_that_nobody_can_open_is_refused(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    await village.start()

    def to_others(device: bytes, identity: bytes, binding: Binding, keys: dict[bytes, Any]) -> SealedIdentity:
        strange = {who: DeviceKey.generate().public_key() for who in keys}
        return seal_to_all(device, identity, binding, strange)

    with monkeypatch.context() as patch:
        patch.setattr(joining, "seal_to_all", to_others)
        receipt, _ = await apply(village, a_newcomer(village.authority))
    assert (receipt.code, receipt.found) == (Decline.VERIFIERS_REFUSED, VerdictCode.SEAL_UNOPENED)
    assert "could not open its seal" in sentence(receipt)


async def test_a_device_that_is_no_member_can_do_nothing_else(village: Village) -> None:
    await village.start()
    who = a_newcomer(village.authority)
    client, mesh = client_of(village, who)
    await client.start(village.community.addresses)
    genesis = village.community.genesis
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.connected(4)
            peer = sorted(mesh.connected())[0]
            node = village.nodes[village.community.name_of(peer)].node
            leave = sign_leave(who.signer, genesis.chain_id, 1, 1_600_010)
            for message in (Status(5, 5), Request((encode(leave),), False), Request((encode(leave),), True)):
                before = node.refusals()["not_a_member"]
                mesh.send(peer, encode(message))
                await eventually(lambda n=before: node.refusals()["not_a_member"] == n + 1)
            await client.follow()
            assert client.light.verifiers() is not None
    finally:
        await client.stop()
