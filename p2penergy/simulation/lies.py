"""Single lies, to be combined at will.

Lives here: one small class per Byzantine behaviour of CONSENSUS section 11. A lie sees what its member
hears and what its core wants to send, and may change, drop, add. Never here: another member's key: a
lie signs as its own member only.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from p2penergy.blocks import InvalidBlockError
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.rules import Rules
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Certificate,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    Status,
    SyncResponse,
    ViewChange,
    Vote,
    certificate_digest,
    decode_block,
    decode_message,
    encode,
    header_digest,
)
from p2penergy.simulation.clients import make_reply
from p2penergy.simulation.counter import ADD, hash_chain, transaction

if TYPE_CHECKING:
    from p2penergy.simulation.byzantine import ByzantineNode

HEARD_MAX = 512
FLOOD_MESSAGES = 24
FALSE_TIP = 1_000_000
_NO_SIGNATURE = bytes(64)

V = TypeVar("V", bound=Vote)


@dataclass(slots=True)
class Parcel:
    """A message on its way to one seat."""

    seat: int
    message: Message
    extra_ms: int = 0


class Lie:
    """Does nothing wrong; every lie overrides one or more of the three."""

    def __init__(self, node: "ByzantineNode") -> None:
        self.node = node
        self.dice = node.dice

    def hears(self, message: Message, raw: bytes) -> None:
        """Something arrived."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """The core wants to send `message`; what to send instead."""
        return parcels

    def schemes(self) -> Sequence[Parcel]:
        """Something of its own accord, every now and then."""
        return ()

    # ---- tools --------------------------------------------------------------------------------

    def signed(self, message: V, chain_id: bytes | None = None) -> V:
        """The message under this member's signature, whatever it says."""
        signer = self.node.world.signer(self.node.member)
        statement = message.signed_bytes(chain_id or self.node.world.chain_id)
        return msgspec.structs.replace(message, signature=signer.sign(statement))

    def others(self) -> list[int]:
        """All other seats."""
        return [seat for seat in self.node.world.everybody if seat != self.node.seat]

    def to_all(self, message: Message) -> list[Parcel]:
        """A message to all other seats."""
        return [Parcel(seat, message) for seat in self.others()]

    def place(self) -> tuple[int, int]:
        """(height, view) that the own core is in."""
        replica = self.node.replica
        assert replica is not None
        return replica.height, replica.view

    def another_block(self, slot: int, empty: bool) -> KnownBlock | None:
        """A valid block of the working height and this slot that the core did not make."""
        node = self.node
        application = node.application
        tip = application.reveal_tip(node.participant)
        reveal = None if tip is None else hash_chain(node.member).preimage(tip)
        if reveal is None or application.height != len(node.disk.decided):
            return None
        if not empty:
            application.submit(transaction(ADD, self.dice.below(1 << 60)))
        try:
            chain = Chain(node.world.genesis, application, node.world.ring.checker, Rules(), node.disk.tip())
            return chain.build(slot, node.participant, reveal, 0 if empty else 1 << 16)
        except (InvariantError, InvalidBlockError, KeyError):
            return None


class Silent(Lie):
    """Never sends some types of message."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        kinds = (PrePrepare, Prepare, Commit, ViewChange, Decided)
        self._kinds = self.dice.subset(kinds, 500_000) or kinds

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        return [] if isinstance(message, self._kinds) else parcels


class SkippedReveal(Lie):
    """Never proposes, as one would who does not like what its reveal draws."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        return [] if isinstance(message, PrePrepare) else parcels


class LastMoment(Lie):
    """Everything leaves as late as may still count."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        alpha_ms = self.node.world.settings.alpha_ms
        for parcel in parcels:
            parcel.extra_ms += self.dice.between(alpha_ms // 2, alpha_ms - 1)
        return parcels


class TwoFaced(Lie):
    """Proposes one block to some and another to others, and votes for both."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, PrePrepare) or message.certificate is not None:
            return parcels
        known = self.another_block(decode_block(message.block).header.slot, self.dice.chance(500_000))
        if known is None or known.digest == message.digest:
            return parcels
        place = (self.node.participant, message.height, message.view, known.digest)
        other = self.signed(
            msgspec.structs.replace(message, digest=known.digest, block=known.raw, signature=_NO_SIGNATURE)
        )
        late_ms = self.node.world.settings.alpha_ms // 2
        both = [
            Parcel(parcel.seat, other, self.dice.below(late_ms))
            for parcel in parcels
            if self.dice.chance(300_000)
        ]
        for parcel in parcels:
            if self.dice.chance(500_000):
                parcel.message = other
        parcels = [*parcels, *both]
        votes = (self.signed(Prepare(*place, _NO_SIGNATURE)), self.signed(Commit(*place, _NO_SIGNATURE)))
        return [*parcels, *(extra for vote in votes for extra in self.to_all(vote))]


class Yes(Lie):
    """PREPAREs and COMMITs everything that anybody proposes or prepares, at once and to all."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        self._ballots: deque[tuple[int, int, bytes]] = deque(maxlen=HEARD_MAX)
        self._new: list[tuple[int, int, bytes]] = []

    def hears(self, message: Message, raw: bytes) -> None:
        """See `Lie`."""
        if isinstance(message, PrePrepare | Prepare | Commit):
            ballot = (message.height, message.view, message.digest)
            if ballot not in self._ballots:
                self._ballots.append(ballot)
                self._new.append(ballot)

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        parcels = []
        for ballot in self._new:
            for kind in (Prepare, Commit):
                vote = self.signed(kind(self.node.participant, *ballot, _NO_SIGNATURE))
                parcels.extend(self.to_all(vote))
        self._new.clear()
        return parcels


class FalseViewChange(Lie):
    """Says in VIEW-CHANGE that it prepared nothing, or an older block, or one of another height."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        self._mode = self.dice.pick(("none", "stale", "height", "claim"))
        self._certificates: deque[Certificate] = deque(maxlen=8)
        self._proposed: deque[tuple[int, bytes]] = deque(maxlen=8)

    def hears(self, message: Message, raw: bytes) -> None:
        """See `Lie`."""
        if isinstance(message, ViewChange | PrePrepare) and message.certificate is not None:
            self._certificates.append(message.certificate)
        if isinstance(message, PrePrepare):
            self._proposed.append((message.height, message.digest))

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, ViewChange):
            return parcels
        if message.certificate is not None:
            self._certificates.append(message.certificate)
        false = self._false(message)
        for parcel in parcels:
            parcel.message = false
        return parcels

    def _false(self, message: ViewChange) -> ViewChange:
        if self._mode == "claim":
            known = [digest for height, digest in self._proposed if height == message.height]
            digest = known[0] if known else bytes([self.node.member]) * 32
            return self._with(message, max(0, message.view - 1), digest, None)
        if self._mode == "none" or not self._certificates:
            return self._with(message, None, None, None)
        same = [c for c in self._certificates if (c.height == message.height) == (self._mode == "stale")]
        if not same:
            return message
        return self._with(message, same[0].view, same[0].digest, same[0])

    def _with(
        self, message: ViewChange, view: int | None, digest: bytes | None, certificate: Certificate | None
    ) -> ViewChange:
        return self.signed(
            msgspec.structs.replace(
                message, prepared_view=view, prepared_digest=digest, certificate=certificate
            )
        )


class OmittedHighest(Lie):
    """As leader of a later view, proposes afresh although the VIEW-CHANGEs name a prepared block."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        self._changes: dict[tuple[int, int], dict[bytes, ViewChange]] = {}
        self._mode = self.dice.pick(("fresh", "drop", "twice", "other-view", "other-height", "bare", "claim"))
        self._done: set[tuple[int, int]] = set()

    def hears(self, message: Message, raw: bytes) -> None:
        """See `Lie`."""
        if isinstance(message, ViewChange):
            if len(self._changes) > HEARD_MAX:
                self._changes.clear()
            self._changes.setdefault((message.height, message.view), {})[message.sender] = message

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        place = self.place()
        replica = self.node.replica
        changes = list(self._changes.get(place, {}).values())
        if place in self._done or replica is None or replica.view < replica.first:
            return ()
        if replica.leader(*place) != self.node.participant:
            return ()
        height, view = place
        if len(changes) < 1 or height > self.node.world.watch.oracle.height + 1:
            # It may know of a decision before all correct members; then nobody knows yet whose turn it is.
            return ()
        self._done.add(place)
        slot = self.node.world.watch.start_slot(height, view)
        known = self.another_block(slot, self.dice.chance(500_000))
        if known is None:
            return ()
        claims = self._mode == "claim"
        own = self.signed(
            ViewChange(
                self.node.participant,
                height,
                view,
                view - 1 if claims else None,
                known.digest if claims else None,
                _NO_SIGNATURE,
            )
        )
        proposal = PrePrepare(
            self.node.participant,
            height,
            view,
            known.digest,
            _NO_SIGNATURE,
            known.raw,
            self._justification([*changes, own]),
            None,
        )
        return self.to_all(self.signed(proposal))

    def _justification(self, changes: list[ViewChange]) -> tuple[ViewChange, ...]:
        bare = [msgspec.structs.replace(change, certificate=None) for change in changes]
        none = [change for change in bare if change.prepared_view is None]
        if self._mode == "bare":
            return ()
        if self._mode == "drop":
            return tuple(none)
        if self._mode == "twice":
            return tuple(change for change in none for _ in range(2))
        if self._mode in {"other-view", "other-height"}:
            return tuple(none + self._from_elsewhere(bare[0]))
        return tuple(bare)

    def _from_elsewhere(self, here: ViewChange) -> list[ViewChange]:
        """Genuine VIEW-CHANGEs of another view of this height, or of this view at another height."""
        return [
            msgspec.structs.replace(change, certificate=None)
            for (height, view), changes in self._changes.items()
            for change in changes.values()
            if change.prepared_view is None
            and (height == here.height) == (self._mode == "other-view")
            and (view == here.view) == (self._mode == "other-height")
        ]


class DoubleSigners(Lie):
    """Certificates with a vote counted twice, or one vote short."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, PrePrepare | ViewChange | Decided) or message.certificate is None:
            return parcels
        votes = message.certificate.votes
        forged = votes[:-1] if self.dice.chance(500_000) else (*votes[:-1], votes[0])
        certificate = msgspec.structs.replace(message.certificate, votes=forged)
        for parcel in parcels:
            parcel.message = msgspec.structs.replace(message, certificate=certificate)
        return parcels


class EarlyDecision(Lie):
    """Says DECIDED on whatever COMMITs it has, its own for all of them."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        self._blocks: dict[bytes, bytes] = {}
        self._commits: dict[tuple[int, int, bytes], dict[bytes, bytes]] = {}

    def hears(self, message: Message, raw: bytes) -> None:
        """See `Lie`."""
        if isinstance(message, PrePrepare) and len(self._blocks) < HEARD_MAX:
            self._blocks[message.digest] = message.block
        if isinstance(message, Commit) and len(self._commits) < HEARD_MAX:
            ballot = (message.height, message.view, message.digest)
            self._commits.setdefault(ballot, {})[message.sender] = message.signature

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        parcels: list[Parcel] = []
        for ballot, votes in self._commits.items():
            block = self._blocks.get(ballot[2])
            if block is None or ballot[0] < self.place()[0]:
                continue
            own = self.signed(Commit(self.node.participant, *ballot, _NO_SIGNATURE))
            signed = tuple(sorted({**votes, self.node.participant: own.signature}.items()))
            parcels.extend(self.to_all(Decided(block, Certificate(*ballot, signed))))
        self._commits.clear()
        return parcels


class OffByOne(Lie):
    """Any field of any vote may be wrong by a little, and signed so."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, PrePrepare | Prepare | Commit | ViewChange) or self.dice.chance(600_000):
            return parcels
        wrong = self._wrong(message)
        for parcel in parcels:
            if self.dice.chance(600_000):
                parcel.message = wrong
        return parcels

    def _wrong(self, message: Vote) -> Vote:
        names = [name for name in message.__struct_fields__ if name not in {"block", "signature"}]
        name = self.dice.pick(names)
        value = getattr(message, name)
        if isinstance(value, int):
            value = max(0, value + self.dice.pick((-1, 1)))
        elif isinstance(value, bytes):
            value = bytes([value[0] ^ 1]) + value[1:]
        elif isinstance(value, tuple):
            value = value[:-1]
        else:
            value = None
        wrong = msgspec.structs.replace(message, **{name: value})
        return self.signed(wrong) if self.dice.chance(800_000) else wrong


class WrongRoot(Lie):
    """Proposes blocks with one header field wrong."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, PrePrepare):
            return parcels
        block = decode_block(message.block)
        name = self.dice.pick([f for f in block.header.__struct_fields__ if f not in {"stage", "next_stage"}])
        value = getattr(block.header, name)
        value = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
        header = msgspec.structs.replace(block.header, **{name: value})
        raw = encode(msgspec.structs.replace(block, header=header))
        wrong = self.signed(msgspec.structs.replace(message, digest=header_digest(header), block=raw))
        for parcel in parcels:
            parcel.message = wrong
        return parcels


class Orphan(Lie):
    """Proposes blocks without the certificate of their parent."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, PrePrepare):
            return parcels
        block = decode_block(message.block)
        header = msgspec.structs.replace(block.header, parent_certificate_digest=certificate_digest(None))
        raw = encode(msgspec.structs.replace(block, header=header, parent_certificate=None))
        wrong = self.signed(msgspec.structs.replace(message, digest=header_digest(header), block=raw))
        for parcel in parcels:
            parcel.message = wrong
        return parcels


class Replay(Lie):
    """Sends again what it heard, at other times and heights, to anybody."""

    def __init__(self, node: "ByzantineNode") -> None:
        super().__init__(node)
        self._heard: deque[bytes] = deque(maxlen=HEARD_MAX)

    def hears(self, message: Message, raw: bytes) -> None:
        """See `Lie`."""
        self._heard.append(raw)

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        if not self._heard:
            return ()
        seats = self.others()
        return [Parcel(self.dice.pick(seats), decode_message(self.dice.pick(self._heard))) for _ in range(4)]


class OtherChain(Lie):
    """Its votes are signed for another chain."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if isinstance(message, Prepare | Commit) and self.dice.chance(500_000):
            foreign = self.signed(message, bytes(32))
            return [Parcel(parcel.seat, foreign, parcel.extra_ms) for parcel in parcels]
        return parcels


class Stranger(Lie):
    """Votes in the name of members that do not exist, or of others, under its own signature."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if not isinstance(message, Prepare | Commit | ViewChange):
            return parcels
        names = [signer.participant_id for signer in self.node.world.ring.signers] + [b"\xee" * 20]
        false = self.signed(msgspec.structs.replace(message, sender=self.dice.pick(names)))
        return [*parcels, *(Parcel(parcel.seat, false) for parcel in parcels)]


class WithheldBody(Lie):
    """Gives its proposals to a few only, and nobody the block."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if isinstance(message, BlockResponse | SyncResponse):
            return []
        if isinstance(message, PrePrepare):
            return [parcel for parcel in parcels if self.dice.chance(600_000)]
        return parcels


class SelectiveDecided(Lie):
    """Tells some members of a decision, and COMMITs to some."""

    def twist(self, message: Message, parcels: list[Parcel]) -> list[Parcel]:
        """See `Lie`."""
        if isinstance(message, Decided | Commit | SyncResponse):
            return [parcel for parcel in parcels if self.dice.chance(400_000)]
        return parcels


class Flood(Lie):
    """Many signed votes for many views and blocks that nobody proposed."""

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        height, view = self.place()
        parcels: list[Parcel] = []
        kinds: tuple[type[Prepare | Commit], ...] = (Prepare, Commit)
        for _ in range(FLOOD_MESSAGES // len(self.others()) + 1):
            kind = self.dice.pick(kinds)
            digest = bytes([self.dice.below(256)]) * 32
            at = (height + self.dice.between(0, 2), max(0, view + self.dice.between(-2, 4)))
            vote = self.signed(kind(self.node.participant, *at, digest, _NO_SIGNATURE))
            change = ViewChange(self.node.participant, *at, None, None, _NO_SIGNATURE)
            parcels.extend(self.to_all(vote))
            parcels.extend(self.to_all(self.signed(change)))
        parcels.extend(self.to_all(BlockRequest(height, bytes([self.dice.below(256)]) * 32)))
        return parcels


class Censor(Lie):
    """Proposes, but never a client's transaction."""

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        application = self.node.application
        if hasattr(application, "censors"):
            application.censors = True
        return ()


class FalseTip(Lie):
    """Claims to be far ahead, and answers with rubbish."""

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        height, view = self.place()
        claim = SyncResponse(FALSE_TIP, (Decided(b"\x90", Certificate(height, view, bytes(32), ())),))
        seats = self.others()
        return [Parcel(self.dice.pick(seats), Status(FALSE_TIP, view)), Parcel(self.dice.pick(seats), claim)]


class FalseReply(Lie):
    """Tells clients of receipts that no block holds; all who tell this lie tell the same one."""

    def schemes(self) -> Sequence[Parcel]:
        """See `Lie`."""
        world = self.node.world
        signer = world.signer(self.node.member)
        height = max(1, self.place()[0] - 1)
        world.client.hear(make_reply(signer, world.chain_id, height, b"\xfa" * 32, (b"you were paid",)))
        return ()


LIES: dict[str, Callable[["ByzantineNode"], Lie]] = {
    "silent": Silent,
    "skipped-reveal": SkippedReveal,
    "last-moment": LastMoment,
    "two-faced": TwoFaced,
    "yes": Yes,
    "false-view-change": FalseViewChange,
    "omitted-highest": OmittedHighest,
    "double-signers": DoubleSigners,
    "early-decision": EarlyDecision,
    "off-by-one": OffByOne,
    "wrong-root": WrongRoot,
    "orphan": Orphan,
    "replay": Replay,
    "other-chain": OtherChain,
    "stranger": Stranger,
    "withheld-body": WithheldBody,
    "selective-decided": SelectiveDecided,
    "flood": Flood,
    "censor": Censor,
    "false-tip": FalseTip,
    "false-reply": FalseReply,
}
