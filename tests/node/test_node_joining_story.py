"""One community's story over real TCP: who joins, who is refused and why, who serves, who is revoked.

At its end no byte of anybody's name, address, contact or meter serial is in any file, log line, metric or
answer of any node, but for the verifiers' sealed store and the newcomer's own folder.
"""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from newcomer_village import Newcomer, a_newcomer, apply, client_of, files_of
from node_network import PATIENCE_S, Running, Village, eventually
from test_node_joining_commands import People, young_village
from test_node_joining_privacy import Wire, contents, traces_of

from p2penergy import home as homes
from p2penergy.home import IDENTITY_FILE, LEDGER_FILE, REVOCATIONS_FILE, SEALED_FOLDER
from p2penergy.ledger import Decline, sign_leave
from p2penergy.ledger.memberships import VerdictCode
from p2penergy.logs import HumanFormatter, JsonFormatter
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person
from p2penergy.membership.sealed_identity import Binding, SealedIdentity, seal_to_all
from p2penergy.messages import Request, Stage, encode
from p2penergy.newcomers import joining
from p2penergy.operations.gateway import Gateway
from p2penergy.questions import HISTORY, JOIN, PROOF, HistoryQuestion

HTTP_PATHS = ("/health", "/ready", "/status", "/metrics", "/state", "/members")
NAMES = ("Amalthea Zwetschgenbaum", "Balduin Querfurt", "Crispina Yggdrasill", "Dorothea Xylander")


def person_of(name: str) -> Person:
    first, last = name.split()
    return Person(name, f"{last}gasse 77", f"{first.lower()}@{last.lower()}.example")


def serial_of(name: str) -> str:
    return f"1ESY{name.split()[1].upper()}"


@pytest.fixture
async def village(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Village]:
    """Four validators, an authority old enough to have issued what has expired, members of age soon."""
    made = young_village(tmp_path, monkeypatch, at=datetime.now(UTC) - timedelta(days=500))
    try:
        yield made
    finally:
        await made.end()


class Story:
    """The village, its gateways, and all that anybody is told."""

    def __init__(self, village: Village, folder: Path) -> None:
        self.village = village
        self.people = People(village, folder)
        self.folder = folder
        self.gateways: dict[str, Gateway] = {}
        self.identities: dict[str, bytes] = {}
        """Name of a person -> the identity certificate that the authority issued."""
        self.requests: list[bytes] = []

    @property
    def nodes(self) -> list[Running]:
        return list(self.village.nodes.values())

    async def open_gateways(self) -> None:
        for name, running in self.village.nodes.items():
            if name not in self.gateways:
                self.gateways[name] = gateway = Gateway(running.node)
                await gateway.listener.start("127.0.0.1", 0)

    async def close(self) -> None:
        for gateway in self.gateways.values():
            await gateway.listener.stop()

    # ---- people ---------------------------------------------------------------------------------

    async def joins(self, name: str) -> Path:
        """A person joins by commands alone; the folder of its node."""
        home = self.folder / name.split(maxsplit=1)[0]
        issued = await self.people.certified(home, serial=serial_of(name), person=person_of(name))
        self.identities[name] = (issued / "identity.pem").read_bytes()
        joined = await self.people.run(
            "join", "--home", home, "--identity", issued / "identity.pem", "--json"
        )
        figures = json.loads(joined.stdout)
        assert figures["accepted"]
        assert "have to accept" in joined.stderr
        self.requests.append(bytes.fromhex(figures["request_id"]))
        who = homes.load_device(home)
        key = who.key.public_key_compressed()
        await eventually(
            lambda: all(
                each.node.ledger.member_key(who.signer.participant_id, each.node.ledger.height) == key
                for each in self.nodes
            ),
            "a member everywhere, without anybody's restart",
        )
        return home

    async def refused(self, who: Newcomer, name: str) -> tuple[Decline, int]:
        """What becomes of somebody whose own program does not look at its certificates first."""
        self.identities[name] = who.identity.pem
        receipt, _ = await apply(self.village, who)
        assert not receipt.accepted
        self.requests.append(receipt.transaction_id)
        assert all(
            each.node.ledger.member_key(who.participant_id, each.node.ledger.height) is None
            for each in self.nodes
        )
        return receipt.code, receipt.found

    # ---- what anybody can see -------------------------------------------------------------------

    async def answers(self, asker: Path) -> dict[str, bytes]:
        """What nodes answer to a member over their links, and to whoever reaches their gateway."""
        device = homes.load_device(asker)
        told: dict[str, bytes] = {}
        who = Newcomer(device.key, *self._certificates(asker))
        client, mesh = client_of(self.village, who)
        await client.start(self.village.community.addresses)
        members = [key for key, _ in self.nodes[0].store.entries(b"member/", 100)]
        assert len(members) >= 6
        try:
            async with asyncio.timeout(PATIENCE_S):
                await client.connected(len(self.village.community.addresses))
                for number, peer in enumerate(sorted(mesh.connected())):
                    asked = [(topic, request) for topic in (JOIN, PROOF) for request in self.requests]
                    height = int(await client.query(peer, "tip"))
                    asked.append((HISTORY, encode(HistoryQuestion(height, 5, tuple(members)))))
                    asked.append(("status", b""))
                    asked += [("state", b"member/" + key[7:].hex().encode()) for key in members]
                    for topic, argument in asked:
                        told[f"{number} {topic} {argument.hex()}"] = await client.query(peer, topic, argument)
        finally:
            await client.stop()
        for name, gateway in self.gateways.items():
            for path in HTTP_PATHS:
                told[f"{name} {path}"] = await asyncio.to_thread(fetch, *gateway.listener.address, path)
        assert any(b"p2penergy_height_blocks" in text for text in told.values())
        return told

    @staticmethod
    def _certificates(home: Path) -> tuple[Any, Any]:
        """What its links need of its certificates."""
        device = homes.load_device(home)
        pem = (home / homes.CERTIFICATE_FILE).read_bytes()
        own = SimpleNamespace(pem=pem, participant_id=device.signer.participant_id)
        return own, own

    def files(self) -> dict[str, bytes]:
        """All that lies in the nodes' folders, ledgers cell by cell."""
        kept = dict(self.village.community.homes)
        kept |= {name: each.home.path for name, each in self.village.nodes.items()}
        return {
            f"{name}/{path.relative_to(home)}": b"\n".join(contents(path))
            for name, home in kept.items()
            for path in files_of(home)
        }


def fetch(host: str, port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=PATIENCE_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


@pytest.mark.timeout(300)
async def test_a_community_s_newcomers_from_first_to_last(
    village: Village, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    await village.start()
    wire = Wire(village)
    story = Story(village, tmp_path)
    await story.open_gateways()
    try:
        first, second, third = [await story.joins(name) for name in NAMES[:3]]
        await bad_newcomers_are_refused(story, monkeypatch)
        await a_joined_member_votes(story, first)
        await a_revoked_one_is_heard_no_more(story, second, third)
        await nobody_s_data_is_anywhere(story, third, wire, caplog)
    finally:
        await story.close()


async def bad_newcomers_are_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = story.village.authority

    def newcomer(name: str, serial: str = "") -> Newcomer:
        return a_newcomer(authority, serial or serial_of(name), person_of(name))

    longer_ago = datetime.now(UTC) - timedelta(days=400)
    key = DeviceKey.generate()
    device = authority.issue_device(key.public_key(), at=longer_ago, days=3000)
    name = "Eusebia Expirowska"
    identity = authority.issue_identity(person_of(name), device.der, serial_of(name), at=longer_ago, days=30)
    expired = await story.refused(Newcomer(key, device, identity), name)
    assert expired == (Decline.VERIFIERS_REFUSED, VerdictCode.EXPIRED)

    revoked = newcomer("Rosamunde Revocata")
    authority.revoke(revoked.identity.serial)
    give_everybody(story, authority)
    number = revoked.identity.serial
    await eventually(lambda: all(number in each.home.revocations for each in story.nodes), "the list is read")
    found = await story.refused(revoked, "Rosamunde Revocata")
    assert found == (Decline.VERIFIERS_REFUSED, VerdictCode.REVOKED)

    twice = newcomer("Tertullian Twicemeter", serial_of(NAMES[0]).lower())
    assert (await story.refused(twice, "Tertullian Twicemeter"))[0] is Decline.METER_JOINED

    forger = Authority.in_memory("Elm Street")
    honest = newcomer("Ferdinande Forgemann")
    same_device = forger.issue_device(honest.key.public_key())
    identity = forger.issue_identity(person_of(NAMES[3]), same_device.der, serial_of(NAMES[3]))
    found = await story.refused(Newcomer(honest.key, honest.device, identity), NAMES[3])
    assert found == (Decline.VERIFIERS_REFUSED, VerdictCode.WRONG_ISSUER)

    def to_others(device: bytes, identity: bytes, binding: Binding, keys: dict[bytes, Any]) -> SealedIdentity:
        strange = {who: DeviceKey.generate().public_key() for who in keys}
        return seal_to_all(device, identity, binding, strange)

    with monkeypatch.context() as patch:
        patch.setattr(joining, "seal_to_all", to_others)
        found = await story.refused(newcomer("Sieglinde Sealbroken"), "Sieglinde Sealbroken")
    assert found == (Decline.VERIFIERS_REFUSED, VerdictCode.SEAL_UNOPENED)


def give_everybody(story: Story, authority: Authority) -> None:
    """The authority's revocation list, into every node's folder."""
    for home in story.village.community.homes.values():
        draft = home / "draft"
        draft.write_bytes(authority.revocation_list_pem())
        draft.replace(home / REVOCATIONS_FILE)


async def a_joined_member_votes(story: Story, home: Path) -> None:
    """Once it is of age and above the bar, in the committee that all know, and as a leader."""
    village = story.village
    await story.people.run("volunteer", "--home", home, "--validator", "--verifier")
    newcomer = village.nodes["new"] = Running("new", homes.load(home))
    who, founder = newcomer.participant_id, village.nodes["H001"].node
    await eventually(
        lambda: all(who in each.node.replica.named(Stage.VALIDATION)[0].members for each in story.nodes),
        "in the committee of every node",
    )
    leads = founder.coordinator.leaders.blocks_by_leader
    await eventually(lambda: leads.get(who, 0) >= 1, "a block of the newcomer's")
    assert newcomer.node.replica.counters["signed_commit"] >= 1
    await story.open_gateways()


async def a_revoked_one_is_heard_no_more(story: Story, home: Path, other: Path) -> None:
    """Its links end, it gets no new one, and what it signed is refused whoever brings it."""
    village, people = story.village, story.people
    device = homes.load_device(home)
    who = device.signer.participant_id
    leave = encode(sign_leave(device.signer, village.community.genesis.chain_id, 1, 1_600_010))
    client, mesh = client_of(village, Newcomer(device.key, *story._certificates(home)))
    await client.start(village.community.addresses)
    try:
        await eventually(lambda: len(mesh.connected()) == 4)
        peer = sorted(mesh.connected())[0]
        assert (await client.query_json(peer, "status"))["height"] > 0
        listed = json.loads((await people.run("ca", "list", story.folder / "ca", "--json")).stdout)
        (serial,) = [
            each["serial"]
            for each in listed
            if (each["participant_id"], each["kind"]) == (who.hex(), "device")
        ]
        await people.run("ca", "revoke", story.folder / "ca", serial, "--home", other)
        await eventually(lambda: not mesh.connected(), "its links end")
    finally:
        await client.stop()
    assert all(each.node.ledger.member_key(who, each.node.ledger.height) is None for each in story.nodes)
    refused = await people.run("wallet", "--home", home, "--wait-s", "2", code=2)
    assert "did not answer" in refused.output
    bearer = homes.load_device(other)
    client, mesh = client_of(village, Newcomer(bearer.key, *story._certificates(other)))
    await client.start(village.community.addresses)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.connected(4)
            (result,) = client.submit([(b"x" * 32, leave)])
            for each in sorted(mesh.connected()):
                mesh.send(each, encode(Request((leave,), False)))
            key = village.community.name_of(sorted(mesh.connected())[0])
            node = village.nodes[key].node
            await eventually(lambda: node.refusals()["unknown_submitter"] >= 1, "refused as nobody's")
            result.cancel()
    finally:
        await client.stop()
    await village.grown(2)


async def nobody_s_data_is_anywhere(
    story: Story, asker: Path, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    seen = {"wire": b"\n".join(wire.sent)} | await story.answers(asker)
    for formatter in (HumanFormatter(), JsonFormatter()):
        lines = (formatter.format(record) for record in caplog.records)
        seen[f"log by {type(formatter).__name__}"] = "\n".join(lines).encode()
    files = story.files()
    own = {name: data for name, data in files.items() if Path(name).name == IDENTITY_FILE}
    sealed = {name: data for name, data in files.items() if Path(name).parent.name == SEALED_FOLDER}
    seen |= {name: data for name, data in files.items() if name not in own | sealed}
    assert len(story.identities) == 8
    assert sum(name.endswith(LEDGER_FILE) for name in seen) == 5
    assert b"newcomer examined" in seen["log by HumanFormatter"]
    assert len(sealed) >= 3 * 7
    for name, identity in story.identities.items():
        serial = serial_of(NAMES[0]).lower() if name == "Tertullian Twicemeter" else serial_of(name)
        traces = traces_of(identity, person_of(name), serial)
        for where, data in seen.items():
            for trace in traces:
                assert trace not in data, (where, trace)
        # The same look finds what is there: in the newcomer's own folder.
        found = [where for where, data in own.items() if any(trace in data for trace in traces)]
        assert found == (["new/identity.cert.pem"] if name == NAMES[0] else [])
        assert not any(traces[0] in data for data in sealed.values())
