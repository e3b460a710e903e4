"""SHA-256 digests, domain tags and Merkle trees.

Lives here: every place where bytes become a digest, and the tags that keep one kind of digest
from ever being taken for another. Never here: keys, signatures, IO. Owns the invariant that two
different kinds of object can't have one digest: every digest begins with a tag of its own.

Implements CONSENSUS section 1 (domain tags) and the receipts root of CONSENSUS section 3.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

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

    def siblings(self, indices: Sequence[int]) -> bytes:
        """What shows several leaves' way up together; `indices` ascend.

        Level by level and from left to right, the nodes that can't be computed from those below.

        Raises:
            IndexError: there is no such leaf.
        """
        if indices and not 0 <= indices[0] <= indices[-1] < self.count:
            raise IndexError(f"leaves {indices[0]} to {indices[-1]} of {self.count}")
        siblings: list[bytes] = []
        places = list(indices)
        for level in self._levels[:-1]:
            known, width = set(places), len(level)
            siblings += [
                level[place ^ 1] for place in places if (place ^ 1) not in known and (place ^ 1) < width
            ]
            places = list(dict.fromkeys([place // 2 for place in places]))
        return b"".join(siblings)


def merkle_path_leads_to(root: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Whether `leaf` is number `index` of the `count` leaves under `root`."""
    if any(len(sibling) != DIGEST_BYTES for sibling in path):
        return False
    return merkle_siblings_lead_to(root, [leaf], [index], count, b"".join(path))


def merkle_siblings_lead_to(
    root: bytes, leaves: Sequence[bytes], indices: Sequence[int], count: int, siblings: bytes
) -> bool:
    """Whether `leaves` are those with the numbers `indices`, ascending, of the `count` leaves under `root`.

    Neighbours share their way up: many leaves of one tree cost little more than two digests each.
    """
    if not indices or len(indices) != len(leaves) or not 0 <= indices[0] <= indices[-1] < count:
        return False
    if any(place >= later for place, later in pairwise(indices)):
        return False
    nodes, places = [sha256(TAG_LEAF + leaf).digest() for leaf in leaves], list(indices)
    used, width = 0, count
    while width > 1:
        nodes, used = _one_level_up(nodes, places, width, siblings, used)
        places = list(dict.fromkeys([place // 2 for place in places]))
        width = (width + 1) // 2
    return used == len(siblings) and _closed(nodes[0], count) == root


def _one_level_up(
    nodes: list[bytes], places: list[int], width: int, siblings: bytes, used: int
) -> tuple[list[bytes], int]:
    # A sibling that is missing is counted as used all the same: the sum shows it.
    above: list[bytes] = []
    at, count = 0, len(places)
    while at < count:
        place, node = places[at], nodes[at]
        if place % 2:
            node = sha256(TAG_NODE + siblings[used : used + DIGEST_BYTES] + node).digest()
            used += DIGEST_BYTES
        elif at + 1 < count and places[at + 1] == place + 1:
            at += 1
            node = sha256(TAG_NODE + node + nodes[at]).digest()
        elif place + 1 < width:
            node = sha256(TAG_NODE + node + siblings[used : used + DIGEST_BYTES]).digest()
            used += DIGEST_BYTES
        above.append(node)
        at += 1
    return above, used
