"""REPLY: one signature per block, each party gets its own receipts, which prove themselves together.

Lives here: who is told about a receipt, and the frames that tell it. Never here: when (the outbox
publishes a decision only after it is durable). Implements CONSENSUS section 8 and the notices to both
parties of LEDGER section 5.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from p2penergy.consensus.effects import Decision
from p2penergy.digests import MerkleTree
from p2penergy.messages import ProvenReceipts, Reply, encode, header_digest, reply_statement
from p2penergy.peers import participant_of
from p2penergy.rate import Allowances
from p2penergy.signing import Signer
from p2penergy.store import Store
from transport import Mesh

REPLY_BYTES_MAX = 1024 * 1024
"""Receipts that share one frame, which besides holds a digest for each at most: a whole block's might be
longer than any frame may be."""
BLOCKS_REMEMBERED_MAX = 8
"""Old blocks whose receipts are at hand, so that many repeats of one block cost one look into the store."""
BLOCKS_READ_PER_S = 5
BLOCKS_READ_BURST = 20
"""Old blocks that one participant may have read again: each costs as much as some hundred transactions."""

_FRAMING_BYTES = 14
"""What msgpack adds to a receipt and its index, at most."""


class _Told:
    """The receipts of one block, ready to be told."""

    def __init__(
        self, height: int, block: bytes, receipts: Sequence[bytes], signer: Signer, chain_id: bytes
    ) -> None:
        self.height = height
        self.block = block
        self.receipts = receipts
        self.tree = MerkleTree(receipts)
        self.sender = signer.participant_id
        self.signature = signer.sign(
            reply_statement(chain_id, self.sender, height, block, self.tree.root, self.tree.count)
        )

    def replies(self, indices: Iterable[int]) -> Iterable[Reply]:
        """These receipts in as few messages as their size allows."""
        part: list[int] = []
        part_bytes = 0
        for index in indices:
            size = len(self.receipts[index]) + _FRAMING_BYTES
            if part and part_bytes + size > REPLY_BYTES_MAX:
                yield self._reply(part)
                part, part_bytes = [], 0
            part.append(index)
            part_bytes += size
        if part:
            yield self._reply(part)

    def _reply(self, part: list[int]) -> Reply:
        tree = self.tree
        receipts = tuple([self.receipts[index] for index in part])
        proven = encode(ProvenReceipts(tuple(part), receipts, tree.siblings(part)))
        return Reply(self.sender, self.height, self.block, tree.root, tree.count, self.signature, proven)


class Replies:
    """Answers the clients of one node."""

    def __init__(
        self,
        signer: Signer,
        chain_id: bytes,
        mesh: Mesh,
        store: Store,
        nodes: frozenset[bytes],
        concerned: Callable[[bytes], Iterable[bytes]],
    ) -> None:
        """`concerned` tells the participants of a transaction; `nodes` are no clients of each other."""
        self._signer = signer
        self._chain_id = chain_id
        self._mesh = mesh
        self._store = store
        self._nodes = nodes
        self._concerned = concerned
        self._told: OrderedDict[int, _Told] = OrderedDict()
        self._reads = Allowances(BLOCKS_READ_PER_S, BLOCKS_READ_BURST)

    def publish(self, decision: Decision) -> None:
        """Tell every connected party of a decided block; all links of one party are told the same."""
        links: dict[bytes, list[bytes]] = {}
        for peer in self._mesh.connected() - self._nodes:
            links.setdefault(participant_of(peer), []).append(peer)
        told: dict[bytes, list[int]] = {}
        for index, transaction in enumerate(decision.block.transactions):
            for party in self._concerned(transaction):
                if party in links:
                    told.setdefault(party, []).append(index)
        if not told:
            return
        block = self._ready(decision.height, decision.digest, decision.outcome.receipts)
        for party, indices in told.items():
            for reply in block.replies(indices):
                self._mesh.broadcast(links[party], encode(reply))

    def answer_again(self, peer: bytes, transaction_id: bytes, asked_height: int) -> bool:
        """Repeat the reply to a transaction decided long ago; False: it never was.

        What was decided after this node's `asked_height`, when the peer asked, it was told by then. Whoever
        asks for too many different blocks at once gets no reply; it may ask again.
        """
        found = self._store.transaction(transaction_id)
        if found is None:
            return False
        height, index = found
        if height > asked_height:
            return True
        block = self._told.get(height) or self._read(participant_of(peer), height)
        if block is not None:
            for reply in block.replies((index,)):
                self._mesh.send(peer, encode(reply))
        return True

    def _read(self, participant_id: bytes, height: int) -> _Told | None:
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        if not self._reads.take(participant_id, now_ms):
            return None
        ((header, _),) = self._store.headers(height, 1)
        return self._ready(height, header_digest(header), self._store.receipts(height))

    def _ready(self, height: int, block: bytes, receipts: Sequence[bytes]) -> _Told:
        told = self._told[height] = _Told(height, block, receipts, self._signer, self._chain_id)
        if len(self._told) > BLOCKS_REMEMBERED_MAX:
            self._told.popitem(last=False)
        return told
