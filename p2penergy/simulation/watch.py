"""The judge of a run: hears every send, acceptance and decision of correct nodes.

Lives here: which invariant is asked when, and what needs more than one message to see. Never here:
changing anything. Together with `wire` and `oracle` it implements CONSENSUS section 10.
"""

from collections import Counter
from typing import TYPE_CHECKING

from p2penergy.consensus.effects import Decision
from p2penergy.consensus.replica import Replica
from p2penergy.messages import (
    Commit,
    Evidence,
    Message,
    Prepare,
    PrePrepare,
    ViewChange,
    encode,
    header_digest,
)
from p2penergy.simulation.coverage import Coverage, Phase, holding
from p2penergy.simulation.justification import Place, unjustified
from p2penergy.simulation.oracle import Oracle, ViolationError
from p2penergy.simulation.roster import second_key
from p2penergy.simulation.wire import StartSlot, WireBook

if TYPE_CHECKING:
    from p2penergy.simulation.node import SimNode
    from p2penergy.simulation.world import World

HARMLESS_REFUSALS = frozenset(
    {"duplicate", "height_window", "view_window", "view_left", "own_message", "unknown_signer", "buffer_full"}
)
"""Codes with which a correct node may refuse a correct leader's proposal: none says it is wrong."""

BUFFER_CHECK_STEPS = 8
"""Steps from one look at every buffer of a core to the next; the property test looks after each step."""

_PHASES: dict[type, Phase] = {
    ViewChange: Phase.CHANGED,
    PrePrepare: Phase.PROPOSED,
    Prepare: Phase.PREPARED,
    Commit: Phase.COMMITTED,
}


class Watch:
    """One per run."""

    def __init__(self, world: "World", oracle: Oracle, correct: frozenset[bytes]) -> None:
        self._world = world
        self._correct = correct
        self.oracle = oracle
        self.start_slot = StartSlot(oracle)
        self.wire = WireBook(oracle, correct, self.start_slot)
        self.coverage = Coverage()
        self.refusals: Counter[str] = Counter()
        self.evidence_seen = 0
        self.judges_votes = True
        """Off: only decisions, evidence and progress are judged, so that a wrong rule must do real harm."""
        self._steps = 0
        self._orders: dict[int, tuple[bytes, ...]] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._evidence: set[bytes] = set()
        self._heard: dict[tuple[int, int, int], list[PrePrepare]] = {}

    def _is_correct(self, node: "SimNode") -> bool:
        return node.participant in self._correct

    def sending(self, node: "SimNode", message: Message, raw: bytes) -> None:
        """A node is about to send; raises `ViolationError`."""
        if not self._is_correct(node):
            return
        if not self.judges_votes:
            return
        first_time = self.wire.sends(node.name, node.participant, message, raw, node.disk)
        if first_time and isinstance(message, Prepare):
            self._votes_for(node, message)
        if isinstance(message, PrePrepare):
            self._heard.setdefault((node.seat, message.height, message.view), []).append(message)
        if first_time and isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
            self._cover(node, message)

    def accepted(self, node: "SimNode", message: Message) -> None:
        """A verified message goes into a node's core; raises `ViolationError`."""
        if not self._is_correct(node) or not self.judges_votes:
            return
        self.wire.hears(node.participant, message)
        if isinstance(message, PrePrepare):
            self._heard.setdefault((node.seat, message.height, message.view), []).append(message)

    def refused(self, node: "SimNode", source: "SimNode", message: Message, raw: bytes, code: str) -> None:
        """A node refused a message; raises `ViolationError` when no correct node may."""
        if not self._is_correct(node):
            return
        self.refusals[code] += 1
        if not isinstance(message, PrePrepare) or code in HARMLESS_REFUSALS or not self.judges_votes:
            return
        known = self.wire.signed.get((message.sender, PrePrepare, message.height, message.view))
        if message.sender in self._correct and known is not None and known.raw == raw:
            raise ViolationError(
                "justified",
                f"{node.name} refuses ({code}) the proposal ({message.height}, {message.view}) of correct "
                f"leader {self._world.name_of(message.sender)}",
            )

    def _votes_for(self, node: "SimNode", message: Prepare) -> None:
        """A PREPARE needs a justified proposal that its sender had, and a fresh one its own time."""
        height, view = message.height, message.view
        order = self._order_at(node, height)
        if order is None:
            return
        proposals = self._heard.get((node.seat, height, view), ())
        start_slot = self.start_slot(height, view)
        place = Place(order, self.oracle.first_slot(height), start_slot, order[view % len(order)])
        said: str | None = "it has no such proposal"
        for proposal in proposals:
            if proposal.digest == message.digest:
                said = unjustified(proposal, place, self.oracle.certificate_fault)
                # What a start sends was signed by an earlier process, at a moment that it does not know.
                if said is None and node.asked_at_ms is not None and not _reproposes(proposal):
                    said = self._untimely(node.asked_at_ms, height, view)
                if said is None:
                    return
        raise ViolationError("unjustified vote", f"{node.name} PREPAREs ({height}, {view}): {said}")

    def _order_at(self, node: "SimNode", height: int) -> tuple[bytes, ...] | None:
        known = self._orders.get(height)
        if known is not None or node.replica is None:
            return known
        try:
            return node.replica.committee(height).members
        except KeyError:
            # A slow disk let this through heights later; nobody else was there.
            return None

    def _untimely(self, signed_at_ms: int, height: int, view: int) -> str | None:
        table, eps_ms = self.oracle.timetable, self._world.settings.eps_ms
        starts_ms = table.starts_ms(self.start_slot(height, view))
        ends_ms = table.starts_ms(self.start_slot(height, view + 1))
        is_timely = starts_ms - eps_ms <= signed_at_ms <= ends_ms + eps_ms
        return None if is_timely else "a fresh block out of its time"

    def evidence(self, node: "SimNode", evidence: Evidence) -> None:
        """A node claims to have caught somebody; raises `ViolationError` when it is not true."""
        if not self._is_correct(node):
            return
        self.evidence_seen += 1
        raw = encode(evidence)
        if raw in self._evidence:
            return
        self._evidence.add(raw)
        fault = self._evidence_fault(evidence)
        if fault is not None:
            raise ViolationError(
                "evidence", f"{node.name} accuses {self._world.name_of(evidence.sender)}: {fault}"
            )

    def _evidence_fault(self, evidence: Evidence) -> str | None:
        if evidence.sender in self._correct:
            return "a correct member"
        one, other = evidence.first, evidence.second
        if one.kind is not other.kind:
            return "the two statements are of different types"
        # Its committee may follow from a block of this very step: whichever key of the member signed will do.
        first = self._world.key_of(evidence.sender)
        keys = () if first is None else (first, second_key(first))
        for side in (one, other):
            signed = side.signed_bytes(self._world.chain_id, evidence.sender)
            if not any(self._world.ring.checker.check(key, signed, side.signature) for key in keys):
                return "a statement is not signed by it"
        if one.signed_bytes(b"", b"") == other.signed_bytes(b"", b""):
            return "twice the same statement"
        return None

    def decided(self, node: "SimNode", decision: Decision) -> None:
        """A node decided; raises `ViolationError`."""
        if not self._is_correct(node):
            return
        header = decision.block.header
        disk = node.disk
        if len(disk.decided) < decision.height or disk.decided[decision.height - 1].digest != decision.digest:
            raise ViolationError(
                "durable first", f"{node.name} decides {decision.height} before it is durable"
            )
        if header_digest(header) != decision.digest or header.height != decision.height:
            raise ViolationError("agreement", f"{node.name} decides another block than it says")
        if disk.decided[decision.height - 1].certificate != encode(decision.certificate):
            raise ViolationError(
                "durable first", f"{node.name}: another certificate is durable than decided on"
            )
        self.oracle.decide(node.name, decision.block, decision.certificate, self._world.now_ms)
        if any(node.application.is_on_record(each) for each in self._correct):
            raise ViolationError("evidence", f"a correct member is on record at height {decision.height}")

    def stepped(self, node: "SimNode", replica: Replica) -> None:
        """After every step: place, committee and leader; raises `ViolationError`."""
        self._steps += 1
        if self._steps % BUFFER_CHECK_STEPS == 0:
            over = [held for held in replica.held if not held.is_within]
            if over:
                raise ViolationError("bounds", f"{node.name} holds too much: {over[0]}")
        place = (replica.height, replica.view)
        if self._places.get(node.seat) == place or not self._is_correct(node) or not self.judges_votes:
            return
        height = replica.height
        if height > self.oracle.height + 1:
            # The decision waits for a slow disk; there will be a later step.
            return
        self._places[node.seat] = place
        if replica.tip_height + 1 != height:
            raise ViolationError("one chain", f"{node.name} works on {height} above {replica.tip_height}")
        order = replica.committee(height).members
        known = self._orders.setdefault(height, order)
        if known != order:
            raise ViolationError("committee", f"{node.name} sees another committee at height {height}")
        if order != self.oracle.panel(height).members:
            raise ViolationError("committee", f"{node.name} does not see the committee of {height} as drawn")
        if replica.first != self.oracle.first_slot(height):
            raise ViolationError("leader", f"{node.name} counts views of {height} from {replica.first}")
        if replica.view < replica.first:
            return
        if replica.leader(height, replica.view) != order[replica.view % len(order)]:
            raise ViolationError("leader", f"{node.name} sees another leader in {place}")

    def order(self, height: int) -> tuple[bytes, ...] | None:
        """The committee of a height in its order, as correct nodes agree on it; None: nobody was there."""
        return self._orders.get(height)

    def led_by_correct(self, slot: int) -> bool:
        """Whether the leader of a past slot, at the height worked on when it began, is correct.

        Slots of stretched views have no leader of their own: for those within the first 2n of a height.
        """
        starts_ms = self.oracle.timetable.starts_ms(slot)
        height = 1 + sum(decided.moment_ms < starts_ms for decided in self.oracle.chain)
        order = self.order(height)
        return order is not None and order[slot % len(order)] in self._correct

    def _cover(self, node: "SimNode", message: PrePrepare | Prepare | Commit | ViewChange) -> None:
        height, view = message.height, message.view
        views = [at[1] for at in self._places.values() if at[0] == height]
        gap = max(views) - min(views) if views else 0
        prepared = self.wire.prepared_view(node.participant, height, view)
        attempt = view - self.oracle.first_slot(height) if height <= self.oracle.height + 1 else 0
        self.coverage.note(gap, attempt, _PHASES[type(message)], holding(view, prepared))


def _reproposes(proposal: PrePrepare) -> bool:
    return any(change.prepared_view is not None for change in proposal.justification)
