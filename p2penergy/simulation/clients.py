"""A simulated client: believes f+1 equal signed replies with their Merkle proof, and is then judged.

Lives here: making the replies of one decision, counting them, and the invariant of CONSENSUS section 10
"a client accepts only what the chain holds". Never here: submitting (`world`), the real client. Replies
take no time: what matters is how many of them a client wants. Implements CONSENSUS section 8.
"""

import msgspec

from p2penergy.consensus.effects import Decision
from p2penergy.digests import MerkleTree, merkle_siblings_lead_to
from p2penergy.messages import ProvenReceipts, Reply, decode_receipts, encode
from p2penergy.signing import KeyOf, SignatureChecker, Signer
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.oracle import Oracle, ViolationError

_NO_SIGNATURE = bytes(64)

Result = tuple[int, bytes, int, bytes]
"""Height, digest, index and receipt."""


def reply_of(signer: Signer, chain_id: bytes, decision: Decision) -> Reply:
    """What a node tells the clients of a decided block."""
    receipts = decision.outcome.receipts
    return make_reply(signer, chain_id, decision.height, decision.digest, tuple(receipts))


def make_reply(
    signer: Signer, chain_id: bytes, height: int, digest: bytes, receipts: tuple[bytes, ...]
) -> Reply:
    """A signed reply about any receipts, true or not."""
    tree = MerkleTree(receipts)
    indices = tuple(range(len(receipts)))
    proven = encode(ProvenReceipts(indices, receipts, tree.siblings(indices)))
    reply = Reply(signer.participant_id, height, digest, tree.root, len(receipts), _NO_SIGNATURE, proven)
    return msgspec.structs.replace(reply, signature=signer.sign(reply.signed_bytes(chain_id)))


class SimClient:
    """Counts replies of distinct members."""

    def __init__(
        self, oracle: Oracle, chain_id: bytes, members: int, key_of: KeyOf, checker: SignatureChecker
    ) -> None:
        self._oracle = oracle
        self._chain_id = chain_id
        self._key_of = key_of
        self._checker = checker
        self.needed = faulty_max(members) + 1
        self.accepted = 0
        self._voters: dict[Result, set[bytes]] = {}

    def hear(self, reply: Reply) -> None:
        """A reply arrives.

        Raises:
            ViolationError: the client would believe what the chain does not hold.
        """
        key = self._key_of(reply.sender)
        signed = reply.signed_bytes(self._chain_id)
        if key is None or not self._checker.check(key, signed, reply.signature):
            return
        told = decode_receipts(reply.receipts)
        if merkle_siblings_lead_to(
            reply.receipts_root, told.receipts, told.indices, reply.receipts_count, told.siblings
        ):
            for index, receipt in zip(told.indices, told.receipts, strict=True):
                self._count((reply.height, reply.digest, index, receipt), reply.sender)

    def _count(self, result: Result, sender: bytes) -> None:
        voters = self._voters.setdefault(result, set())
        if sender in voters:
            return
        voters.add(sender)
        if len(voters) == self.needed:
            self._accept(result)

    def _accept(self, result: Result) -> None:
        height, digest, index, receipt = result
        decided = self._oracle.at(height)
        receipts = self._oracle.receipts(height)
        if decided is None or decided.digest != digest or receipts[index : index + 1] != (receipt,):
            raise ViolationError("client", f"a client believes a receipt at {height} that nobody decided")
        self.accepted += 1
