"""Digests: tags keep kinds apart; a Merkle proof holds for one leaf, place, count and path only."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy import digests
from p2penergy.digests import (
    TAG_LEAF,
    TAG_NODE,
    MerkleTree,
    digest,
    merkle_path_leads_to,
    merkle_root,
    merkle_siblings_lead_to,
)

TAGS = [value for name, value in vars(digests).items() if name.startswith("TAG_")]
leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def test_tags_are_distinct_and_none_begins_another() -> None:
    assert len(set(TAGS)) == len(TAGS) >= 14
    assert not any(a != b and b.startswith(a) for a in TAGS for b in TAGS)
    assert all(tag.startswith(b"p2penergy/") and tag.endswith(b"/1\0") for tag in TAGS)


def test_a_digest_is_sha256_over_tag_and_parts() -> None:
    assert digest(b"tag\0", b"ab", b"c") == sha256(b"tag\0abc").digest()
    assert len(digest(b"tag\0")) == digests.DIGEST_BYTES


def test_a_tree_by_hand() -> None:
    a, b, c = (digest(TAG_LEAF, leaf) for leaf in (b"a", b"b", b"c"))
    top = digest(TAG_NODE, digest(TAG_NODE, a, b), c)
    assert merkle_root([b"a", b"b", b"c"]) == digest(digests.TAG_STATE, top, (3).to_bytes(8, "big"))


def test_the_empty_list_has_a_root_of_its_own() -> None:
    assert merkle_root([]) == MerkleTree([]).root
    assert merkle_root([]) not in {merkle_root([b""]), merkle_root([b"", b""])}
    assert not merkle_path_leads_to(merkle_root([]), b"", 0, 0, [])


@given(leaf_lists)
def test_every_leaf_proves_itself(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    assert tree.root == merkle_root(leaves)
    assert tree.count == len(leaves)
    for index, leaf in enumerate(leaves):
        assert merkle_path_leads_to(tree.root, leaf, index, len(leaves), tree.path(index))


@given(leaf_lists, leaf_lists)
def test_different_lists_have_different_roots(one: list[bytes], other: list[bytes]) -> None:
    assert (merkle_root(one) == merkle_root(other)) == (one == other)


@given(leaf_lists)
def test_doubling_the_last_leaf_changes_the_root(leaves: list[bytes]) -> None:
    assert merkle_root([*leaves, leaves[-1]]) != merkle_root(leaves)


# Equal leaves do stand at each other's places, so here all differ.
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=40, unique=True), st.data())
def test_a_proof_with_anything_changed_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    tree, count = MerkleTree(leaves), len(leaves)
    index = data.draw(st.integers(0, count - 1))
    leaf, path = leaves[index], tree.path(index)

    other_leaf = data.draw(st.binary(max_size=40).filter(lambda value: value != leaf))
    assert not merkle_path_leads_to(tree.root, other_leaf, index, count, path)
    other_index = data.draw(st.integers(-2, 2 * count + 2).filter(lambda value: value != index))
    assert not merkle_path_leads_to(tree.root, leaf, other_index, count, path)
    other_count = data.draw(st.integers(-2, 2 * count + 2).filter(lambda value: value != count))
    assert not merkle_path_leads_to(tree.root, leaf, index, other_count, path)
    assert not merkle_path_leads_to(tree.root, leaf, index, count, (*path, bytes(32)))
    assert not merkle_path_leads_to(bytes(32), leaf, index, count, path)
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        broken = bytearray(path[place])
        broken[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        for bad in (
            (*path[:place], bytes(broken), *path[place + 1 :]),
            (*path[:place], path[place][:-1], *path[place + 1 :]),
            (*path[:place], *path[place + 1 :]),
            path[:-1],
        ):
            assert not merkle_path_leads_to(tree.root, leaf, index, count, bad)


@given(leaf_lists.filter(bool), st.data())
def test_any_leaves_prove_themselves_together(leaves: list[bytes], data: st.DataObject) -> None:
    tree, count = MerkleTree(leaves), len(leaves)
    indices = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    some, siblings = [leaves[index] for index in indices], tree.siblings(indices)
    assert merkle_siblings_lead_to(tree.root, some, indices, count, siblings)
    if len(indices) == 1:
        assert siblings == b"".join(tree.path(indices[0]))
    if len(indices) == count:
        assert siblings == b""


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=40, unique=True), st.data())
def test_a_common_proof_with_anything_changed_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    tree, count = MerkleTree(leaves), len(leaves)
    indices = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    some, siblings = [leaves[index] for index in indices], tree.siblings(indices)
    at = data.draw(st.integers(0, len(indices) - 1))

    def refused(some: list[bytes], indices: list[int], count: int, siblings: bytes) -> None:
        assert not merkle_siblings_lead_to(tree.root, some, indices, count, siblings)

    forged = data.draw(st.binary(max_size=40).filter(lambda value: value != some[at]))
    refused([*some[:at], forged, *some[at + 1 :]], indices, count, siblings)
    place = data.draw(st.integers(-2, 2 * count).filter(lambda value: value != indices[at]))
    refused(some, [*indices[:at], place, *indices[at + 1 :]], count, siblings)
    other_count = data.draw(st.integers(-2, 2 * count).filter(lambda value: value != count))
    refused(some, indices, other_count, siblings)
    refused([*some, forged], indices, count, siblings)
    refused(some[1:], indices, count, siblings)
    refused(some[1:], indices[1:], count, siblings)
    # The same leaf, or the same pair, a second time; leaves in another order.
    refused([some[0], *some], [indices[0], *indices], count, siblings)
    if len(some) > 1:
        refused(some[::-1], indices[::-1], count, siblings)
    refused(some, indices, count, siblings + bytes(32))
    refused(some, indices, count, siblings + b"\0")
    refused([], [], count, siblings)
    if siblings:
        refused(some, indices, count, siblings[:-1])
        refused(some, indices, count, siblings[32:])
        broken = bytearray(siblings)
        broken[data.draw(st.integers(0, len(siblings) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        refused(some, indices, count, bytes(broken))


def test_neighbours_share_their_way_up(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = [b"%d" % number for number in range(256)]
    tree, counted, plain = MerkleTree(leaves), [], digests.sha256

    def counting(data: bytes) -> object:
        counted.append(data)
        return plain(data)

    monkeypatch.setattr(digests, "sha256", counting)
    assert merkle_siblings_lead_to(tree.root, leaves, range(256), 256, tree.siblings(range(256)))
    # Alone each would take nine; a leaf has its own, every inner node one, and so have the two roots.
    assert len(counted) <= 2 * len(leaves) + 1


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    # Without leaf and node tags, the node over (a, b) would be the only leaf of a smaller tree.
    a, b = digest(TAG_LEAF, b"a"), digest(TAG_LEAF, b"b")
    root = merkle_root([b"a", b"b"])
    assert not merkle_path_leads_to(root, a + b, 0, 1, [])
    assert not merkle_path_leads_to(root, a + b, 0, 2, [])


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError, match=f"leaf {index} of 3"):
        MerkleTree([b"a", b"b", b"c"]).path(index)
    with pytest.raises(IndexError):
        MerkleTree([]).path(0)
    with pytest.raises(IndexError, match=r"leaves \d* to \d* of 3" if index >= 0 else "leaves -1 to 2 of 3"):
        MerkleTree([b"a", b"b", b"c"]).siblings(sorted((index, 2)))
    assert MerkleTree([]).siblings([]) == b""
