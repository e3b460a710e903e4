"""The state root: a bucket Merkle tree of fixed shape, and proofs under it.

Lives here: 16^4 buckets by key hash, four levels of 16 children each, the batch update, `StateProof` and
its check, and the 256 parts whose roots lead to the state root. Never here: what keys and values
mean. Owns the invariant that the root is a function of the set of (key, value) alone, whatever the order of
updates. Implements the state root of LEDGER section 3: an update costs in proportion to the keys changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.digests import DIGEST_BYTES

TAG_BUCKET = b"p2penergy/state-bucket/1\0"
TAG_STATE_NODE = b"p2penergy/state-node/1\0"

LEVELS = 4
CHILDREN = 16
BUCKETS = CHILDREN**LEVELS
PARTS = CHILDREN**2
"""Nodes of the level from which two steps lead to the root."""
BUCKETS_PER_PART: int = BUCKETS // PARTS
BUCKET_ENTRIES_MAX = 4096
"""In a proof; a bucket holds about one entry in 65536."""

_EMPTY = bytes(DIGEST_BYTES)
_SIBLINGS_BYTES = (CHILDREN - 1) * DIGEST_BYTES
_FAMILY_BYTES = CHILDREN * DIGEST_BYTES

Siblings = Annotated[bytes, Meta(min_length=_SIBLINGS_BYTES, max_length=_SIBLINGS_BYTES)]


class StateProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One bucket whole, and the 15 siblings at each level from the bucket up."""

    entries: Annotated[tuple[tuple[bytes, bytes], ...], Meta(max_length=BUCKET_ENTRIES_MAX)]
    siblings: Annotated[tuple[Siblings, ...], Meta(min_length=LEVELS, max_length=LEVELS)]


@dataclass(frozen=True, slots=True)
class TreePatch:
    """A batch of changes, computed but not applied."""

    keys: dict[int, tuple[bytes, ...]]
    nodes: tuple[dict[int, bytes], ...]
    root: bytes


def bucket_of(key: bytes) -> int:
    """The bucket that a key belongs to."""
    return int.from_bytes(sha256(key).digest()[:2], "big")


def part_of(key: bytes) -> int:
    """The part that a key belongs to."""
    return bucket_of(key) // BUCKETS_PER_PART


def part_root(part: int, entries: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What the tree holds for a part with these entries; None when they are not entries of one part.

    The order of the entries is of no account, as it is of none to the tree.
    """
    buckets: dict[int, dict[bytes, bytes]] = {}
    for key, value in entries:
        bucket = buckets.setdefault(bucket_of(key), {})
        if part_of(key) != part or key in bucket:
            return None
        bucket[key] = value
    first = part * BUCKETS_PER_PART
    level = [_bucket_digest(sorted(buckets.get(first + i, {}).items())) for i in range(BUCKETS_PER_PART)]
    return _folded(level)


def root_of_parts(part_roots: bytes) -> bytes:
    """The state root over the roots of all parts, joined in their order."""
    return _folded([part_roots[i * DIGEST_BYTES :][:DIGEST_BYTES] for i in range(PARTS)])


def _folded(level: list[bytes]) -> bytes:
    while len(level) > 1:
        level = [_node(b"".join(level[i : i + CHILDREN])) for i in range(0, len(level), CHILDREN)]
    return level[0]


def _bucket_digest(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts = [TAG_BUCKET]
    for key, value in entries:
        parts += (len(key).to_bytes(4, "big"), key, len(value).to_bytes(4, "big"), value)
    return sha256(b"".join(parts)).digest() if len(parts) > 1 else _EMPTY


def _node(children: bytes | bytearray) -> bytes:
    return sha256(TAG_STATE_NODE + children).digest()


class BucketTree:
    """The tree over a mapping that its owner holds."""

    def __init__(self) -> None:
        self._keys: list[tuple[bytes, ...]] = [()] * BUCKETS
        self._levels: list[bytearray] = []
        digest, width = _EMPTY, BUCKETS
        while width > 1:
            self._levels.append(bytearray(digest * width))
            digest, width = _node(digest * CHILDREN), width // CHILDREN
        self.root = digest

    def part_roots(self) -> bytes:
        """The roots of all parts, joined in their order."""
        return bytes(next(level for level in self._levels if len(level) == PARTS * DIGEST_BYTES))

    def patch(self, values: Mapping[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> TreePatch:
        """What `changes` (None deletes) do to the tree over `values`; changes nothing."""
        touched: dict[int, list[bytes]] = {}
        for key in changes:
            touched.setdefault(bucket_of(key), []).append(key)
        bucket_keys: dict[int, tuple[bytes, ...]] = {}
        dirty: dict[int, bytes] = {}
        for bucket, changed in touched.items():
            held = bucket_keys[bucket] = self._merged(self._keys[bucket], changed, changes)
            entries = [(key, changes[key] if key in changes else values[key]) for key in held]
            dirty[bucket] = _bucket_digest(entries)  # type: ignore[arg-type]  # deleted keys are not held
        nodes = [dirty]
        for level in self._levels:
            families: dict[int, bytearray] = {}
            for index, digest in dirty.items():
                parent = index // CHILDREN
                start = parent * _FAMILY_BYTES
                if parent not in families:
                    families[parent] = level[start : start + _FAMILY_BYTES]
                place = index * DIGEST_BYTES - start
                families[parent][place : place + DIGEST_BYTES] = digest
            dirty = {parent: _node(family) for parent, family in families.items()}
            nodes.append(dirty)
        return TreePatch(bucket_keys, tuple(nodes[:-1]), dirty.get(0, self.root))

    @staticmethod
    def _merged(
        held: tuple[bytes, ...], changed: list[bytes], changes: Mapping[bytes, bytes | None]
    ) -> tuple[bytes, ...]:
        # A loop: `all` over a generator takes longer than the rest of a bucket with one key.
        for key in changed:
            if changes[key] is None or key not in held:
                break
        else:
            return held
        kept = [key for key in held if key not in changes]
        return tuple(sorted(kept + [key for key in changed if changes[key] is not None]))

    def apply(self, patch: TreePatch) -> None:
        """Make a patch permanent; it must have been computed on the present tree."""
        for bucket, held in patch.keys.items():
            self._keys[bucket] = held
        for level, changed in zip(self._levels, patch.nodes, strict=True):
            for index, digest in changed.items():
                level[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = digest
        self.root = patch.root

    def prove(self, values: Mapping[bytes, bytes], key: bytes) -> StateProof:
        """That `key` has its value, or has none, under the present root."""
        index = bucket_of(key)
        entries = tuple((held, values[held]) for held in self._keys[index])
        siblings = []
        for level in self._levels:
            parent, child = divmod(index, CHILDREN)
            family = bytes(level[parent * _FAMILY_BYTES : (parent + 1) * _FAMILY_BYTES])
            siblings.append(family[: child * DIGEST_BYTES] + family[(child + 1) * DIGEST_BYTES :])
            index = parent
        return StateProof(entries, tuple(siblings))


def check_state_proof(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Whether the state under `root` holds `value` for `key`; None asks for absence."""
    if dict(proof.entries).get(key) != value:
        return False
    # Order, lengths and number of levels need no look: the root vouches for them through the hashes.
    index, node = bucket_of(key), _bucket_digest(proof.entries)
    for siblings in proof.siblings:
        index, child = divmod(index, CHILDREN)
        node = _node(siblings[: child * DIGEST_BYTES] + node + siblings[child * DIGEST_BYTES :])
    return node == root
