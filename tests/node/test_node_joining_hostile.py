"""One hostile member among four, as a node and as a verifier: newcomers join all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from newcomer_village import Newcomer, a_newcomer, apply
from node_network import Village, a_plan, eventually, found_village, short_chains

from p2penergy import home as homes
from p2penergy.coordinator import wall_clock_ms
from p2penergy.ledger import decode_receipt, sign_volunteer
from p2penergy.ledger.memberships import JoinRequest, VerdictCode, sign_join, sign_verdict
from p2penergy.membership.identifying import identifier
from p2penergy.membership.keys import DeviceKey, public_key_from
from p2penergy.membership.sealed_identity import Binding, seal_to_all
from p2penergy.messages import (
    PROTOCOL,
    Answer,
    CommitteesRequest,
    CommitteesResponse,
    HeadersRequest,
    HeadersResponse,
    Query,
    Refused,
    Request,
    SealedRequest,
    Stage,
    decode_message,
    encode,
)
from p2penergy.newcomers import joining
from p2penergy.questions import JOIN, TIP
from p2penergy.signing import EcdsaSigner
from transport import TcpMesh

HOSTILE = "H004"


class HostileNode:
    """It has a validator's certificate and address, and answers as it likes."""

    def __init__(self, village: Village, manner: str) -> None:
        community = village.community
        self.who = community.meters[HOSTILE].participant_id
        self.manner = manner
        self.asked = 0
        self.applications: list[SealedRequest] = []
        self.mesh = TcpMesh(
            name=self.who,
            listen=community.addresses[self.who],
            tls=community.tls(HOSTILE),
            identify=identifier(community.authority_pem),
            network=community.genesis.chain_id,
            protocol=PROTOCOL,
        )

    def on_peer_up(self, peer: bytes) -> None:
        """Of no interest."""

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        """Of no interest."""

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        message = decode_message(payload)
        if isinstance(message, SealedRequest) and not message.relayed:
            self.applications.append(message)
        if isinstance(message, Query | HeadersRequest | CommitteesRequest | SealedRequest):
            self.asked += 1
            answer = None if self.manner == "mute" else self.lie(message)
            if answer is not None:
                self.mesh.send(peer, encode(answer))

    def lie(self, message: Any) -> Any:
        if isinstance(message, Query) and message.topic == TIP:
            return Answer(message.number, True, b"999999999")
        if isinstance(message, Query) and message.topic == JOIN:
            return Answer(message.number, True, b'{"refusing": 7, "x": ' + b"[" * 50_000)
        if isinstance(message, Query):
            return Answer(message.number, True, b"\x1b[2Jlies")
        if isinstance(message, HeadersRequest):
            return None if self.manner == "stuck" else HeadersResponse(())
        if isinstance(message, CommitteesRequest):
            return CommitteesResponse(())
        request = msgspec.msgpack.Decoder(JoinRequest).decode(message.request)
        return Refused(request.sealed_digest, "committee_moved", "seal to me alone")


@pytest.mark.parametrize("manner", ["mute", "stuck", "lying"])
async def test_one_hostile_node_keeps_nobody_out(village: Village, manner: str) -> None:
    hostile = HostileNode(village, manner)
    await hostile.mesh.start(hostile)
    try:
        await village.start("H001", "H002", "H003")
        await village.grown(1)
        who = a_newcomer(village.authority)
        receipt, _ = await apply(village, who)
        assert receipt.accepted
        assert hostile.asked >= 1
        # It was handed what all verifiers are handed, and can open none of it but a seal for itself.
        assert all(len(each.seals) == 4 for each in hostile.applications)
    finally:
        await hostile.mesh.stop()


async def test_nothing_is_sealed_while_only_old_blocks_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that shows a newcomer nothing but the past is like one without the others."""
    short_chains(monkeypatch)
    long_ago_ms = wall_clock_ms() - 2 * joining.STALE_MS_MIN
    village = found_village(a_plan(t0_ms=long_ago_ms), tmp_path)
    try:
        await village.start("H001")
        who = a_newcomer(village.authority)
        applying = asyncio.ensure_future(apply(village, who, nodes=1))
        await eventually(lambda: who.told, "the newcomer is told something")
        assert who.told == [("stale", {"height": 0, "minutes": 20})]
        assert village.nodes["H001"].node.ledger.pool.memberships.requests() == []
        await village.start("H002", "H003", "H004")
        receipt, _ = await applying
        assert receipt.accepted
        assert [step for step, _ in who.told[:3]] == ["stale", "followed", "sealed"]
        assert who.told[1][1]["height"] >= 1
    finally:
        await village.end()


async def test_a_verifier_that_contradicts_itself_decides_nothing(village: Village) -> None:
    """Verdicts of one verifier with every code, before anybody else's: an honest newcomer joins."""
    await village.start("H001", "H002", "H003")
    mesh, _, _ = await village.dial_as(HOSTILE, "H001")
    meter = village.community.meters[HOSTILE]
    signer = homes.load_device(village.community.homes[HOSTILE]).signer
    assert signer.participant_id == meter.participant_id
    chain_id = village.community.genesis.chain_id
    founder = village.nodes["H001"].node
    target = founder.home.signer.participant_id

    async def contradict() -> None:
        told: set[bytes] = set()
        while True:
            for digest, request in founder.ledger.pool.memberships.requests():
                if digest not in told:
                    told.add(digest)
                    verdicts = [sign_verdict(signer, chain_id, request, code) for code in VerdictCode]
                    mesh.send(target, encode(Request(tuple(map(encode, reversed(verdicts))), True)))
            await asyncio.sleep(0.002)

    contradicting = asyncio.ensure_future(contradict())
    try:
        receipt, _ = await apply(village, a_newcomer(village.authority), nodes=3)
        assert receipt.accepted
    finally:
        contradicting.cancel()


async def test_requests_forged_in_a_newcomer_s_name_keep_it_waiting_no_longer(village: Village) -> None:
    """A member knows who is about to join, and has requests in that name refused, as fast as it may."""
    await village.start()
    who = a_newcomer(village.authority)
    await village.grown(1)
    flooding = asyncio.ensure_future(flood(village, who))
    try:
        await eventually(
            lambda: all(len(each.node.ledger.pool.memberships) > 3 for each in village.nodes.values()),
            "forged requests wait everywhere",
        )
        receipt, height = await apply(village, who)
        assert receipt.accepted
        assert height <= max(village.heights())
    finally:
        flooding.cancel()


async def flood(village: Village, victim: Newcomer) -> None:
    """Requests in the victim's name, each with a key of its own and seals that open to something forged."""
    meshes = {}
    for name in village.nodes:
        mesh, _, peer = await village.dial_as("H006", name)
        meshes[peer] = mesh
    committee = village.nodes["H001"].node.ledger.verification_committee()
    keys = {who: public_key_from(key) for who, key in committee.keys.items()}
    chain_id = village.community.genesis.chain_id
    for number in range(10_000):
        key = DeviceKey.generate()
        binding = Binding(
            chain_id, committee.root, victim.participant_id, key.public_key_compressed(), b"%032d" % number
        )
        sealed = seal_to_all(victim.device.der, b"forged", binding, keys)
        request = sign_join(
            EcdsaSigner(victim.participant_id, key.private_key),
            chain_id,
            public_key=binding.public_key,
            meter_pseudonym=binding.meter_pseudonym,
            rated_w=1,
            cluster=0,
            sealed_digest=sealed.digest,
            committee_root=committee.root,
            nonce=number,
            expires_period=village.nodes["H001"].node.ledger.period + 10,
        )
        for peer, mesh in meshes.items():
            own = tuple(seal for seal in sealed.seals if seal.verifier == peer)
            mesh.send(peer, encode(Request((encode(request),), True)))
            mesh.send(peer, encode(SealedRequest(encode(request), True, len(sealed.seals), own)))
        await asyncio.sleep(0.05)


async def test_a_member_that_changes_its_mind_in_every_block_moves_the_verifiers_and_stops_nobody(
    village: Village,
) -> None:
    """Each time others verify; the newcomer seals again, and comes to its turn."""
    await village.start()
    await village.connect()
    toggling = asyncio.ensure_future(change_mind(village, HOSTILE))
    try:
        heights, founders = village.nodes["H001"].node.ledger, village.nodes["H001"].node.replica
        roots = set()

        def moved() -> bool:
            roots.add(founders.named(Stage.VERIFICATION)[0].root)
            return len(roots) > 1 and heights.last_verification(heights.height) >= 6

        await eventually(lambda: toggling.done() or moved(), "verifiers have changed")
        assert not toggling.done(), toggling.exception()
        receipt, _ = await apply(village, a_newcomer(village.authority))
        assert receipt.accepted
        assert not toggling.done()
    finally:
        toggling.cancel()
        await asyncio.gather(toggling, return_exceptions=True)


async def change_mind(village: Village, name: str) -> None:
    """Offer to verify, take it back, and again, as fast as blocks are made."""
    household = village.household(int(name[1:]))
    signer = village.community.meters[name].signer
    chain_id, ledger = village.community.genesis.chain_id, village.nodes["H001"].node.ledger
    for number in range(1_000):
        offer = sign_volunteer(
            signer,
            chain_id,
            validator=True,
            verifier=number % 2 == 1,
            beacon_tip=None,
            nonce=number,
            expires_period=ledger.period + 10,
        )
        raw = encode(offer)
        (result,) = await household.client.results([(ledger.transaction_id(raw) or b"", raw)])
        receipt = decode_receipt(result.receipt)
        assert receipt.accepted, receipt
