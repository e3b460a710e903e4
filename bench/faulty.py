"""Validators at fault: what each kind of fault does to what a node sends.

Lives here: meshes around a node's own mesh. Never here: faults from outside (a kill is the parent's
doing, a bad network `transport.faults`'). Nothing of this is reachable from `p2penergy start`: only
`bench.member` puts it between a node and its links.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from p2penergy.blocks import draft_of
from p2penergy.consensus.ports import Application
from p2penergy.digests import merkle_root
from p2penergy.messages import (
    Block,
    Commit,
    Prepare,
    PrePrepare,
    decode_block,
    decode_message,
    encode,
    header_digest,
)
from p2penergy.signing import Signer
from transport import Mesh, MeshHandler

FAULTS = ("silent", "crashed", "equivocating", "slow")
"""silent: hears everything, says nothing. crashed: killed in mid-run by the parent. equivocating: tells
one half of the committee another block than the other. slow: every message late by twice delta."""
SLOW_DELTAS = 2
TWINS_REMEMBERED_MAX = 64


class Equivocator:
    """A mesh whose owner proposes two blocks at once, and votes for both.

    Both blocks are valid: the second lacks the last transaction of the first. The first half of the
    addressees, in order of their names, gets the one, the rest the other.
    """

    def __init__(self, inner: Mesh, signer: Signer, chain_id: bytes) -> None:
        self._inner = inner
        self._signer = signer
        self._chain_id = chain_id
        self._twins: dict[bytes, bytes] = {}
        self.application: Application | None = None
        """Set once the node is made: executing the second block needs its state."""
        self.equivocations = 0

    @property
    def name(self) -> bytes:
        """Our own name."""
        return self._inner.name

    async def start(self, handler: MeshHandler) -> None:
        """Start the mesh below."""
        await self._inner.start(handler)

    async def stop(self) -> None:
        """Stop the mesh below."""
        await self._inner.stop()

    def send(self, peer: bytes, payload: bytes) -> bool:
        """Send the truth to one peer."""
        return self._inner.send(peer, payload)

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        """Send to many: one half gets the payload, the other its twin where there is one."""
        named = sorted(peers)
        twin = self._twin(payload)
        if twin is None:
            return self._inner.broadcast(named, payload)
        self.equivocations += 1
        half = len(named) // 2
        return self._inner.broadcast(named[:half], payload) + self._inner.broadcast(named[half:], twin)

    def connected(self) -> frozenset[bytes]:
        """The peers of the mesh below."""
        return self._inner.connected()

    def set_address(self, peer: bytes, host: str, port: int) -> None:
        """Dial with the mesh below."""
        self._inner.set_address(peer, host, port)

    def forget(self, peer: bytes) -> None:
        """Forget in the mesh below."""
        self._inner.forget(peer)

    def recheck(self) -> None:
        """Check again in the mesh below."""
        self._inner.recheck()

    def counters(self) -> Mapping[str, int]:
        """Those of the mesh below, and `equivocations`."""
        return {**self._inner.counters(), "equivocations": self.equivocations}

    def _twin(self, payload: bytes) -> bytes | None:
        message = decode_message(payload)
        if isinstance(message, PrePrepare) and message.sender == self._signer.participant_id:
            return self._other_proposal(message)
        if isinstance(message, Prepare | Commit) and message.digest in self._twins:
            return self._signed(msgspec.structs.replace(message, digest=self._twins[message.digest]))
        return None

    def _other_proposal(self, proposal: PrePrepare) -> bytes | None:
        block = decode_block(proposal.block)
        application = self.application
        if application is None or not block.transactions or application.height != block.header.height - 1:
            return None
        other = _without_last(block, application)
        digest = header_digest(other.header)
        while len(self._twins) >= TWINS_REMEMBERED_MAX:
            del self._twins[next(iter(self._twins))]
        self._twins[proposal.digest] = digest
        return self._signed(msgspec.structs.replace(proposal, digest=digest, block=encode(other)))

    def _signed(self, vote: PrePrepare | Prepare | Commit) -> bytes:
        signature = self._signer.sign(vote.signed_bytes(self._chain_id))
        return encode(msgspec.structs.replace(vote, signature=signature))


def _without_last(block: Block, application: Application) -> Block:
    header, transactions = block.header, block.transactions[:-1]
    draft = replace(draft_of(block), transactions=transactions)
    outcome = application.execute(draft)
    changed = msgspec.structs.replace(
        header,
        transactions_root=merkle_root(transactions),
        receipts_root=outcome.receipts_root,
        state_root=outcome.state_root,
    )
    return msgspec.structs.replace(block, header=changed, transactions=transactions)
