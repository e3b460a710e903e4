"""One simulated process: the real replica on a virtual clock, disk and network.

Lives here: the driver's work of a real node (admit, check, step, persist, send, answer from the store),
cut into actions between any two of which the process can crash. Never here: rules, judgement. Owns the
invariant that effects are performed in the order of CONSENSUS section 6.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from p2penergy import relaying
from p2penergy.consensus.effects import Decision, Effects, Event, Pending, Received, Send, Tick
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.replica import Replica
from p2penergy.messages import (
    SYNC_BLOCKS_MAX,
    Certificate,
    Decided,
    MalformedMessageError,
    Message,
    Request,
    SyncRequest,
    SyncResponse,
    decode_certificate,
    encode,
)
from p2penergy.signing import RefusedSignatureError, check_message
from p2penergy.simulation.clients import reply_of
from p2penergy.simulation.clocks import NodeClock
from p2penergy.simulation.disk import DiskError
from p2penergy.simulation.oracle import SimulatedApplication

if TYPE_CHECKING:
    from p2penergy.simulation.world import World

FRAME_BYTES_MAX = 1 << 20
TICK_MS_MAX = 1000


class CrashError(Exception):
    """The process ends here and now."""


@dataclass(slots=True)
class CrashOrder:
    """Crash when `action` happened `count` more times."""

    action: str
    count: int
    down_ms: int
    survives_commit: bool = True
    """For a commit under way: whether the disk has it after all."""


@dataclass(slots=True)
class _Waiting:
    effects: Effects
    asked_at_ms: int | None
    due_ms: int = field(default=0)


class SimNode:
    """A seat of the world: one process with one member's key."""

    def __init__(self, world: "World", seat: int, member: int, name: str) -> None:
        self.world = world
        self.seat = seat
        self.member = member
        self.name = name
        self.clock = NodeClock()
        self.disk = world.new_disk()
        self.disk_ms = 0
        self.refused: Counter[str] = Counter()
        self.crash_order: CrashOrder | None = None
        self.paused_until_ms = 0
        self.incarnation = 0
        self.asked_at_ms: int | None = None
        """What its clock showed in the step whose effects are under way; None for those of a start."""
        self.replica: Replica | None = None
        self.application: SimulatedApplication = world.new_application(self)
        self._waiting: deque[_Waiting] = deque()
        self._timer = 0

    # ---- life ---------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the process runs."""
        return self.replica is not None

    @property
    def participant(self) -> bytes:
        """The member's id."""
        return self.world.ring.signers[self.member].participant_id

    def now_ms(self) -> int:
        """What this node's clock shows."""
        return self.clock.shows_ms(self.world.now_ms)

    def start(self) -> None:
        """Come up from what is on the disk."""
        if self.replica is not None:
            return
        self.world.trace.note(self.world.now_ms, self.name, f"starts at height {len(self.disk.decided)}")
        self.incarnation += 1
        self.disk.reopen()
        self.application = self.world.reopened_application(self)
        self.replica = self.world.new_replica(self, self.application)
        self._run(lambda replica: replica.start(self.now_ms()), starts=True)

    def crash(self, down_ms: int | None) -> None:
        """Lose the memory; come up again after `down_ms`, or when somebody starts it."""
        if self.replica is None:
            return
        self.world.trace.note(self.world.now_ms, self.name, "crashes")
        self.replica = None
        self._waiting.clear()
        self._timer += 1
        if down_ms is not None:
            self.world.after(down_ms, self.start)

    # ---- events -------------------------------------------------------------------------------

    def deliver(self, source: "SimNode", raw: bytes) -> None:
        """One frame off the network."""
        if self.replica is None:
            return
        if self.paused_until_ms > self.world.now_ms:
            wait_ms = self.paused_until_ms - self.world.now_ms
            self.world.after(wait_ms, lambda: self.deliver(source, raw))
            return
        if len(raw) > FRAME_BYTES_MAX:
            self.refused["frame_size"] += 1
            return
        try:
            message = self.world.decode(raw)
        except MalformedMessageError as error:
            self.refused[error.code] += 1
            return
        self.world.trace.delivery(self.world.now_ms, source.seat, self.seat, raw)
        self._take(message, raw, source)

    def _take(self, message: Message, raw: bytes, source: "SimNode") -> None:
        if isinstance(message, Request):
            self.request(message.transactions, message.relayed)
        elif isinstance(message, SyncRequest):
            self._answer_sync(message, source.participant)
        else:
            self._consensus(message, raw, source)

    def _consensus(self, message: Message, raw: bytes, source: "SimNode") -> None:
        replica = self.replica
        assert replica is not None
        refusal = replica.admit(message, source.participant)
        if refusal is not None:
            self.refused[refusal] += 1
            self.world.watch.refused(self, source, message, raw, refusal)
            return
        try:
            checkable, key_of = replica.checkable(message)
            verified = check_message(checkable, raw, self.world.chain_id, key_of, self.world.ring.checker)
        except RefusedSignatureError as error:
            self.refused[error.code] += 1
            return
        self.world.watch.accepted(self, checkable)
        self.drive(Received(verified, source.participant), (source, message, raw))

    def request(self, transactions: tuple[bytes, ...], relayed: bool = False) -> None:
        """A client's transactions, relayed once to everybody."""
        if self.replica is None or self.paused_until_ms > self.world.now_ms:
            return
        fresh = tuple(raw for raw in transactions if self.application.submit(raw))
        if not fresh:
            return
        if not relayed:
            self.transmit(Send((), Request(fresh, relayed=True)))
        self.drive(Pending())

    def _answer_sync(self, request: SyncRequest, peer: bytes) -> None:
        start = max(0, request.height - 1)
        records = self.disk.decided[start : start + min(request.count, SYNC_BLOCKS_MAX)]
        if records:
            blocks = tuple(Decided(r.block, decode_certificate(r.certificate)) for r in records)
            self.transmit(Send((peer,), SyncResponse(len(self.disk.decided), blocks)))

    def drive(self, event: Event, cause: "tuple[SimNode, Message, bytes] | None" = None) -> None:
        """One step of the replica and all it asks for."""
        self._run(lambda replica: replica.step(event, self.now_ms()), cause)

    def _run(
        self, step: "_Step", cause: "tuple[SimNode, Message, bytes] | None" = None, starts: bool = False
    ) -> None:
        replica = self.replica
        if replica is None:
            return
        height, asked_at_ms = replica.height, None if starts else self.now_ms()
        try:
            effects = step(replica)
        except InvariantError:
            if self.world.is_correct(self):
                raise
            # Liars and twins confuse themselves; their process ends, nobody else's.
            self.crash(self.world.settings.alpha_ms)
            return
        for refusal in effects.refused:
            self.refused[refusal.code] += 1
            # A new height brings up messages held for it: their refusals are not the cause's.
            if cause is not None and replica.height == height:
                self.world.watch.refused(self, cause[0], cause[1], cause[2], refusal.code)
        for evidence in effects.evidence:
            self.world.watch.evidence(self, evidence)
        self._schedule(effects.wake_at_ms)
        if effects.persist or effects.send or effects.decided:
            self._queue(effects, asked_at_ms)
        self.world.watch.stepped(self, replica)
        for evidence in effects.evidence:
            raw = self.application.accusation(self.world.ring.signers[self.member], evidence)
            if raw is not None:
                self.request((raw,))

    # ---- effects ------------------------------------------------------------------------------

    def _queue(self, effects: Effects, asked_at_ms: int | None) -> None:
        """At once on a fast disk; behind earlier commits on a slow one, as the real outbox does."""
        if self.disk_ms == 0 and not self._waiting:
            self._guarded(effects, asked_at_ms)
            return
        due_ms = self.world.now_ms + (self.disk_ms if effects.persist else 0)
        if self._waiting:
            due_ms = max(due_ms, self._waiting[-1].due_ms)
        self._waiting.append(_Waiting(effects, asked_at_ms, due_ms))
        incarnation = self.incarnation
        self.world.after(max(0, due_ms - self.world.now_ms), lambda: self._release(incarnation))

    def _release(self, incarnation: int) -> None:
        while (
            incarnation == self.incarnation
            and self.replica is not None
            and self._waiting
            and self._waiting[0].due_ms <= self.world.now_ms
        ):
            waited = self._waiting.popleft()
            self._guarded(waited.effects, waited.asked_at_ms)

    def _guarded(self, effects: Effects, asked_at_ms: int | None) -> None:
        self.asked_at_ms = asked_at_ms
        try:
            self._perform(effects)
        except CrashError:
            order = self.crash_order
            self.crash_order = None
            self.crash(order.down_ms if order is not None else None)
        except InvariantError:
            # The last guards, below the core; of liars and twins, only their own process ends.
            if self.world.is_correct(self):
                raise
            self.crash(self.world.settings.alpha_ms)
        except DiskError:
            self.world.trace.note(self.world.now_ms, self.name, "halts: its disk failed")
            self.crash(None)

    def _perform(self, effects: Effects) -> None:
        if effects.persist:
            self._commit(effects)
        for send in effects.send:
            self._boundary("send")
            self.transmit(send)
        self._boundary("sent")
        for decision in effects.decided:
            self._decided(decision)
            self._boundary("decided")

    def _commit(self, effects: Effects) -> None:
        order = self.crash_order
        if order is not None and order.action == "commit":
            order.count -= 1
            if order.count <= 0:
                if order.survives_commit:
                    self._write(effects)
                raise CrashError
        self._write(effects)
        self._boundary("durable")

    def _write(self, effects: Effects) -> None:
        self.disk.commit(effects.persist)
        for decision in effects.decided:
            # Durable by now: the judges must know of it before they see what is sent on top of it.
            self.world.watch.decided(self, decision)
            if self.world.is_correct(self):
                self.world.on_decision(self, decision.height)

    def _boundary(self, action: str) -> None:
        order = self.crash_order
        if order is not None and order.action == action:
            order.count -= 1
            if order.count <= 0:
                raise CrashError

    def _decided(self, decision: Decision) -> None:
        self.world.trace.note(
            self.world.now_ms,
            self.name,
            f"decides {decision.height} in view {decision.view}: {decision.digest.hex()[:6]}"
            + (" by catch-up" if decision.caught_up else ""),
        )
        if not decision.caught_up:
            self.world.client.hear(reply_of(self.world.signer(self.member), self.world.chain_id, decision))

    def transmit(self, send: Send) -> None:
        """Encode once; the network takes it to every seat of every addressee."""
        raw = encode(send.message)
        self.world.watch.sending(self, send.message, raw)
        targets = self.targets(send)
        if self.world.trace.readable:
            names = self.world.names(targets, self)
            self.world.trace.say(self.world.now_ms, self.name, send.message, "to", names)
        for seat in targets:
            if seat != self.seat:
                self.post(seat, send.message, raw)

    def targets(self, send: Send) -> Sequence[int]:
        """Seats of the addressees; EVERYBODY is the committee, for DECIDED and requests all members."""
        if send.to:
            return self.world.seats_of(send.to)
        replica, message = self.replica, send.message
        if self.world.settings.relayed and replica is not None and isinstance(message, Decided):
            return self._relayed_to(replica, message.certificate)
        if replica is None or isinstance(message, Decided | Request):
            return self.world.everybody
        return self.world.committee_seats(replica.committee(replica.height).members)

    def _relayed_to(self, replica: Replica, certificate: Certificate) -> Sequence[int]:
        """As a real node tells of a block: nobody of its committee, and of all others those of its lot."""
        # Of two blocks in one step, the older one's committee is not at hand any more.
        height = max(certificate.height, replica.tip_height)
        order = replica.committee(height).members
        others = {node.participant for node in self.world.nodes}.difference(order, (self.participant,))
        told = relaying.served_by(self.participant, sorted(others), certificate.digest, order)
        return self.world.seats_of(told)

    def post(self, seat: int, message: Message, raw: bytes) -> None:
        """One frame to one seat."""
        self.world.send(self.seat, seat, type(message).__name__, raw)

    # ---- the timer ----------------------------------------------------------------------------

    def _schedule(self, wake_at_ms: int | None) -> None:
        self._timer += 1
        timer = self._timer
        wait_ms = TICK_MS_MAX
        if wake_at_ms is not None:
            wait_ms = min(wait_ms, max(1, wake_at_ms - self.now_ms()))
        self.world.after(wait_ms, lambda: self._on_timer(timer))

    def _on_timer(self, timer: int) -> None:
        if timer != self._timer:
            return
        if self.paused_until_ms > self.world.now_ms:
            self.world.after(self.paused_until_ms - self.world.now_ms, lambda: self._on_timer(timer))
            return
        self.drive(Tick())


class _Step(Protocol):
    def __call__(self, replica: Replica, /) -> Effects: ...
