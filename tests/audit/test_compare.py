"""Rows that were rewritten with a fitting checksum: only execution says that they are wrong."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_chain import SmallChain, signers

from p2penergy.audit import audit
from p2penergy.store import FILE_NAME
from p2penergy.store.results import Results, decode_results, encode_results
from p2penergy.store.schema import checksum

HEIGHT = 2
WALLET = b"wallet/" + signers()[2].participant_id


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chain = SmallChain(tmp_path_factory.mktemp("sound") / "home")
    chain.grow(3)
    return chain.close()


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "home"))


@contextmanager
def opened(home: Path) -> Iterator[sqlite3.Connection]:
    with sqlite3.connect(home / FILE_NAME) as connection:
        yield connection
    connection.close()


def found(home: Path) -> list[str]:
    return [str(each) for each in audit(home).ledgers[0].findings]


def other_value(results: Results) -> None:
    version = results.versions[-1]
    results.versions[-1] = type(version)(version.key, version.index, version.stage, b"\x63")


def other_stage(results: Results) -> None:
    number = next(n for n, each in enumerate(results.versions) if each.stage == 1)
    version = results.versions[number]
    results.versions[number] = type(version)(version.key, version.index, 2, version.value)


def other_index(results: Results) -> None:
    version = results.versions[0]
    results.versions[0] = type(version)(version.key, 0, version.stage, version.value)


def other_receipt(results: Results) -> None:
    results.receipts[1] = results.receipts[0]


def other_id(results: Results) -> None:
    results.transaction_ids[2] = bytes(32)


def other_pointer(results: Results) -> None:
    results.previous[WALLET] = 1


def fewer_versions(results: Results) -> None:
    results.versions.pop()


def more_receipts(results: Results) -> None:
    results.receipts.append(b"")
    results.transaction_ids.append(b"")


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (other_value, ", value: 0x63, should be"),
        (other_stage, ", stage: 2, should be <VersionStage.EXECUTION: 1>"),
        (other_index, ", index: 0, should be -1"),
        (other_receipt, "table results, height 2: receipt 1: 0x"),
        (other_id, "table results, height 2: transaction id 2: 0x0000"),
        (other_pointer, f"wallet/{WALLET[7:].hex()}: written before at height 1, should be 0"),
        (fewer_versions, "versions, should be"),
        (more_receipts, "4 times receipt, should be 3"),
    ],
)
def test_what_differs_in_a_blocks_results_is_named(
    home: Path, change: Callable[[Results], None], finding: str
) -> None:
    with opened(home) as connection:
        query = "SELECT results FROM results WHERE height = ?"
        results = decode_results(connection.execute(query, (HEIGHT,)).fetchone()[0])
        change(results)
        data = encode_results(results.transaction_ids, results.receipts, results.versions, results.previous)
        connection.execute(
            "UPDATE results SET results = ?, checksum = ? WHERE height = ?",
            (data, checksum(HEIGHT, data), HEIGHT),
        )
    findings = found(home)
    assert all(each.startswith("table results, height 2: ") for each in findings), findings
    assert any(finding in each for each in findings), findings


def rewrite(home: Path, table: str, row: str, **changes: Any) -> None:
    """Change columns and make the checksum fit; the id of a block is not under it."""
    with opened(home) as connection:
        connection.row_factory = sqlite3.Row
        columns = dict(connection.execute(f"SELECT * FROM {table} WHERE {row}").fetchone()) | changes
        under = [value for name, value in columns.items() if name not in ("id", "checksum")]
        names = ", ".join(f"{name} = ?" for name in changes)
        connection.execute(
            f"UPDATE {table} SET {names}, checksum = ? WHERE {row}", (*changes.values(), checksum(*under))
        )


def test_another_digest_of_a_block(home: Path) -> None:
    rewrite(home, "blocks", "height = 2", digest=bytes(32))
    [finding] = found(home)
    assert finding == "table blocks, height 2: column digest: it is not the digest of the block's header"


def test_another_height_of_a_block(home: Path) -> None:
    rewrite(home, "blocks", "height = 2", height=1)
    assert "table decisions, height 2: column block_id: it names a block of height 1" in found(home)


def test_a_block_that_is_no_block(home: Path) -> None:
    rewrite(home, "blocks", "height = 2", block=b"\0")
    assert any("table blocks, height 2: column block: not a block" in each for each in found(home))


def test_a_certificate_that_is_none(home: Path) -> None:
    rewrite(home, "decisions", "height = 2", certificate=b"\0")
    assert any("height 2: column certificate: not a certificate" in each for each in found(home))


def test_results_that_are_none(home: Path) -> None:
    rewrite(home, "results", "height = 2", results=msgspec.msgpack.encode([]))
    [finding] = found(home)
    assert finding.startswith("table results, height 2: column results: not the results of a block")


def test_an_index_that_lost_a_row(home: Path) -> None:
    with opened(home) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_votes_1'"
        [page] = connection.execute(query).fetchone()
    data = bytearray((home / FILE_NAME).read_bytes())
    # The first entry ever written stands at the end of its page.
    data[page * 4096 - 1] ^= 0x40
    (home / FILE_NAME).write_bytes(data)
    assert any(each.startswith("table file, integrity check: ") for each in found(home))
