"""The book of everything that correct members ever signed, judged from the wire.

Lives here: the invariants of CONSENSUS section 10 about single messages: no two digests, MONOTONE,
COMMIT only after PC, one proposal per start slot, durable first, one PC digest per view, authenticity.
Never here: decided blocks (`oracle`), a look into a node's memory. Owns those invariants over restarts:
the book outlives the nodes.
"""

from dataclasses import dataclass, field

from p2penergy.messages import (
    Certificate,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    ViewChange,
    Vote,
    VoteKind,
    encode,
)
from p2penergy.simulation.disk import Disk
from p2penergy.simulation.oracle import Oracle, ViolationError

Ballot = tuple[int, int, bytes]
"""(height, view, digest)."""


@dataclass(slots=True)
class _Signed:
    """What one member said in one (type, height, view)."""

    message: Vote
    raw: bytes


@dataclass(slots=True)
class WireBook:
    """Fed with every message that a correct member sends or accepts."""

    oracle: Oracle
    correct: frozenset[bytes]
    start_slot: "StartSlot"
    signed: dict[tuple[bytes, type, int, int], _Signed] = field(default_factory=dict)
    _views: dict[tuple[bytes, int], int] = field(default_factory=dict)
    _committed: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    _prepares: dict[bytes, dict[Ballot, set[bytes]]] = field(default_factory=dict)
    _everybodys: dict[Ballot, set[bytes]] = field(default_factory=dict)
    _certified: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _proposals: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    # ---- what a correct member sends ---------------------------------------------------------

    def sends(self, who: str, member: bytes, message: Message, raw: bytes, disk: Disk) -> bool:
        """Judge an outgoing message; True when it is a vote said for the first time.

        Raises:
            ViolationError: no correct member sends this.
        """
        if isinstance(message, Decided):
            self._sends_decided(who, message, disk)
            return False
        if not isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
            return False
        if message.sender != member:
            raise ViolationError("forgery", f"{who} sends a vote in another's name")
        key = (member, type(message), message.height, message.view)
        known = self.signed.get(key)
        if known is not None:
            if known.raw != raw and not _same_statement(known.message, message):
                raise ViolationError("equivocation", f"{who} signs twice: {key[1].__name__}{key[2:]}")
            if known.raw == raw:
                return False
        if raw not in disk.messages:
            raise ViolationError(
                "durable first", f"{who} sends {key[1].__name__}{key[2:]} before it is durable"
            )
        if known is not None:
            return False
        if encode(message) != raw:
            raise ViolationError("encoding", f"{who} sends a message that encodes otherwise")
        self.signed[key] = _Signed(message, raw)
        self._first_time(who, member, message, disk)
        return True

    def _sends_decided(self, who: str, message: Decided, disk: Disk) -> None:
        height = message.certificate.height
        if len(disk.decided) < height or disk.decided[height - 1].digest != message.certificate.digest:
            raise ViolationError("durable first", f"{who} sends DECIDED({height}) before it is durable")

    def _first_time(self, who: str, member: bytes, message: Vote, disk: Disk) -> None:
        place = (member, message.height)
        highest = self._views.get(place, 0)
        if message.view < highest and isinstance(message, Prepare | Commit):
            raise ViolationError(
                "monotone",
                f"{who} signs {type(message).__name__}({message.height}, {message.view}) after {highest}",
            )
        if not isinstance(message, PrePrepare):
            self._views[place] = max(highest, message.view)
        if isinstance(message, PrePrepare):
            self._proposes(who, member, message)
            for change in message.justification:
                if change.sender == member:
                    self._says_within(who, member, change, disk)
        elif isinstance(message, Prepare):
            if message.digest not in disk.blocks:
                raise ViolationError("durable first", f"{who} PREPAREs a block that is not durable")
            self.hears(member, message)
        elif isinstance(message, Commit):
            self._commits(who, member, message, disk)
        elif isinstance(message, ViewChange):
            # A start sends a view's VIEW-CHANGE again, perhaps after a COMMIT of that same view.
            earlier = (view for view in self._committed.get(place, ()) if view < message.view)
            committed = max(earlier, default=-1)
            if committed > (-1 if message.prepared_view is None else message.prepared_view):
                raise ViolationError(
                    "commit after PC", f"{who} hides in VIEW-CHANGE that it COMMITted in view {committed}"
                )

    def _says_within(self, who: str, member: bytes, change: ViewChange, disk: Disk) -> None:
        """A leader's own VIEW-CHANGE goes to nobody but into its justification."""
        if not disk.holds(VoteKind.VIEW_CHANGE, change.height, change.view):
            raise ViolationError("durable first", f"{who}: own VIEW-CHANGE within, not durable")
        key = (member, ViewChange, change.height, change.view)
        known = self.signed.setdefault(key, _Signed(change, b""))
        if not _same_statement(known.message, change):
            raise ViolationError("equivocation", f"{who} signs two VIEW-CHANGEs for {key[2:]}")

    def _proposes(self, who: str, member: bytes, message: PrePrepare) -> None:
        slot = self.start_slot(message.height, message.view)
        known = self._proposals.setdefault((member, slot), message.digest)
        if known != message.digest:
            raise ViolationError("one proposal", f"{who} proposes twice in slot {slot}")

    def _commits(self, who: str, member: bytes, message: Commit, disk: Disk) -> None:
        ballot = (message.height, message.view, message.digest)
        committee = self.oracle.committee(message.height)
        voters = self._prepares.get(member, {}).get(ballot, set()) & committee
        needed = self.oracle.quorum(message.height)
        if len(voters) < needed:
            raise ViolationError(
                "commit after PC", f"{who} COMMITs {ballot[:2]} with {len(voters)} of {needed} PREPAREs"
            )
        own = self.signed.get((member, Prepare, message.height, message.view))
        if own is None or not isinstance(own.message, Prepare) or own.message.digest != message.digest:
            raise ViolationError("commit after PC", f"{who} COMMITs {ballot[:2]} without its own PREPARE")
        prepared = disk.prepared(message.height)
        if prepared is None or prepared.view < message.view or message.digest not in disk.blocks:
            raise ViolationError("durable first", f"{who} COMMITs {ballot[:2]}: PC or block not durable")
        self._committed.setdefault((member, message.height), []).append(message.view)

    # ---- what a correct member accepts --------------------------------------------------------

    def hears(self, member: bytes, message: Message) -> None:
        """A correct member took in a verified message.

        Raises:
            ViolationError: a correct member never said this, or two digests are certified in one view.
        """
        if isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
            self._authentic(message)
        if isinstance(message, Prepare):
            self._count(member, (message.height, message.view, message.digest), message.sender)
        elif isinstance(message, PrePrepare | ViewChange) and message.certificate is not None:
            self._count_all(member, message.certificate)
        if isinstance(message, PrePrepare):
            for change in message.justification:
                self._authentic(change)

    def _authentic(self, message: Vote) -> None:
        if message.sender not in self.correct:
            return
        known = self.signed.get((message.sender, type(message), message.height, message.view))
        if known is None or not _same_statement(known.message, message):
            raise ViolationError(
                "forgery",
                f"{type(message).__name__}({message.height}, {message.view}) was never said by its sender",
            )

    def _count_all(self, member: bytes, certificate: Certificate) -> None:
        for voter, _ in certificate.votes:
            self._count(member, (certificate.height, certificate.view, certificate.digest), voter)

    def _count(self, member: bytes, ballot: Ballot, voter: bytes) -> None:
        self._prepares.setdefault(member, {}).setdefault(ballot, set()).add(voter)
        voters = self._everybodys.setdefault(ballot, set())
        if voter in voters:
            return
        voters.add(voter)
        height, view, digest = ballot
        if height > self.oracle.height + 1:
            return
        committee = self.oracle.committee(height)
        if len(voters & committee) >= self.oracle.quorum(height):
            certified = self._certified.setdefault((height, view), digest)
            if certified != digest:
                raise ViolationError("one PC", f"two digests are prepared in ({height}, {view})")

    def prepared_view(self, member: bytes, height: int, view: int) -> int | None:
        """The highest view up to `view` for which the member saw a quorum of PREPAREs."""
        needed = self.oracle.quorum(height)
        views = [
            ballot[1]
            for ballot, voters in self._prepares.get(member, {}).items()
            if ballot[0] == height and ballot[1] <= view and len(voters) >= needed
        ]
        return max(views, default=None)


class StartSlot:
    """(height, view) -> start slot, by the arbiter's timetable."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def __call__(self, height: int, view: int) -> int:
        """The slot in which the view of the height begins."""
        oracle = self._oracle
        return oracle.timetable.start_slot(oracle.first_slot(height), view, len(oracle.committee(height)))


def _same_statement(one: Vote, other: Vote) -> bool:
    """Whether the signed parts agree; certificates travel outside the signature."""
    if isinstance(one, ViewChange) and isinstance(other, ViewChange):
        return (one.prepared_view, one.prepared_digest) == (other.prepared_view, other.prepared_digest)
    if isinstance(one, ViewChange) or isinstance(other, ViewChange):
        return False
    return one.digest == other.digest
