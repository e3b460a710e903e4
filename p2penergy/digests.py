"""SHA-256 digests, domain tags and Merkle trees.

Lives here: every place where bytes become a digest, and the tags that keep one kind of digest
from ever being taken for another. Never here: keys, signatures, IO. Owns the invariant that two
different kinds of object can't have one digest: every digest begins with a tag of its own.

Implements CONSENSUS section 1 (domain tags) and the receipts root of CONSENSUS section 3.
"""

from collections.abc import Sequence
from hashlib import sha256

DIGEST_BYTES = 32

TAG_GENESIS = b"p2penergy/genesis/1\0"
TAG_BLOCK = b"p2penergy/block/1\0"
TAG_CERTIFICATE = b"p2penergy/certificate/1\0"
TAG_VOTE = b"p2penergy/vote/1\0"
TAG_REPLY = b"p2penergy/reply/1\0"
TAG_TRANSACTION = b"p2penergy/transaction/1\0"
TAG_TERMS = b"p2penergy/terms/1\0"
TAG_VERDICT = b"p2penergy/verdict/1\0"
TAG_LETTER = b"p2penergy/letter/1\0"
TAG_MATCH = b"p2penergy/match/1\0"
TAG_AUCTION = b"p2penergy/auction/1\0"
TAG_COMMITTEE = b"p2penergy/committee/1\0"
TAG_BEACON = b"p2penergy/beacon/1\0"
TAG_CLUSTERS = b"p2penergy/clusters/1\0"
TAG_ORDER = b"p2penergy/order/1\0"
TAG_SEED = b"p2penergy/seed/1\0"
TAG_STATE = b"p2penergy/state/1\0"
TAG_WHEREABOUTS = b"p2penergy/whereabouts/1\0"
TAG_LEAF = b"p2penergy/leaf/1\0"
TAG_NODE = b"p2penergy/node/1\0"
TAG_EMPTY = b"p2penergy/empty/1\0"


def digest(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 over the tag and the parts, 32 bytes.

    The parts are joined without lengths: callers pass parts of fixed size, or one encoded whole.
    """
    hasher = sha256(tag)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    # Joined here, not in `digest`, which takes twice as long: two digests are due for every transaction.
    level = [sha256(TAG_LEAF + leaf).digest() for leaf in leaves]
    levels = [level]
    while len(level) > 1:
        paired = [sha256(TAG_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        # An odd last node moves up as it is: doubling it would give two lists one root.
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
        levels.append(level)
    return levels


def _closed(root: bytes, count: int) -> bytes:
    # The count is under the root, so that a proof also tells how many leaves there are.
    return digest(TAG_STATE, root, count.to_bytes(8, "big"))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over the leaves in their order, 32 bytes; the empty list has a root of its own."""
    return _closed(_levels(leaves)[-1][0] if leaves else digest(TAG_EMPTY), len(leaves))


class MerkleTree:
    """All paths of one list of leaves, for whoever has to answer for many of them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = _levels(leaves) if leaves else []
        self.count = len(leaves)

    @property
    def root(self) -> bytes:
        """The same as `merkle_root(leaves)`."""
        return _closed(self._levels[-1][0] if self._levels else digest(TAG_EMPTY), self.count)

    def path(self, index: int) -> tuple[bytes, ...]:
        """Siblings from leaf `index` up to the root.

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"leaf {index} of {self.count}")
        siblings = []
        for level in self._levels[:-1]:
            if (index ^ 1) < len(level):
                siblings.append(level[index ^ 1])
            index //= 2
        return tuple(siblings)


class MerkleProofs:
    """Proofs under one root: what one path has shown of the tree, later paths need not show again.

    So many leaves of one tree cost little more than two digests each. What is remembered is bounded by the
    tree's size, for whoever asks about leaves that are in it.
    """

    def __init__(self, root: bytes, count: int) -> None:
        self._root = root
        self._count = count
        self._known: dict[tuple[int, int], bytes] = {}
        """Nodes that are in the tree, by level and place in it."""

    def lead_to(self, leaf: bytes, index: int, path: Sequence[bytes]) -> bool:
        """Whether `leaf` is number `index`, as the siblings from it up to the root show."""
        if not 0 <= index < self._count:
            return False
        node, width, level, siblings = digest(TAG_LEAF, leaf), self._count, 0, iter(path)
        climbed: dict[tuple[int, int], bytes] = {}
        while width > 1:
            known = self._known.get((level, index))
            if known is not None:
                break
            climbed[level, index] = node
            if (index ^ 1) < width:
                sibling = next(siblings, None)
                if sibling is None:
                    return False
                climbed[level, index ^ 1] = sibling
                node = digest(TAG_NODE, *((sibling, node) if index % 2 else (node, sibling)))
            index, width, level = index // 2, (width + 1) // 2, level + 1
        else:
            known = (
                node if next(siblings, None) is None and _closed(node, self._count) == self._root else None
            )
        if node != known:
            return False
        self._known.update(climbed)
        return True


def merkle_path_leads_to(root: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Whether `leaf` is number `index` of the `count` leaves under `root`."""
    return MerkleProofs(root, count).lead_to(leaf, index, path)
