"""REPLY: one signature per block, each party gets its own receipts with their paths.

Lives here: who is told about a receipt, and the frames that tell it. Never here: when (the outbox
publishes a decision only after it is durable). Implements CONSENSUS section 8 and the notices to both
parties of LEDGER section 5.
"""

from collections.abc import Callable, Iterable, Sequence

from p2penergy.consensus.effects import Decision
from p2penergy.digests import MerkleTree
from p2penergy.messages import ProvenReceipt, Reply, encode, header_digest, reply_statement
from p2penergy.peers import participant_of
from p2penergy.signing import Signer
from p2penergy.store import Store
from transport import Mesh


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

    def publish(self, decision: Decision) -> None:
        """Tell every connected party of a decided block."""
        peers: dict[bytes, list[bytes]] = {}
        for peer in self._mesh.connected() - self._nodes:
            peers.setdefault(participant_of(peer), []).append(peer)
        told: dict[bytes, list[int]] = {}
        for index, transaction in enumerate(decision.block.transactions):
            for party in self._concerned(transaction):
                for peer in peers.get(party, ()):
                    told.setdefault(peer, []).append(index)
        if told:
            self._send(decision.height, decision.digest, decision.outcome.receipts, told)

    def answer_again(self, peer: bytes, transaction_id: bytes) -> bool:
        """Repeat the reply to a transaction decided long ago; False: it never was."""
        found = self._store.transaction(transaction_id)
        if found is None:
            return False
        height, index = found
        ((header, _),) = self._store.headers(height, 1)
        receipts = self._store.receipts(height)
        self._send(height, header_digest(header), receipts, {peer: [index]})
        return True

    def _send(
        self, height: int, block: bytes, receipts: Sequence[bytes], told: dict[bytes, list[int]]
    ) -> None:
        tree = MerkleTree(receipts)
        me = self._signer.participant_id
        signature = self._signer.sign(
            reply_statement(self._chain_id, me, height, block, tree.root, tree.count)
        )
        for peer, indices in told.items():
            proven = tuple(ProvenReceipt(i, receipts[i], tree.path(i)) for i in indices)
            reply = Reply(me, height, block, tree.root, tree.count, signature, proven)
            self._mesh.send(peer, encode(reply))
