"""A whole network in one process, on virtual time.

Lives here: the clock, the heap of what is due, the seats, the clients, and who talks to whom. Never
here: the wall clock, threads, unseeded chance. Owns the invariant "same seed, same trace": everything
that happens is an entry of one heap, in the order of (time, number).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.replica import Replica
from p2penergy.ledger import versions_of
from p2penergy.messages import Message, decode_message
from p2penergy.signing import Signer
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.clients import SimClient
from p2penergy.simulation.counter import CounterApplication, hash_chain
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.disk import Disk, StoredDisk
from p2penergy.simulation.households import (
    CounterLoad,
    HouseholdLoad,
    Load,
    SimulatedLedger,
    TurnoverLoad,
)
from p2penergy.simulation.network import VirtualNetwork
from p2penergy.simulation.node import SimNode
from p2penergy.simulation.oracle import Oracle, SimulatedApplication, ViolationError
from p2penergy.simulation.settings import T0_MS, Settings, make_genesis
from p2penergy.simulation.signatures import member_of
from p2penergy.simulation.trace import Trace
from p2penergy.simulation.watch import Watch

EVENTS_MAX = 400_000
DECODED_MAX = 4096


class NodeFactory(Protocol):
    """How a seat is made: a correct node, or a Byzantine one."""

    def __call__(self, world: "World", seat: int, member: int, name: str, /) -> SimNode:
        """Make it, down."""


class ReplicaFactory(Protocol):
    """How a node's core is made; tests put wrong rules in here."""

    def __call__(self, node: SimNode, application: SimulatedApplication, /) -> Replica:
        """Make it, from what the node's disk holds."""


class World:
    """Build it, `start()`, then `run_until(...)`."""

    def __init__(
        self,
        seed: int,
        settings: Settings,
        corrupt: Mapping[int, Sequence[NodeFactory]] | None = None,
        replica_factory: ReplicaFactory | None = None,
        readable: bool = False,
    ) -> None:
        """`corrupt`: for each Byzantine member the seats that hold its key."""
        corrupt = corrupt or {}
        self.settings = settings
        self.seed = seed
        self.genesis = make_genesis(settings)
        self.chain_id = self.genesis.chain_id
        self.ring = settings.ring()
        self.dice = Dice(seed, "world")
        self.now_ms = T0_MS
        self.trace = Trace(readable)
        self.rounds_done = 0
        self.decision_hooks: list[Callable[[SimNode, int], None]] = []
        self.submitted: list[bytes] = []
        self.load = self._load()
        self._replica_factory = replica_factory or self._plain_replica
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._entries = 0
        self._decoded: dict[bytes, Message] = {}
        self._committee_seats: dict[tuple[bytes, ...], tuple[int, ...]] = {}
        self.network = VirtualNetwork(Dice(seed, "network"), settings.delay_ms_max, self._post)
        members = range(settings.everybody)
        self.correct_members = tuple(member for member in members if member not in corrupt)
        correct = frozenset(self.ring.signers[member].participant_id for member in self.correct_members)
        self.watch = Watch(self, Oracle(self.genesis, self._bare_application(), self.ring.checker), correct)
        self.timetable = self.watch.oracle.timetable
        self.client = SimClient(
            self.watch.oracle, self.chain_id, settings.members, self.key_of, self.ring.checker
        )
        ledger = self._bare_application()
        self._genesis_versions = versions_of(ledger.items()) if isinstance(ledger, SimulatedLedger) else []
        self.nodes: list[SimNode] = []
        self._seats: dict[bytes, list[int]] = {}
        for member in members:
            self._seat(corrupt.get(member, (SimNode,))[0], member, str(member))
        for member, factories in corrupt.items():
            for number, factory in enumerate(factories[1:], start=1):
                self._seat(factory, member, str(member) + "'" * number)
        self.everybody = tuple(range(len(self.nodes)))

    # ---- making -------------------------------------------------------------------------------

    def _seat(self, factory: NodeFactory, member: int, name: str) -> None:
        seat = len(self.nodes)
        self.nodes.append(factory(self, seat, member, name))
        self._seats.setdefault(self.ring.signers[member].participant_id, []).append(seat)

    def _bare_application(self) -> SimulatedApplication:
        if self.settings.application == "ledger":
            return SimulatedLedger(self.genesis, self.ring.checker)
        return CounterApplication(self.genesis)

    def _load(self) -> Load:
        if self.settings.application == "ledger":
            return HouseholdLoad(self.genesis, self.ring.signers)
        dice = Dice(self.seed, "load")
        if self.settings.turnover:
            return TurnoverLoad(dice, self.settings.members, self.settings.outsiders)
        return CounterLoad(dice, self.settings.everybody, self.settings.membership)

    def new_application(self, node: SimNode) -> SimulatedApplication:
        """An application at genesis, for one incarnation of a node."""
        application = self._bare_application()
        if self.settings.verification and isinstance(application, CounterApplication):
            application.wants_verification = lambda height: (height + node.member) % 3 == 0
        return application

    def reopened_application(self, node: SimNode) -> SimulatedApplication:
        """The application at the node's tip: out of the store's rows, or by executing its blocks again."""
        tip = node.disk.tip()
        if isinstance(node.disk, StoredDisk) and tip is not None:
            header = tip[0].header
            ledger = SimulatedLedger.restore(
                self.genesis, self.ring.checker, header.height, node.disk.state()
            )
            if ledger.state_root != header.state_root:
                raise InvariantError(f"{node.name}: the rows of height {header.height} are another state")
            return ledger
        application = self.new_application(node)
        for record in node.disk.decided:
            application.commit(application.execute(record.outcome.draft))
        return application

    def new_disk(self, amnesia_slot: int | None = None) -> Disk:
        """An empty disk."""
        if not self.settings.real_store:
            return Disk(amnesia_slot)
        return StoredDisk(self.chain_id, self._genesis_versions, amnesia_slot)

    def new_replica(self, node: SimNode, application: SimulatedApplication) -> Replica:
        """The core of one incarnation of a node."""
        return self._replica_factory(node, application)

    def _plain_replica(self, node: SimNode, application: SimulatedApplication) -> Replica:
        return Replica(
            self.signer(node.member),
            self.genesis,
            application,
            hash_chain(node.member),
            self.ring.checker,
            node.disk.restored(),
        )

    def signer(self, member: int) -> Signer:
        """A member's signer."""
        return self.ring.signers[member]

    # ---- time ---------------------------------------------------------------------------------

    def after(self, wait_ms: int, action: Callable[[], None]) -> None:
        """Do something `wait_ms` from now."""
        self._entries += 1
        heappush(self._heap, (self.now_ms + wait_ms, self._entries, action))

    def at(self, moment_ms: int, action: Callable[[], None]) -> None:
        """Do something at a moment, or now when it has passed."""
        self.after(max(0, moment_ms - self.now_ms), action)

    @property
    def slot(self) -> int:
        """The true slot."""
        return self.timetable.slot(self.now_ms)

    def run_until(self, moment_ms: int, enough: Callable[[], bool] | None = None) -> None:
        """Let things happen until a moment, or until `enough` after some event.

        Raises:
            ViolationError: an invariant broke, or the run does not end.
        """
        heap = self._heap
        while heap and heap[0][0] <= moment_ms:
            self.now_ms, _, action = heappop(heap)
            action()
            self.rounds_done += 1
            if self.rounds_done > EVENTS_MAX:
                raise ViolationError("bounds", f"more than {EVENTS_MAX} events in one run")
            if enough is not None and enough():
                return
        self.now_ms = max(self.now_ms, moment_ms)

    # ---- talking ------------------------------------------------------------------------------

    def send(self, source: int, target: int, kind: str, raw: bytes, extra_ms: int = 0) -> None:
        """One frame from seat to seat."""
        self.network.send(source, target, kind, self.slot, raw, extra_ms)

    def _post(self, source: int, target: int, delay_ms: int, raw: bytes) -> None:
        nodes = self.nodes
        self.after(delay_ms, lambda: nodes[target].deliver(nodes[source], raw))

    def decode(self, raw: bytes) -> Message:
        """`decode_message`, remembered: a frame to nine members is decoded once."""
        message = self._decoded.get(raw)
        if message is None:
            if len(self._decoded) >= DECODED_MAX:
                self._decoded.clear()
            message = self._decoded[raw] = decode_message(raw)
        return message

    def seats_of(self, participants: Iterable[bytes]) -> list[int]:
        """The seats that hold these members' keys."""
        return [seat for participant in participants for seat in self._seats.get(participant, ())]

    def committee_seats(self, order: tuple[bytes, ...]) -> Sequence[int]:
        """The seats of a committee, in its order."""
        known = self._committee_seats.get(order)
        if known is None:
            known = self._committee_seats[order] = tuple(self.seats_of(order))
        return known

    def key_of(self, participant: bytes) -> bytes | None:
        """A member's public key."""
        member = member_of(participant)
        return self.ring.public_keys[member] if 0 <= member < self.settings.everybody else None

    def name_of(self, participant: bytes) -> str:
        """A member's number."""
        return str(member_of(participant))

    def names(self, seats: Iterable[int], but: SimNode) -> str:
        """Seats for readers."""
        return " ".join(self.nodes[seat].name for seat in seats if seat != but.seat)

    # ---- clients ------------------------------------------------------------------------------

    def submit(self, raw: bytes, seats: Iterable[int]) -> None:
        """A client hands a transaction to some seats."""
        if raw not in self.submitted:
            self.submitted.append(raw)
        for seat in seats:
            delay_ms = self.dice.between(1, self.settings.delay_ms_max)
            self.after(delay_ms, partial(self.nodes[seat].request, (raw,)))

    def some_seats(self) -> tuple[int, ...]:
        """f+1 members' seats, by lot: at least one of them is correct."""
        members = range(self.settings.everybody)
        return self.dice.sample(members, faulty_max(self.settings.everybody) + 1)

    def undecided(self) -> list[bytes]:
        """Submitted transactions that the chain does not hold yet, and may."""
        oracle = self.watch.oracle
        return [raw for raw in self.submitted if raw not in oracle.transactions and oracle.may_hold(raw)]

    # ---- hooks --------------------------------------------------------------------------------

    def on_decision(self, node: SimNode, height: int) -> None:
        """A correct node decided; faults that wait for that act now."""
        for hook in self.decision_hooks:
            hook(node, height)

    def is_correct(self, node: SimNode) -> bool:
        """Whether a seat's member keeps the rules."""
        return node.member in self.correct_members

    def correct_nodes(self) -> list[SimNode]:
        """The seats of correct members."""
        return [self.nodes[member] for member in self.correct_members]

    def start(self) -> None:
        """Bring everybody up, in an order and at moments drawn by lot."""
        for node in self.nodes:
            self.after(self.dice.below(self.settings.alpha_ms // 10), node.start)
