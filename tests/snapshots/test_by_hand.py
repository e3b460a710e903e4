"""`p2penergy snapshot`: one made now beside the ledger, and every damage found."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_chain import SmallChain, a_genesis

from p2penergy import genesis as genesis_module
from p2penergy.cli import main
from p2penergy.home import LEDGER_FILE
from p2penergy.snapshots import by_hand
from p2penergy.snapshots.files import SnapshotError, SnapshotFolder
from p2penergy.store import Store


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    chain = SmallChain(tmp_path / "kept")
    chain.grow()
    return chain.close()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["snapshot", *map(str, arguments)])


def test_one_is_made_while_the_node_has_its_ledger_open(kept: Path) -> None:
    assert "There is no snapshot" in run("list", "--home", kept).output
    chain_id = a_genesis().chain_id
    store = Store.open(kept / LEDGER_FILE, chain_id)
    try:
        made = run("make", "--home", kept)
        assert made.exit_code == 0, made.output
        assert f"block {store.tip()}," in made.output
        verified = run("verify", "--home", kept)
    finally:
        store.close()
    assert verified.exit_code == 0, verified.output
    assert "every part leads to its block" in verified.output
    # A node that starts now tells of it.
    (listed,) = json.loads(run("list", "--home", kept, "--json").output)
    assert SnapshotFolder(kept / "snapshots", chain_id).heights() == (listed["height"],)
    assert listed["fault"] is None


def test_a_part_that_is_not_the_states_is_found(kept: Path) -> None:
    held = by_hand.make(kept)
    data = bytearray(held.path.read_bytes())
    data[-1] ^= 1
    held.path.write_bytes(data)
    assert run("list", "--home", kept).exit_code == 0
    verified = run("verify", "--home", kept)
    assert verified.exit_code == 1
    assert "part 255 is no" in verified.output
    held.path.write_bytes(data[:-1])
    assert "bytes instead of" in run("verify", "--home", kept).output


def test_a_snapshot_of_no_block_of_the_ledger_is_found(kept: Path) -> None:
    by_hand.make(kept)
    with sqlite3.connect(kept / LEDGER_FILE) as connection:
        connection.execute("DELETE FROM decisions WHERE height = (SELECT max(height) FROM decisions)")
    connection.close()
    verified = run("verify", "--home", kept)
    assert verified.exit_code == 1
    assert "holds no block 6 to hold it against" in verified.output


def test_a_state_that_the_block_does_not_name_is_no_snapshot(kept: Path) -> None:
    with sqlite3.connect(kept / LEDGER_FILE) as connection:
        connection.execute("DELETE FROM state WHERE key = (SELECT max(key) FROM state)")
    connection.close()
    made = run("make", "--home", kept)
    assert made.exit_code == 2
    assert "is not the one that its block names: run `p2penergy audit" in made.output
    assert not (kept / "snapshots").exists()


def test_without_a_block_or_a_ledger_there_is_none(tmp_path: Path) -> None:
    genesis = a_genesis()
    (tmp_path / "genesis.json").write_bytes(genesis_module.render(genesis))
    with pytest.raises(SnapshotError, match="there is no ledger at"):
        by_hand.make(tmp_path)
    Store.create(tmp_path / LEDGER_FILE, genesis.chain_id).close()
    with pytest.raises(SnapshotError, match="nothing is decided"):
        by_hand.make(tmp_path)
    (tmp_path / LEDGER_FILE).write_bytes(b"no ledger" * 999)
    with pytest.raises(SnapshotError, match="can't be read"):
        by_hand.make(tmp_path)
