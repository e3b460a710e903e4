"""A community whose members keep their keys to themselves: from the first key to blocks that all follow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from operating_net import done, free_port, run, short_chains

from p2penergy import home as homes
from p2penergy.operations.asking import own_address, survey
from p2penergy.processes import Validator

PATIENCE_S = 60


def joined(tmp_path: Path, name: str, role: str, *more: str) -> tuple[Path, Path]:
    """A member's folder with its certificate, and the file it sends to the founder."""
    home, entry = tmp_path / name, tmp_path / f"{name}.json"
    done("init", "--home", home, "--role", role, *more)
    done(
        "ca",
        "issue",
        tmp_path / "ca",
        "--public-key",
        home / "device.public.pem",
        "--out",
        tmp_path / f"{name}-ca",
    )
    issued = tmp_path / f"{name}-ca"
    said = done(
        "init", "--home", home, "--certificate", issued / "device.pem", "--authority", issued / "ca.pem"
    )
    assert "give the founder" in said
    entry.write_text(done("init", "--home", home, "--json"))
    return home, entry


def let_in(folder: Path, node: str) -> None:
    """A household joins, and is revoked: the founder's genesis named verifiers, and the authority's key."""
    home, issued = folder / "three", folder / "issued-three"
    done("init", "--home", home)
    person = ("--person", "A", "--address", "B", "--contact", "C", "--meter-serial", "M-1")
    done("ca", "issue", folder / "ca", "--public-key", home / "device.public.pem", "--out", issued, *person)
    certificates = ("--certificate", issued / "device.pem", "--authority", issued / "ca.pem")
    done("init", "--home", home, *certificates, "--genesis", folder / "genesis.json")
    applied = run("join", "--home", home, "--identity", issued / "identity.pem", "--node", node, "--json")
    assert "1 of them have to accept" in applied.stderr
    joined = json.loads(applied.stdout)
    assert joined["accepted"]
    wallet = json.loads(done("wallet", "--home", home, "--node", node, "--json"))
    assert wallet["wallet_nano"] == 0
    issued_records = json.loads(done("ca", "list", folder / "ca", "--json"))
    (serial,) = [
        record["serial"]
        for record in issued_records
        if (record["participant_id"], record["kind"]) == (joined["participant_id"], "device")
    ]
    told = ("--home", folder / "one", "--node", node, "--json")
    assert json.loads(done("ca", "revoke", folder / "ca", serial, *told))["height"] > joined["height"]


async def test_members_found_a_community_together(tmp_path: Path) -> None:
    port, other = free_port(), free_port()

    def prepare() -> list[Path]:
        done("ca", "init", tmp_path / "ca", "--name", "Elm Street")
        one, entry = joined(tmp_path, "one", "validator", "--listen", f"127.0.0.1:{port}")
        name = json.loads(entry.read_text())["participant_id"]
        peer = ("--peer", f"{name}=127.0.0.1:{port}")
        two, observer = joined(tmp_path, "two", "observer", "--listen", f"127.0.0.1:{other}", *peer)
        authority = tmp_path / "ca" / "ca.pem"
        files = ("--authority", authority, "--validator", entry, "--household", observer)
        made = done(
            "genesis", "make", "--community", "Elm Street", *files, "--out", tmp_path / "genesis.json"
        )
        for home in (one, two):
            said = done("init", "--home", home, "--genesis", tmp_path / "genesis.json")
            assert "Next: p2penergy start" in said
            assert done("genesis", "hash", home) == made
        return [one, two]

    nodes = [Validator(home.name, home) for home in await asyncio.to_thread(prepare)]
    try:
        for node in nodes:
            await node.start()
        device = homes.load_device(nodes[1].home)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                (report,) = await survey(device, {device.signer.participant_id: own_address(device)})
                if report.status is not None and report.status["height"] >= 2:
                    break
                await asyncio.sleep(0.05)
        assert report.status["role"] == "observer"
        assert report.status["consensus"].get("signed_commit", 0) == 0
        await asyncio.to_thread(let_in, tmp_path, f"127.0.0.1:{port}")
    finally:
        for node in nodes:
            await node.stop()


def entry_of(path: Path, number: int, **changed: object) -> Path:
    figures = {
        "participant_id": f"{number:040x}",
        "public_key": "02" + f"{number:064x}",
        "beacon_tip": f"{number:064x}",
    }
    path.write_text(json.dumps(figures | changed))
    return path


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    one, two = (entry_of(tmp_path / f"{n}.json", n) for n in (1, 2))
    options = ("genesis", "make", "--community", "x", "--t0-ms", "5")
    first = done(*options, "--validator", one, "--validator", two, "--out", tmp_path / "a")
    assert done(*options, "--validator", two, "--validator", one, "--out", tmp_path / "b") == first
    assert homes.read_genesis(tmp_path / "a") == homes.read_genesis(tmp_path / "b")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"participant_id": None}, "names no participant_id: its node needs a certificate first"),
        ({"public_key": "02" + f"{1:064x}"}, "two participants one public_key"),
    ],
)
def test_what_is_no_member_is_named(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    one, two = entry_of(tmp_path / "1", 1), entry_of(tmp_path / "2", 2, **changed)
    files = ("--validator", one, "--household", two)
    result = run("genesis", "make", "--community", "x", *files, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "out").exists()


def test_a_genesis_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    result = run(
        "genesis", "make", "--community", "x", "--validator", entry_of(tmp_path / "1", 1), "--out", out
    )
    assert result.exit_code == 2
    assert out.read_text() == "mine"
    (tmp_path / "2").write_text("no JSON")
    result = run(
        "genesis", "make", "--community", "x", "--validator", tmp_path / "2", "--out", tmp_path / "new"
    )
    assert "is not what `p2penergy init --json` prints" in result.output


def test_genesis_that_came_late_makes_the_ledger_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_chains(monkeypatch)
    home = tmp_path / "home"
    done(
        "genesis",
        "make",
        "--community",
        "x",
        "--validator",
        entry_of(tmp_path / "1", 1),
        "--out",
        tmp_path / "g",
    )
    done("init", "--home", home)
    assert not (home / homes.LEDGER_FILE).exists()
    done("init", "--home", home, "--genesis", tmp_path / "g")
    (home / homes.LEDGER_FILE).unlink()
    done("init", "--home", home, "--genesis", tmp_path / "g")
    assert not (home / homes.LEDGER_FILE).exists()
