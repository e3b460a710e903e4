"""A state in parts: each proves itself, and together they are the state."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from village import Village, with_readings

from p2penergy.ledger import Ledger, Snapshot
from p2penergy.ledger.bucket_tree import PARTS, BucketTree, part_of, part_root, root_of_parts
from p2penergy.ledger.snapshot import WrongPartError, leads_to, read_part
from p2penergy.messages import SNAPSHOT_PARTS


def of(values: dict[bytes, bytes]) -> Snapshot:
    tree = BucketTree()
    tree.apply(tree.patch({}, dict(values)))
    return Snapshot(1, tree.root, values, tree.part_roots())


@settings(max_examples=20)
@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=60), max_size=80))
def test_the_parts_are_the_state_and_lead_to_its_root(values: dict[bytes, bytes]) -> None:
    snapshot = of(values)
    assert leads_to(snapshot.state_root, snapshot.part_roots)
    found: dict[bytes, bytes] = {}
    for number, data in enumerate(snapshot.encoded_parts()):
        for key, value in read_part(number, data, snapshot.part_roots):
            assert part_of(key) == number
            found[key] = value
    assert found == values


def test_a_ledgers_snapshot_makes_the_same_ledger_and_stays_as_it_was() -> None:
    village = with_readings()
    root = village.ledger.state_root
    snapshot = village.ledger.snapshot()
    village.block(village.contract(1, 3, 300))
    village.next_period()
    assert village.ledger.state_root != root
    assert (snapshot.height, snapshot.state_root) == (1, root)
    items = [
        entry
        for number, data in enumerate(snapshot.encoded_parts())
        for entry in read_part(number, data, snapshot.part_roots)
    ]
    restored = Ledger.restore(village.genesis, village.checker, 1, items)
    assert restored.state_root == root


def test_other_roots_lead_elsewhere() -> None:
    snapshot = Village().ledger.snapshot()
    roots = snapshot.part_roots
    assert leads_to(snapshot.state_root, roots)
    assert root_of_parts(roots) == snapshot.state_root
    for place in (0, 31, 32 * 100, len(roots) - 1):
        changed = bytearray(roots)
        changed[place] ^= 1
        assert not leads_to(snapshot.state_root, bytes(changed))
    assert not leads_to(snapshot.state_root, roots[:-32])
    assert not leads_to(snapshot.state_root, roots + bytes(32))
    assert not leads_to(bytes(32), roots)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return of({b"key %d" % n: b"value %d" % n for n in range(600)})


def entries_of(data: bytes) -> list[list[bytes]]:
    decoded: list[list[bytes]] = msgspec.msgpack.decode(data)
    return decoded


def test_every_kind_of_wrong_part_is_found(snapshot: Snapshot) -> None:
    parts = snapshot.encoded_parts()
    number = next(n for n, data in enumerate(parts) if len(entries_of(data)) > 1)
    entries = entries_of(parts[number])
    other = entries_of(parts[number + 1])
    encode = msgspec.msgpack.encode
    wrong = {
        "a value": encode([[entries[0][0], b"more money"], *entries[1:]]),
        "a key": encode([[b"another", entries[0][1]], *entries[1:]]),
        "one missing": encode(entries[1:]),
        "one twice": encode([*entries, entries[0]]),
        "one too many": encode([*entries, *other]),
        "none": encode([]),
        "another part": parts[number + 1],
        "no list": encode({"a": 1}),
        "not bytes": encode([["key", "value"]]),
        "cut": parts[number][:-1],
        "continued": parts[number] + b"\0",
        "nothing": b"",
    }
    for name, data in wrong.items():
        with pytest.raises(WrongPartError, match=f"part {number} "):
            read_part(number, data, snapshot.part_roots)
            pytest.fail(name)
    with pytest.raises(WrongPartError):
        read_part(number + 1, parts[number], snapshot.part_roots)


def test_the_order_of_entries_is_of_no_account(snapshot: Snapshot) -> None:
    parts = snapshot.encoded_parts()
    number = next(n for n, data in enumerate(parts) if len(entries_of(data)) > 1)
    turned = msgspec.msgpack.encode(entries_of(parts[number])[::-1])
    assert dict(read_part(number, turned, snapshot.part_roots)) == dict(
        read_part(number, parts[number], snapshot.part_roots)
    )


def test_an_empty_part_has_the_root_of_an_empty_tree() -> None:
    tree = BucketTree()
    roots = tree.part_roots()
    assert {roots[i * 32 : i * 32 + 32] for i in range(PARTS)} == {part_root(0, ())}
    assert root_of_parts(roots) == tree.root


def test_the_wire_counts_the_same_parts() -> None:
    assert PARTS == SNAPSHOT_PARTS
