from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy.ledger.bucket_tree import (
    BucketTree,
    StateProof,
    bucket_of,
    check_state_proof,
)

keys = st.binary(min_size=1, max_size=3)
batches = st.lists(st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=6), max_size=5)


@dataclass
class Held:
    tree: BucketTree
    values: dict[bytes, bytes]

    def write(self, batch: dict[bytes, bytes | None]) -> None:
        changes = {k: v for k, v in batch.items() if self.values.get(k) != v}
        self.tree.apply(self.tree.patch(self.values, changes))
        for key, value in changes.items():
            if value is None:
                del self.values[key]
            else:
                self.values[key] = value


def tree_of(values: dict[bytes, bytes]) -> BucketTree:
    held = Held(BucketTree(), {})
    held.write(dict(values))
    return held.tree


@settings(max_examples=30)
@given(batches)
def test_root_depends_on_the_entries_alone(batches: list[dict[bytes, bytes | None]]) -> None:
    held = Held(BucketTree(), {})
    for batch in batches:
        held.write(batch)
    assert held.tree.root == tree_of(held.values).root


def test_a_patch_changes_nothing_until_applied() -> None:
    held = Held(BucketTree(), {})
    held.write({b"a": b"1"})
    before = held.tree.root
    patch = held.tree.patch(held.values, {b"a": b"2", b"b": b"3"})
    assert held.tree.root == before != patch.root
    assert held.tree.patch(held.values, {}).root == before
    assert held.tree.patch(held.values, {b"a": b"2", b"b": b"3"}) == patch


def test_every_part_of_an_entry_is_under_the_root() -> None:
    roots = {
        tree_of(values).root
        for values in ({}, {b"a": b""}, {b"a": b"b"}, {b"ab": b""}, {b"b": b"a"}, {b"a": b"", b"b": b""})
    }
    assert len(roots) == 6


def colliding(key: bytes) -> bytes:
    """Another key in the same bucket."""
    bucket = bucket_of(key)
    return next(k for i in range(10**7) if bucket_of(k := b"c%d" % i) == bucket and k != key)


def test_proofs_of_presence_and_absence_in_a_shared_bucket() -> None:
    other = colliding(b"a")
    held = Held(BucketTree(), {})
    held.write({b"a": b"1", b"z": b"9"})
    absent = held.tree.prove(held.values, other)
    assert check_state_proof(held.tree.root, other, None, absent)
    held.write({other: b"2"})
    for key, value in ((b"a", b"1"), (other, b"2"), (b"nobody", None)):
        proof = held.tree.prove(held.values, key)
        assert check_state_proof(held.tree.root, key, value, proof)
        assert not check_state_proof(held.tree.root, key, b"else", proof)
    held.write({b"a": None})
    assert check_state_proof(held.tree.root, b"a", None, held.tree.prove(held.values, b"a"))
    assert held.tree.root == tree_of({other: b"2", b"z": b"9"}).root


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@settings(max_examples=60)
@given(st.data())
def test_a_tampered_proof_is_refused(data: st.DataObject) -> None:
    values = {b"k%d" % i: b"v%d" % i for i in range(50)}
    tree = tree_of(values)
    key = data.draw(st.sampled_from(sorted(values)))
    proof = tree.prove(values, key)
    assert check_state_proof(tree.root, key, values[key], proof)
    encoded = msgspec.msgpack.encode(proof)
    damaged = flipped(encoded, data.draw(st.integers(0, len(encoded) - 1)))
    try:
        forged = msgspec.msgpack.decode(damaged, type=StateProof)
    except msgspec.DecodeError:
        return
    assert not check_state_proof(tree.root, key, values[key], forged)


def test_a_proof_holds_for_its_key_root_and_value_only() -> None:
    values = {b"k%d" % i: b"v" for i in range(20)}
    tree = tree_of(values)
    proof = tree.prove(values, b"k3")
    assert not check_state_proof(tree.root, b"k4", b"v", proof)
    assert not check_state_proof(tree.root, b"k3", None, proof)
    assert not check_state_proof(tree.root, b"k4", None, proof)
    assert not check_state_proof(bytes(32), b"k3", b"v", proof)


@pytest.mark.parametrize("cut", [slice(0, 3), slice(1, 4), slice(0, 0)])
def test_a_proof_of_another_height_of_the_tree_is_refused(cut: slice) -> None:
    tree = tree_of({b"a": b"1"})
    proof = tree.prove({b"a": b"1"}, b"a")
    assert not check_state_proof(tree.root, b"a", b"1", StateProof(proof.entries, proof.siblings[cut]))
    short = (proof.siblings[0][:-1], *proof.siblings[1:])
    assert not check_state_proof(tree.root, b"a", b"1", StateProof(proof.entries, short))


def test_entries_out_of_order_or_doubled_are_refused() -> None:
    other = colliding(b"a")
    values = {b"a": b"1", other: b"2"}
    tree = tree_of(values)
    proof = tree.prove(values, b"a")
    assert len(proof.entries) == 2
    for entries in (proof.entries[::-1], (*proof.entries, proof.entries[-1])):
        assert not check_state_proof(tree.root, b"a", b"1", StateProof(entries, proof.siblings))
