"""What one step of the core asks its driver to do, in one ordered value.

Lives here: events in, effects out. Never here: doing any of it. Owns the order that CONSENSUS section 6
demands: first `persist` (all in one durable commit), then `send`, then `decided` (replies, events),
then the timer.
"""

from dataclasses import dataclass, field

from p2penergy.consensus.ports import Outcome
from p2penergy.messages import Block, Certificate, CommitteeMembers, Evidence, Message, VoteKind
from p2penergy.signing import Verified

# ---- events: what `Replica.step` takes ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A verified consensus message from the peer that delivered it (not always its signer)."""

    message: Verified[Message]
    peer: bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; the driver sends one at or after `Effects.wake_at_ms`."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The application has something to propose since the last step."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A decided block with a certificate that came by catch-up, both not yet checked by the chain."""

    block: bytes
    certificate: Certificate
    peer: bytes
    remaining: int | None = None
    """How many blocks of the same answer are on their way behind this one; None: the driver can't tell."""


Event = Received | Tick | Pending | Adopted

# ---- records: what must be durable before anything of the same step is sent ------------------------


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """The view entered at this height; never goes back."""

    height: int
    view: int


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """An own signed message, whole, byte for byte as it will be sent.

    At most one per (kind, height, view); for PRE-PREPARE `slot` is the view's start slot.
    """

    kind: VoteKind
    height: int
    view: int
    slot: int
    digest: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """An undecided block that this node PREPAREd or must be able to deliver."""

    height: int
    digest: bytes
    block: bytes


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """The highest prepared certificate of this height."""

    height: int
    view: int
    digest: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class DecidedRecord:
    """A decided block, its certificate, and what executing it wrote."""

    height: int
    digest: bytes
    block: bytes
    certificate: bytes
    outcome: Outcome
    committee_root: bytes = b""
    committee: CommitteeMembers = ()
    """Who decided it, with their keys; () where nobody needs to be told."""


Record = ViewRecord | VoteRecord | BlockRecord | PreparedRecord | DecidedRecord

# ---- the rest of the effects ---------------------------------------------------------------------

EVERYBODY: tuple[bytes, ...] = ()
"""`Send.to` when a message goes to the whole committee and, for DECIDED, to every full member."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message to the named peers (never the node itself), or to EVERYBODY."""

    to: tuple[bytes, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Decision:
    """A block became permanent: reply to its clients, publish its events."""

    height: int
    view: int
    digest: bytes
    block: Block
    certificate: Certificate
    order: tuple[bytes, ...]
    """The committee of this height in its order."""
    outcome: Outcome
    caught_up: bool
    """True when it came by catch-up: others have answered its clients long ago."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something from `peer` was refused; counted by `code`, never stops the loop."""

    code: str
    peer: bytes


@dataclass(slots=True)
class Effects:
    """One ordered value: persist, then send, then decided, evidence, refusals, timer."""

    persist: list[Record] = field(default_factory=list)
    send: list[Send] = field(default_factory=list)
    decided: list[Decision] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    wake_at_ms: int | None = None
    """When the next Tick is due, unix milliseconds; None: only messages can change anything."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a store gives back at start: the tip, and all that was signed at the height above it."""

    tip: tuple[Block, Certificate] | None = None
    """Last decided block with its certificate; None at genesis."""
    view: int | None = None
    """Stored view of the height above the tip."""
    votes: tuple[VoteRecord, ...] = ()
    blocks: tuple[BlockRecord, ...] = ()
    prepared: PreparedRecord | None = None
    amnesia_slot: int | None = None
    """Slot at start when the vote store was lost (CONSENSUS section 6); None otherwise."""
    proposed_slots: tuple[int, ...] = ()
    """Start slots beyond the tip's of own proposals at decided heights, ascending: they are used up."""
