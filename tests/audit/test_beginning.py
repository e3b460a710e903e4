"""A ledger that begins with a snapshot is audited from there; a forged snapshot is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from small_chain import HEIGHTS, SmallChain, signers

from p2penergy.audit import AuditReport, audit
from p2penergy.audit.beginning import _require_keys_of_genesis
from p2penergy.audit.findings import LedgerReport
from p2penergy.audit.run import _contradictions
from p2penergy.cli import main
from p2penergy.ledger import BLOCK_INDEX, Ledger, Version, VersionStage, keys
from p2penergy.ledger.records import (
    Departure,
    GoneRecord,
    KeyChange,
    MemberRecord,
    decode_record,
    encode_integer,
    encode_record,
)
from p2penergy.messages import decode_block, decode_certificate, encode, header_digest
from p2penergy.signing import EcdsaChecker
from p2penergy.store import FILE_NAME, Base, Store

BASE = 3


class Pair:
    """A chain whose whole ledger one home keeps, and its end from a snapshot on another."""

    def __init__(self, folder: Path) -> None:
        self.chain = SmallChain(folder / "whole")
        self.chain.grow(BASE)
        self.items = dict(self.chain.ledger.items())
        stored = self.chain.store.block(BASE)
        assert stored is not None
        self.block, self.certificate = stored
        self.late_home = folder / "late"
        self.late_home.mkdir()
        shutil.copyfile(self.chain.home / "genesis.json", self.late_home / "genesis.json")

    def base(self, **changes: Any) -> Base:
        block = decode_block(self.block)
        values: dict[str, Any] = {
            "height": BASE,
            "digest": header_digest(block.header),
            "block": self.block,
            "certificate": self.certificate,
            "versions": versions_of(self.items),
        }
        return Base(**(values | changes))

    def finish(self, base: Base) -> Path:
        """Let the late home hold `base` and what was decided after it; the folder of both."""
        store = Store.create_from(self.late_home / FILE_NAME, self.chain.chain_id, base)
        whole = self.chain.store.persist_now

        def both(records: Any) -> None:
            whole(records)
            store.persist_now([record for record in records if type(record).__name__ == "DecidedRecord"])

        self.chain.store.persist_now = both  # type: ignore[method-assign]
        self.chain.grow()
        store.close()
        self.chain.close(undecided=False)
        return self.late_home.parent


def versions_of(items: dict[bytes, bytes]) -> list[Version]:
    return [Version(key, BLOCK_INDEX, VersionStage.FINAL, value) for key, value in sorted(items.items())]


def found(report: AuditReport) -> list[str]:
    return [str(each) for ledger in report.ledgers for each in ledger.findings]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_it_is_clean_from_its_snapshot_on_and_agrees_with_a_whole_one(pair: Pair) -> None:
    report = audit(pair.finish(pair.base()))
    assert found(report) == []
    assert report.is_clean
    late, whole = report.ledgers
    assert (late.base_height, late.height, late.checked_height) == (BASE, HEIGHTS, HEIGHTS)
    assert whole.base_height == 0
    assert late.digest_at == {h: d for h, d in whole.digest_at.items() if h >= BASE}


def test_the_command_says_that_the_beginning_is_missing(pair: Pair) -> None:
    pair.finish(pair.base())
    said = CliRunner().invoke(main, ["audit", str(pair.late_home)])
    assert said.exit_code == 0, said.output
    assert f"from the snapshot of block {BASE} on" in said.output
    assert "Blocks before a ledger's snapshot are not in it" in said.output


def test_a_snapshot_alone_is_clean(pair: Pair) -> None:
    Store.create_from(pair.late_home / FILE_NAME, pair.chain.chain_id, pair.base()).close()
    report = audit(pair.late_home)
    assert found(report) == []
    assert report.ledgers[0].checked_height == BASE
    pair.chain.store.close()


def rich(pair: Pair) -> Base:
    return pair.base(
        versions=versions_of(pair.items | {keys.wallet(signers()[0].participant_id): encode_integer(1)})
    )


def forged(pair: Pair, **changes: bytes) -> Base:
    """A state of the forger's own making, in a header that names it, with the old certificate."""
    items = pair.items | {keys.wallet(signers()[0].participant_id): encode_integer(1)}
    root = Ledger.restore(pair.chain.genesis, EcdsaChecker(), BASE, items.items()).state_root
    block = decode_block(pair.block)
    block = replace(block, header=replace(block.header, state_root=root, **changes))
    digest = header_digest(block.header)
    return pair.base(block=encode(block), digest=digest, versions=versions_of(items))


def with_own_keys(pair: Pair) -> Base:
    """A state in which the forger holds a validator's key: with enough of them it certifies what it likes."""
    who = signers()[0].participant_id
    record = decode_record(MemberRecord, pair.items[keys.member(who)])
    public_key = decode_record(MemberRecord, pair.items[keys.member(signers()[6].participant_id)]).public_key
    items = dict(pair.items)
    changed = MemberRecord(public_key, record.validator, record.verifier, record.rated_w, record.cluster)
    items[keys.member(who)] = encode_record(changed)
    root = Ledger.restore(pair.chain.genesis, EcdsaChecker(), BASE, items.items()).state_root
    block = decode_block(pair.block)
    block = replace(block, header=replace(block.header, state_root=root))
    return pair.base(block=encode(block), digest=header_digest(block.header), versions=versions_of(items))


def test_a_founder_that_renewed_or_went_before_is_counted(pair: Pair) -> None:
    items = dict(pair.items)
    renewing, leaving = (signers()[number].participant_id for number in (4, 5))
    for who, height in ((renewing, 1), (leaving, 1)):
        record = decode_record(MemberRecord, items.pop(keys.member(who)))
        if who == renewing:
            changed = replace(record, public_key=b"\2" * 33, changes=(KeyChange(height, b"\2" * 33),))
            items[keys.member(who)] = encode_record(changed)
        else:
            left = replace(record, changes=(*record.changes, KeyChange(height, None)))
            items[keys.gone(who)] = encode_record(GoneRecord(left, Departure.LEFT, height))
    ledger = Ledger.restore(pair.chain.genesis, EcdsaChecker(), BASE, items.items())
    report = LedgerReport(pair.late_home)
    _require_keys_of_genesis(pair.chain.genesis, ledger, report)
    assert report.founders_changed == 2
    pair.chain.store.close()


FORGED: dict[str, tuple[str, Callable[[Pair], Base]]] = {
    "state": ("the snapshot's state is not the one that its block names", rich),
    "header": ("the certificate decides another block", forged),
    "keys": ("another key of", with_own_keys),
    "certificate": (
        "is not certified",
        lambda pair: pair.base(certificate=encode(replace(decode_certificate(pair.certificate), votes=()))),
    ),
    "no state": ("can't be read: this is no state", lambda pair: pair.base(versions=())),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_snapshot_is_named_and_nothing_is_built_on_it(pair: Pair, name: str) -> None:
    finding, forge = FORGED[name]
    Store.create_from(pair.late_home / FILE_NAME, pair.chain.chain_id, forge(pair)).close()
    pair.chain.store.close()
    report = audit(pair.late_home)
    said = found(report)
    assert any(f"table results, height {BASE}: the snapshot" in each and finding in each for each in said), (
        said
    )
    assert report.ledgers[0].checked_height == 0


def test_a_snapshot_without_a_beacon_value_is_named(pair: Pair) -> None:
    items = {key: value for key, value in pair.items.items() if not key.startswith(keys.BEACON_MIX)}
    root = Ledger.restore(pair.chain.genesis, EcdsaChecker(), BASE, items.items()).state_root
    block = decode_block(pair.block)
    block = replace(block, header=replace(block.header, state_root=root))
    base = pair.base(block=encode(block), digest=header_digest(block.header), versions=versions_of(items))
    Store.create_from(pair.late_home / FILE_NAME, pair.chain.chain_id, base).close()
    pair.chain.store.close()
    assert any("lacks an entry" in each for each in found(audit(pair.late_home)))


def test_results_below_the_snapshot_are_surplus(pair: Pair) -> None:
    pair.finish(pair.base())
    with sqlite3.connect(pair.late_home / FILE_NAME) as connection:
        connection.execute("DELETE FROM results WHERE height = ?", (BASE,))
    connection.close()
    assert found(audit(pair.late_home))


def test_ledgers_that_contradict_each_other_behind_a_snapshot_are_named(pair: Pair) -> None:
    folder = pair.finish(pair.base())
    report = audit(folder)
    late, whole = report.ledgers
    late.digests[-1] = bytes(32)
    [finding] = _contradictions([late, whole])
    assert finding.row == f"height {HEIGHTS}"
