"""One PBFT instance: everything that a node knows and has signed at one height.

Lives here: the mutable state of the working height, in named fields, and the bounded store of its
blocks. Never here: rules, messages being sent. Owns the invariant that nothing outlives its height: a
decided height takes its whole instance with it. Implements the state of CONSENSUS section 4.
"""

from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.evidence import Watch
from p2penergy.consensus.votes import VIEWS_PER_SENDER_MAX, Votes
from p2penergy.messages import Certificate, Prepare, ViewChange, Vote, VoteKind

KNOWN_BLOCKS_MAX = 16


class KnownBlocks:
    """Valid blocks of the working height by digest; the oldest goes first, those in use never."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, KnownBlock] = {}
        self._durable: set[bytes] = set()

    def get(self, digest: bytes) -> KnownBlock | None:
        """The block, if it is known."""
        return self._blocks.get(digest)

    def __contains__(self, digest: object) -> bool:
        return digest in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, known: KnownBlock, in_use: set[bytes]) -> None:
        """Hold a block; digests in `in_use` are not pushed out."""
        self._blocks[known.digest] = known
        if len(self._blocks) > KNOWN_BLOCKS_MAX:
            spare = (digest for digest in self._blocks if digest not in in_use and digest != known.digest)
            oldest = next(spare, None)
            if oldest is not None:
                del self._blocks[oldest]
                self._durable.discard(oldest)

    def mark_durable(self, digest: bytes) -> bool:
        """Note that a held block is on disk; False when it was already."""
        if digest in self._durable:
            return False
        self._durable.add(digest)
        return True


class Signed:
    """What this node signed at this height: of each type the latest three views."""

    def __init__(self) -> None:
        self._votes: dict[VoteKind, dict[int, Vote]] = {kind: {} for kind in VoteKind}

    def get(self, kind: VoteKind, view: int) -> Vote | None:
        """The own message of this type and view."""
        return self._votes[kind].get(view)

    def add(self, kind: VoteKind, vote: Vote) -> None:
        """Remember an own message. MONOTONE makes three views enough: lower ones are closed."""
        views = self._votes[kind]
        views[vote.view] = vote
        if len(views) > VIEWS_PER_SENDER_MAX:
            del views[min(views)]

    def all(self) -> list[Vote]:
        """Everything held, lower views first, in the order of the protocol within a view."""
        held = [(view, kind, vote) for kind, views in self._votes.items() for view, vote in views.items()]
        return [vote for _, _, vote in sorted(held, key=lambda entry: entry[:2])]

    def prepared_digests(self) -> set[bytes]:
        """Blocks that the held own PREPAREs are for."""
        votes = self._votes[VoteKind.PREPARE].values()
        return {vote.digest for vote in votes if isinstance(vote, Prepare)}

    def highest_view(self) -> int | None:
        """The highest view signed for."""
        return max((vote.view for views in self._votes.values() for vote in views.values()), default=None)


class Instance:
    """The state of the working height."""

    def __init__(self, height: int, first: int) -> None:
        self.height = height
        self.first = first
        self.view = first - 1
        """The view entered; first - 1 while none is."""
        self.slot: int | None = None
        """The highest slot that the clock showed at this height; None: not read yet."""
        self.votes = Votes()
        self.watch = Watch()
        self.blocks = KnownBlocks()
        self.signed = Signed()
        self.prepared: Certificate | None = None
        """The highest prepared certificate: (pv, pd)."""
        self.decision: Certificate | None = None
        """A commit certificate whose block is not here yet, or not permanent yet."""
        self.view_change: ViewChange | None = None
        """Own VIEW-CHANGE of the current view, sent again after a delta, then ever more seldom."""
        self.view_change_sent_ms = 0
        self.view_change_sends = 0
        self.to_look_at: set[int] = set()
        """Views in which something changed since they were last looked at."""
        self.untimely: set[int] = set()
        """Views whose proposal waits for its time."""

    def digests_in_use(self) -> set[bytes]:
        """Blocks that this height can't do without."""
        used = {proposal.known.digest for proposal in self.votes.proposals.values()}
        used |= {certificate.digest for certificate in (self.prepared, self.decision) if certificate}
        return used | self.signed.prepared_digests()

    def add_block(self, known: KnownBlock) -> None:
        """Hold a valid block of this height."""
        self.blocks.add(known, self.digests_in_use())
