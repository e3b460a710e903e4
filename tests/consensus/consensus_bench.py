"""One real replica on the bench; everybody else is a hand puppet whose signed messages the test writes."""

from typing import Any, TypeVar

from consensus_harness import FakeChecker, Network, Node, certificate, hash_chain, signed

from p2penergy.consensus import Rules
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.effects import Effects, Tick
from p2penergy.messages import (
    BLOCK_BYTES_MAX,
    Certificate,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    ViewChange,
    VoteKind,
)

NONE = bytes(64)
M = TypeVar("M")


class Bench:
    """A replica that leads view `leads` of height 1, its clock, and what it sent."""

    def __init__(
        self, n: int = 4, *, leads: int = 4, rules: Rules | None = None, start: bool = True, **network: Any
    ) -> None:
        self.network = Network(n, rules=rules, **network)
        self.network.policy = lambda *_: ()
        me = self.network.nodes[0].replica.leader(1, leads)
        self.node: Node = next(node for node in self.network.nodes if node.id == me)
        self.network.judge.byzantine = {node.id for node in self.network.nodes} - {me}
        self.chain_id = self.network.genesis.chain_id
        self.effects: list[Effects] = []
        self.network.on_effects = self._record
        if start:
            self.node.start()

    def _record(self, node: Node, effects: Effects) -> None:
        if node is self.node:
            self.effects.append(effects)

    # ---- the bench ---------------------------------------------------------------------------------

    @property
    def me(self) -> bytes:
        return self.node.id

    @property
    def members(self) -> tuple[bytes, ...]:
        return self.node.replica.committee(self.node.replica.height).members

    @property
    def others(self) -> list[bytes]:
        return [member for member in self.members if member != self.me]

    def leader(self, view: int) -> bytes:
        return self.node.replica.leader(self.node.replica.height, view)

    def at(self, slot: int, offset_ms: int = 0) -> "Bench":
        """Set the clock and tick, without the ticks in between."""
        self.network.now_ms = self.network.slot_ms(slot) + offset_ms
        self.node.step(Tick())
        return self

    def deliver(self, *messages: Message, peer: bytes | None = None) -> None:
        for message in messages:
            if isinstance(message, Prepare):
                said = self.network.judge.prepares[message.height, message.view, message.digest]
                said.add(message.sender)
            self.node.deliver(message, peer or getattr(message, "sender", None) or self.others[0])

    def sent(self, kind: type[M]) -> list[M]:
        """Everything of this type that the replica sent so far."""
        sends = [send.message for effects in self.effects for send in effects.send]
        return [message for message in sends if isinstance(message, kind)]

    def sent_to(self, kind: type[M]) -> list[tuple[bytes, ...]]:
        return [send.to for e in self.effects for send in e.send if isinstance(send.message, kind)]

    @property
    def refused(self) -> set[str]:
        return set(self.node.refused)

    def restart(self, **restored: Any) -> None:
        self.effects.clear()
        self.node.restart()

    # ---- what the others say -----------------------------------------------------------------------

    def chain(self) -> Chain:
        store = self.node.store.restored()
        return Chain(self.network.genesis, self.node.application, FakeChecker(), Rules(), store.tip)

    def block(self, view: int, *transactions: bytes) -> KnownBlock:
        """A valid fresh block of the leader of `view`."""
        application, chain = self.node.application, self.chain()
        mine = application.pending
        application.pending = dict.fromkeys(transactions)
        leader = chain.schedule.leader(view)
        link = application.reveal_tip(leader)
        assert link is not None
        reveal = hash_chain(leader).preimage(link)
        assert reveal is not None
        known = chain.build(chain.schedule.start_slot(view), leader, reveal, BLOCK_BYTES_MAX)
        application.pending = mine
        return known

    @property
    def height(self) -> int:
        return self.node.replica.height

    def pre_prepare(
        self,
        view: int,
        known: KnownBlock,
        changes: tuple[ViewChange, ...] = (),
        proof: Certificate | None = None,
        **fields: Any,
    ) -> PrePrepare:
        values = {"sender": self.leader(view), "height": self.height, "digest": known.digest} | fields
        message = PrePrepare(
            view=view, signature=NONE, block=known.raw, justification=changes, certificate=proof, **values
        )
        result: PrePrepare = signed(message, self.chain_id)
        return result

    def prepare(self, sender: bytes, view: int, digest: bytes) -> Prepare:
        result: Prepare = signed(Prepare(sender, self.height, view, digest, NONE), self.chain_id)
        return result

    def commit(self, sender: bytes, view: int, digest: bytes) -> Commit:
        result: Commit = signed(Commit(sender, self.height, view, digest, NONE), self.chain_id)
        return result

    def view_change(
        self, sender: bytes, view: int, proof: Certificate | None = None, **fields: Any
    ) -> ViewChange:
        values: dict[str, Any] = {
            "height": self.height,
            "prepared_view": proof.view if proof else None,
            "prepared_digest": proof.digest if proof else None,
            "certificate": proof,
        } | fields
        result: ViewChange = signed(
            ViewChange(sender=sender, view=view, signature=NONE, **values), self.chain_id
        )
        return result

    def bare_changes(self, view: int, count: int, proof: Certificate | None = None) -> tuple[ViewChange, ...]:
        """`count` VIEW-CHANGEs as a proposal carries them; the first claims `proof`."""
        senders = self.others[:count]
        return tuple(
            self.view_change(
                sender,
                view,
                certificate=None,
                prepared_view=proof.view if proof and i == 0 else None,
                prepared_digest=proof.digest if proof and i == 0 else None,
            )
            for i, sender in enumerate(senders)
        )

    def certificate(self, kind: VoteKind, view: int, digest: bytes, members: Any = None) -> Certificate:
        members = self.members[:3] if members is None else members
        return certificate(kind, members, self.height, view, digest, self.chain_id)

    def pc(self, view: int, digest: bytes, members: Any = None) -> Certificate:
        return self.certificate(VoteKind.PREPARE, view, digest, members)

    def cc(self, view: int, digest: bytes, members: Any = None) -> Certificate:
        return self.certificate(VoteKind.COMMIT, view, digest, members)

    def decide(self, view: int, *transactions: bytes) -> KnownBlock:
        """Let the others decide a fresh block of `view` and tell the replica."""
        known = self.block(view, *transactions)
        self.deliver(Decided(known.raw, self.cc(view, known.digest)))
        assert self.node.replica.tip_digest == known.digest
        return known
