"""What the parts of the replica share: the node's means, the working height, and the step under way.

Lives here: one mutable context, and the few verbs by which a step writes its effects. Never here: rules
of the protocol, IO. Owns the invariant that whatever is signed is remembered and persisted in the same
breath as it is sent (CONSENSUS section 6): `sign` is the only way to sign, and persists.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from p2penergy.consensus.catch_up import CatchUp
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.effects import (
    EVERYBODY,
    BlockRecord,
    Effects,
    Record,
    Refusal,
    Send,
    VoteRecord,
)
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.fetch import Fetch
from p2penergy.consensus.instance import Instance
from p2penergy.consensus.ports import Application, RevealSource
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.votes import Early, kind_of
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    BLOCK_BYTES_MAX,
    Commit,
    Message,
    Prepare,
    PrePrepare,
    ViewChange,
    VoteKind,
    encode,
)
from p2penergy.signing import RenewedSigner, Signer

PROPOSED_SLOTS_REMEMBERED = 64
PEERS_ANSWERED_MAX = 1024
NO_SIGNATURE = bytes(64)
NO_DIGEST = bytes(32)

V = TypeVar("V", PrePrepare, Prepare, Commit, ViewChange)


@dataclass(slots=True)
class Means:
    """What a node has and never changes."""

    signer: Signer
    genesis: Genesis
    application: Application
    reveals: RevealSource
    rules: Rules


class Work:
    """The context of every step."""

    def __init__(self, means: Means, chain: Chain) -> None:
        self.me = means.signer.participant_id
        self.application = means.application
        self.reveals = means.reveals
        self.rules = means.rules
        self.timing = means.genesis.consensus
        self.chain = chain
        self._signer = means.signer
        self.counters: Counter[str] = Counter()
        self.early = Early()
        delta_ms = self.timing.delta_ms
        self.catch_up = CatchUp(delta_ms, max(4 * delta_ms, self.timing.alpha_ms))
        self.fetch = Fetch(2 * delta_ms)
        self.proposed_slots: deque[int] = deque(maxlen=PROPOSED_SLOTS_REMEMBERED)
        self.amnesia_slot: int | None = None
        """While set, nothing is signed at heights whose parent's slot is not beyond it + 1."""
        self.proposal_bytes_max = BLOCK_BYTES_MAX
        self.answered_ms: dict[bytes, int] = {}
        """Peers that were sent the tip, and when: nobody gets it twice within delta."""
        self.tip_broadcast_ms: int | None = None
        self.early_is_due = False
        """A height was decided: messages held for the next one can be judged."""
        self.effects = Effects()
        self.now_ms = 0
        self.instance = Instance(chain.height, chain.schedule.first)

    # ---- who I am at this height -----------------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether this node is in the working height's committee."""
        return self.me in self.chain.committee

    @property
    def may_sign(self) -> bool:
        """Member, and not bound by a lost vote store (CONSENSUS section 6)."""
        if self.amnesia_slot is not None and self.chain.tip_slot <= 1 + self.amnesia_slot:
            return False
        return self.is_member and self._signer_here is not None

    @property
    def _signer_here(self) -> Signer | None:
        """With the key that the working height's committee knows this node by; None: it is not held."""
        if not isinstance(self._signer, RenewedSigner):
            return self._signer
        return self._signer.under(self.chain.committee.keys[self.me])

    def leads(self, view: int) -> bool:
        """Whether this node is leader(h, view)."""
        return self.chain.schedule.leader(view) == self.me

    # ---- effects ---------------------------------------------------------------------------------

    def begin(self, now_ms: int) -> None:
        """A new step."""
        self.now_ms = now_ms
        self.effects = Effects()

    def persist(self, record: Record) -> None:
        """Durable before anything of this step is sent."""
        self.effects.persist.append(record)

    def send(self, message: Message, to: Sequence[bytes] = EVERYBODY) -> None:
        """Send to others; a node never sends to itself."""
        if self.me in to:
            raise InvariantError("a node sends to itself")
        self.effects.send.append(Send(tuple(to), message))

    def refuse(self, code: str, peer: bytes) -> None:
        """Count a refusal."""
        self.counters["refused_" + code] += 1
        self.effects.refused.append(Refusal(code, peer))

    def keep_block(self, known: KnownBlock) -> None:
        """Make an undecided block durable, so that it can be delivered after a restart."""
        if self.instance.blocks.mark_durable(known.digest):
            self.persist(BlockRecord(self.instance.height, known.digest, known.raw))

    def sign(self, vote: V) -> V:
        """Sign, remember and persist an own message; the caller sends it in the same step."""
        signer = self._signer_here if self.may_sign else None
        if signer is None:
            raise InvariantError("a node that may not sign at this height signs")
        kind = kind_of(vote)
        if self.instance.signed.get(kind, vote.view) is not None:
            raise InvariantError(f"a second {kind.name} in view {vote.view} of height {vote.height}")
        chain_id = self.rules.signed_chain(self.chain.chain_id)
        signed = msgspec.structs.replace(vote, signature=signer.sign(vote.signed_bytes(chain_id)))
        self.instance.signed.add(kind, signed)
        self.persist(
            VoteRecord(
                kind=kind,
                height=vote.height,
                view=vote.view,
                slot=self.chain.schedule.start_slot(vote.view),
                digest=(vote.prepared_digest or NO_DIGEST) if isinstance(vote, ViewChange) else vote.digest,
                message=encode(signed),
            )
        )
        self.counters["signed_" + VoteKind(kind).name.lower()] += 1
        return signed

    def tip_is_due_to(self, peer: bytes) -> bool:
        """Whether `peer` may be sent the tip (again)."""
        if peer not in self.answered_ms and len(self.answered_ms) >= PEERS_ANSWERED_MAX:
            return False
        last_ms = self.answered_ms.get(peer, self.tip_broadcast_ms)
        if last_ms is None:
            return True
        return not last_ms <= self.now_ms < last_ms + self.timing.delta_ms
