"""The way in and out by commands: init, ca issue, join, volunteer, renew, leave, ca revoke."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from newcomer_village import PERSON, SERIAL
from node_network import LINKS, Running, Village, a_plan, eventually, found_village, short_chains

from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.cli import main
from p2penergy.cli import membership as membership_command
from p2penergy.founding import address_text
from p2penergy.genesis import render
from p2penergy.membership.authority import Authority
from p2penergy.membership.profile import Person
from p2penergy.messages import Stage
from p2penergy.operations import initial
from p2penergy.score_rules import ScoreRules

AGE_BLOCKS = 3


def young_village(folder: Path, monkeypatch: pytest.MonkeyPatch, at: datetime | None = None) -> Village:
    """Newcomers may be drawn soon: a small network's genesis, and its authority, of `at`, in a folder."""
    short_chains(monkeypatch)
    for module in (initial, membership_command):
        monkeypatch.setattr(module, "HashChain", lambda secret: HashChain(secret, LINKS))
    plan = a_plan(volunteer_age_blocks=AGE_BLOCKS)
    market = msgspec.structs.replace(plan.market, scores=ScoreRules(committee_bar_ppm=300_000))
    authority = Authority.create(folder / "ca", plan.community, at=at)
    made = found_village(replace(plan, market=market), folder / "net", authority)
    (folder / "genesis.json").write_bytes(render(made.community.genesis))
    return made


@pytest.fixture
async def village(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Village]:
    made = young_village(tmp_path, monkeypatch)
    try:
        yield made
    finally:
        await made.end()


class People:
    """Somebody with a terminal, and somebody with the authority."""

    def __init__(self, village: Village, folder: Path) -> None:
        self.village = village
        self.folder = folder
        self.home = folder / "home"

    async def run(self, *arguments: str | Path, code: int = 0) -> Result:
        """A command in a thread of its own, as the nodes run on this one."""
        given = [str(argument) for argument in arguments]
        result = await asyncio.to_thread(CliRunner().invoke, main, given)
        assert result.exit_code == code, (given, result.output, result.exception)
        return result

    @property
    def nodes(self) -> list[str]:
        return [
            text
            for address in self.village.community.addresses.values()
            for text in ("--node", address_text(*address))
        ]

    async def certified(
        self, home: Path, *, serial: str = SERIAL, listen: str = "127.0.0.1:0", person: Person = PERSON
    ) -> Path:
        """A folder made and certified by commands; the folder that the authority issued into."""
        issued = self.folder / f"issued-{home.name}"
        peers = [
            text
            for who, address in self.village.community.addresses.items()
            for text in ("--peer", f"{who.hex()}={address_text(*address)}")
        ]
        await self.run("init", "--home", home, "--role", "validator", "--listen", listen, *peers)
        named = ("--person", person.name, "--address", person.address, "--contact", person.contact)
        public = home / homes.PUBLIC_KEY_FILE
        await self.run(
            "ca", "issue", self.folder / "ca", "--public-key", public, "--out", issued, *named,
            "--meter-serial", serial,
        )  # fmt: skip
        certificates = ("--certificate", issued / "device.pem", "--authority", issued / "ca.pem")
        await self.run("init", "--home", home, *certificates, "--genesis", self.folder / "genesis.json")
        return issued

    async def joined(self) -> Path:
        """The same, and a member."""
        issued = await self.certified(self.home)
        result = await self.run("join", "--home", self.home, "--identity", issued / "identity.pem")
        assert "You are a member, since block" in result.stdout
        assert "Sealed to 4 verifiers and sent; 3 of them have to accept." in result.stderr
        return issued


async def test_joining_voting_and_leaving(village: Village, tmp_path: Path) -> None:
    await village.start()
    people = People(village, tmp_path)
    issued = await people.joined()
    again = await people.run("join", "--home", people.home, "--json", *people.nodes[:2], code=1)
    assert "is a member since height" in json.loads(again.stdout)["reason"]
    await people.run("volunteer", "--home", people.home, "--validator", "--no-verifier")
    newcomer = village.nodes["new"] = Running("new", homes.load(people.home))
    who = newcomer.participant_id

    def votes() -> int:
        return newcomer.node.replica.counters["decided"]

    def serves() -> bool:
        return all(
            who in running.node.replica.named(Stage.VALIDATION)[0].members
            for running in village.nodes.values()
        )

    await eventually(serves, "the newcomer is in the committee, and everybody knows")
    shown = json.loads((await people.run("committee", "show", "--home", people.home, "--json")).stdout)
    assert who.hex() in [each["participant_id"] for each in shown["validation"]]
    assert who.hex() not in [each["participant_id"] for each in shown["verification"]]
    assert len(shown["verification"]) == 4
    # Whoever vouched for the newcomer was a founder, and has a founder's score, less its stake.
    assert all(300_000 <= each["q_ppm"] <= 1_000_000 for each in shown["verification"])
    table = (await people.run("committee", "show", "--home", people.home)).stdout
    assert table.count("yes") == 9
    leads = village.nodes["H001"].node.coordinator.leaders.blocks_by_leader
    await eventually(lambda: leads.get(who, 0) >= 1, "a block of the newcomer")
    assert votes() >= 1
    await people.run("volunteer", "--home", people.home, "--no-validator", "--no-verifier")
    await eventually(lambda: not serves(), "its time is over")
    left = await people.run("leave", "--home", people.home, "--yes")
    assert "is no member any more, since block" in left.stdout
    assert (issued / "identity.pem").exists()


async def test_a_node_that_ran_before_its_household_joined_catches_up(
    village: Village, tmp_path: Path
) -> None:
    await village.start()
    people = People(village, tmp_path)
    issued = await people.certified(people.home)
    early = Running("early", homes.load(people.home))
    founder = village.nodes["H001"]
    try:
        await eventually(lambda: early.participant_id in founder.mesh.connected())
        await eventually(lambda: founder.node.refusals()["not_a_member"] >= 1, "its questions are refused")
        await village.grown(3)
        assert early.height == 0
        await people.run("join", "--home", people.home, "--identity", issued / "identity.pem")
        await eventually(lambda: early.height >= founder.height - 1 > 3, "it has caught up")
    finally:
        await early.stop()


async def test_newcomers_find_each_other(village: Village, tmp_path: Path) -> None:
    await village.start()
    people = People(village, tmp_path)
    names = ("new-1", "new-2")
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in names]
    for name, port in zip(names, ports, strict=True):
        home = tmp_path / name
        issued = await people.certified(home, serial=name, listen=f"127.0.0.1:{port}")
        await people.run("join", "--home", home, "--identity", issued / "identity.pem")
        await people.run("volunteer", "--home", home, "--validator", "--verifier")
        village.nodes[name] = Running(name, homes.load(home))
    one, other = (village.nodes[name] for name in names)
    # Neither's settings name the other.
    await eventually(lambda: other.participant_id in one.mesh.connected(), "linked to each other")
    await eventually(lambda: len(one.node.replica.named(Stage.VALIDATION)[0].members) == 6)
    await village.grown(6)


async def test_a_new_key_counts_everywhere_and_the_old_one_nowhere(village: Village, tmp_path: Path) -> None:
    await village.start()
    people = People(village, tmp_path)
    await people.joined()
    before = homes.load_device(people.home)
    kept = {name: (people.home / name).read_bytes() for name in (homes.KEY_FILE, homes.CERTIFICATE_FILE)}
    who = before.signer.participant_id
    person = ("--person", PERSON.name, "--address", PERSON.address, "--contact", PERSON.contact)
    await people.run(
        "ca", "issue", tmp_path / "ca", "--renews", who.hex(), "--out", tmp_path / "renewed", *person,
        "--meter-serial", SERIAL,
    )  # fmt: skip
    result = await people.run("renew", tmp_path / "renewed", "--home", people.home)
    assert "The new key is in the folder" in result.stdout
    # As after a run that ended before the key was put in.
    again = await people.run("renew", tmp_path / "renewed", "--home", people.home)
    assert "The new key is in the folder" in again.stdout
    assert (people.home / f"{homes.KEY_FILE}.old").exists()
    after = homes.load_device(people.home)
    assert after.signer.participant_id == who
    assert after.key.public_key_compressed() != before.key.public_key_compressed()
    await people.run("wallet", "--home", people.home)
    # The old files are a guest's now: nothing but headers is told to them.
    for name, content in kept.items():
        (people.home / name).write_bytes(content)
    refused = await people.run("wallet", "--home", people.home, "--wait-s", "2", code=2)
    assert "did not answer" in refused.output or "can't be learnt" in refused.output


async def test_a_revoked_member_is_gone_at_once(village: Village, tmp_path: Path) -> None:
    await village.start()
    people = People(village, tmp_path)
    await people.joined()
    await people.run("volunteer", "--home", people.home, "--validator", "--verifier")
    newcomer = village.nodes["new"] = Running("new", homes.load(people.home))
    who = newcomer.participant_id
    founders = [village.nodes[name] for name in village.community.validators]
    await eventually(lambda: all(who in node.mesh.connected() for node in founders))
    listed = json.loads((await people.run("ca", "list", tmp_path / "ca", "--json")).stdout)
    (serial,) = [
        each["serial"] for each in listed if each["participant_id"] == who.hex() and each["kind"] == "device"
    ]
    # A founder's folder tells the ledger; nobody has got the revocation list yet.
    teller = village.community.homes["H001"]
    told = await people.run("ca", "revoke", tmp_path / "ca", serial, "--home", teller)
    assert "The ledger has revoked its key in block" in told.stdout
    await eventually(lambda: not any(who in node.mesh.connected() for node in founders), "its links end")
    await eventually(
        lambda: all(
            node.mesh.counters().get("refused_no_longer_known", 0)
            + node.mesh.counters().get("refused_unknown_peer", 0)
            >= 1
            for node in founders
        )
    )
    refused = await people.run("wallet", "--home", people.home, "--wait-s", "2", code=2)
    assert "did not answer" in refused.output
    rejoin = await people.run("join", "--home", people.home, "--wait-s", "2", code=2)
    assert "othing was decided within 2 s" in rejoin.output
    await village.stop("new")
    await village.grown(2)


async def test_bad_certificates_are_told_at_home(village: Village, tmp_path: Path) -> None:
    await village.start("H001")
    people = People(village, tmp_path)
    issued = await people.certified(people.home)
    none = await people.run("join", "--home", people.home, code=2)
    assert "There is no identity certificate" in none.output
    other = await people.certified(tmp_path / "other", serial="OTHER")
    mixed = await people.run("join", "--home", people.home, "--identity", other / "identity.pem", code=2)
    assert "The identity certificate names another device's key" in mixed.output
    (tmp_path / "garbage.pem").write_bytes(b"garbage")
    (tmp_path / "garbage.pem").chmod(0o600)
    garbage = await people.run("join", "--home", people.home, "--identity", tmp_path / "garbage.pem", code=2)
    assert "not one in PEM" in garbage.output
    foreign = await people.run("renew", other, "--home", people.home, code=2)
    assert "can't be read" in foreign.output or "There is no" in foreign.output
    nobody = await people.run(
        "join", "--home", people.home, "--identity", issued / "identity.pem", "--node", "127.0.0.1:1", code=2
    )
    assert "can't be reached" in nobody.output
