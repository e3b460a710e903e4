"""A whole network of replicas in one thread on virtual time, for tests of the consensus core.

Fast stand-ins for signatures and the application; everything else is the real core. Messages travel as
bytes. A `Judge` watches the wire and the decisions and fails at the first broken invariant.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from p2penergy import beacon
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.committees import Roll
from p2penergy.consensus import Replica, Rules
from p2penergy.consensus.committee import Committee
from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    Decision,
    Effects,
    Event,
    Pending,
    PreparedRecord,
    Received,
    Record,
    Restored,
    Tick,
    ViewRecord,
    VoteRecord,
)
from p2penergy.consensus.ports import Outcome
from p2penergy.digests import merkle_root
from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.messages import (
    Certificate,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    Stage,
    SyncRequest,
    SyncResponse,
    ViewChange,
    VoteKind,
    decode_block,
    decode_certificate,
    decode_message,
    encode,
    statement,
)
from p2penergy.signing import RefusedSignatureError, Verified, check_message

ALPHA_MS, EPS_MS, DELTA_MS, T0_MS = 1000, 20, 50, 1_000_000
CHAIN_LINKS = 400


def participant(i: int) -> bytes:
    return sha256(b"participant %d" % i).digest()[:20]


def public_key(participant_id: bytes) -> bytes:
    return b"\x02" + sha256(participant_id).digest()


def committee_of(members: Sequence[bytes], rules: Rules) -> Committee:
    return Committee(members, Roll.of({member: public_key(member) for member in members}), rules)


class FakeSigner:
    def __init__(self, participant_id: bytes) -> None:
        self.participant_id = participant_id

    def sign(self, message: bytes) -> bytes:
        return sha256(public_key(self.participant_id) + message).digest() * 2


class FakeChecker:
    def check(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == sha256(key + message).digest() * 2


_CHAINS: dict[bytes, beacon.HashChain] = {}


def hash_chain(participant_id: bytes) -> beacon.HashChain:
    if participant_id not in _CHAINS:
        _CHAINS[participant_id] = beacon.HashChain(participant_id, CHAIN_LINKS)
    return _CHAINS[participant_id]


def make_genesis(n: int, **consensus: Any) -> Genesis:
    settings = {"t0_ms": T0_MS, "alpha_ms": ALPHA_MS, "eps_ms": EPS_MS, "delta_ms": DELTA_MS} | consensus
    return Genesis(
        community="test",
        consensus=ConsensusRules(**settings),
        members=tuple(
            Member(
                participant_id=participant(i).hex(),
                public_key=public_key(participant(i)).hex(),
                validator=True,
                beacon_tip=hash_chain(participant(i)).tip.hex(),
            )
            for i in range(n)
        ),
    )


@dataclass(frozen=True)
class State:
    root: bytes
    done: frozenset[bytes]
    volunteers: tuple[bytes, ...]
    tips: dict[bytes, bytes]
    beacon: bytes
    next_stage: Stage


@dataclass(frozen=True)
class FakeOutcome:
    draft: Draft
    receipts: tuple[bytes, ...]
    receipts_root: bytes
    state_root: bytes
    state: State


class FakeApplication:
    """Transactions are bytes; b"leave:"/b"join:" + id change the pool; b"bad" is invalid."""

    def __init__(self, genesis: Genesis) -> None:
        volunteers = tuple(sorted(bytes.fromhex(member.participant_id) for member in genesis.members))
        origin = beacon.origin(genesis.chain_id)
        tips = {v: hash_chain(v).tip for v in volunteers}
        first = genesis.consensus.first_stage
        self.states = [State(origin, frozenset(), volunteers, tips, origin, first)]
        self.pending: dict[bytes, None] = {}
        self.alpha_ms = genesis.consensus.alpha_ms
        self.executions = 0
        self.due_slot: int | None = None
        self.verifiers: tuple[bytes, ...] = ()

    @property
    def height(self) -> int:
        return len(self.states) - 1

    def has_pending(self, slot: int) -> bool:
        return slot == self.due_slot or any(tx not in self.states[-1].done for tx in self.pending)

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        assert height == self.height + 1
        transactions, used = [], 0
        for tx in self.pending:
            if tx not in self.states[-1].done and used + len(tx) + 8 <= bytes_max:
                transactions.append(tx)
                used += len(tx) + 8
        stage = self.states[-1].next_stage
        asks_for_verifiers = any(tx.startswith(b"verify") for tx in transactions)
        next_stage = Stage.VERIFICATION if asks_for_verifiers else Stage.VALIDATION
        return Draft(height, slot, proposer, slot, stage, next_stage, reveal, tuple(transactions), None)

    def give_up(self, transactions: Sequence[bytes]) -> None:
        for tx in transactions:
            self.pending.pop(tx, None)

    def execute(self, draft: Draft) -> FakeOutcome:
        assert draft.height == self.height + 1, "executed on the wrong parent"
        self.executions += 1
        state = self.states[-1]
        if not beacon.reveals(draft.reveal, state.tips.get(draft.proposer, b"")):
            raise InvalidBlockError("wrong_reveal", "not the preimage of the proposer's last link")
        if any(tx in state.done or tx == b"bad" for tx in draft.transactions):
            raise InvalidBlockError("bad_transaction", "a transaction that no correct proposer takes")
        volunteers = set(state.volunteers)
        for tx in draft.transactions:
            if tx.startswith(b"leave:"):
                volunteers.discard(tx[6:])
            if tx.startswith(b"join:"):
                volunteers.add(tx[5:])
        receipts = tuple(sha256(tx).digest() for tx in draft.transactions)
        root = sha256(state.root + b"".join(receipts) + draft.slot.to_bytes(8, "big")).digest()
        tips = {v: hash_chain(v).tip for v in volunteers} | state.tips | {draft.proposer: draft.reveal}
        after = State(
            root,
            state.done | set(draft.transactions),
            tuple(sorted(volunteers)),
            tips,
            beacon.mix(state.beacon, draft.reveal),
            draft.next_stage,
        )
        return FakeOutcome(draft, receipts, merkle_root(receipts), root, after)

    def commit(self, outcome: Outcome) -> None:
        assert isinstance(outcome, FakeOutcome)
        assert outcome.draft.height == self.height + 1
        self.states.append(outcome.state)

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        return public_key(participant_id)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return self.verifiers if stage is Stage.VERIFICATION else self.states[height].volunteers

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return ()

    def last_verification(self, height: int) -> int:
        stages = [state.next_stage for state in self.states[:height]]
        return max((at for at, stage in enumerate(stages, 1) if stage is Stage.VERIFICATION), default=0)

    def beacon(self, height: int) -> bytes:
        return self.states[height].beacon

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        return self.states[-1].tips.get(participant_id)


@dataclass
class Store:
    """What survives a crash."""

    decided: list[tuple[bytes, bytes]] = field(default_factory=list)
    view: ViewRecord | None = None
    votes: dict[tuple[VoteKind, int, int], VoteRecord] = field(default_factory=dict)
    blocks: dict[bytes, BlockRecord] = field(default_factory=dict)
    prepared: PreparedRecord | None = None
    amnesia_slot: int | None = None

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            match record:
                case ViewRecord():
                    self.view = record
                case VoteRecord():
                    key = (record.kind, record.height, record.view)
                    assert key not in self.votes, "a second vote of one type for one view"
                    self.votes[key] = record
                case BlockRecord():
                    self.blocks[record.digest] = record
                case PreparedRecord():
                    self.prepared = record
                case DecidedRecord():
                    assert record.height == len(self.decided) + 1
                    self.decided.append((record.block, record.certificate))

    def restored(self) -> Restored:
        height = len(self.decided) + 1
        tip = None
        if self.decided:
            block, certificate = self.decided[-1]
            tip = (decode_block(block), decode_certificate(certificate))
        return Restored(
            tip=tip,
            view=self.view.view if self.view and self.view.height == height else None,
            votes=tuple(vote for vote in self.votes.values() if vote.height == height),
            blocks=tuple(block for block in self.blocks.values() if block.height == height),
            prepared=self.prepared if self.prepared and self.prepared.height == height else None,
            amnesia_slot=self.amnesia_slot,
            proposed_slots=self._proposed_slots(0 if tip is None else tip[0].header.slot),
        )

    def _proposed_slots(self, slot: int) -> tuple[int, ...]:
        known = (v for v in self.votes.values() if v.kind is VoteKind.PRE_PREPARE)
        return tuple(sorted({v.slot for v in known if v.height <= len(self.decided) and v.slot > slot}))


class Node:
    """A replica with its store, clock and application."""

    def __init__(self, network: "Network", i: int) -> None:
        self.network, self.i = network, i
        self.id = participant(i)
        self.store = Store()
        self.application = FakeApplication(network.genesis)
        self.clock_offset_ms = 0
        self.up = True
        self.audience: set[bytes] | None = None
        self.crash: str | None = None
        """`before_persist` or `before_send`: die at that point of the next step that has votes."""
        self.wake_ms: int | None = None
        self.refused: Counter[str] = Counter()
        self.decisions: list[Decision] = []
        self.evidence: list[Any] = []
        self.rules = network.rules
        self.replica = self._boot()

    def _boot(self) -> Replica:
        return Replica(
            FakeSigner(self.id),
            self.network.genesis,
            self.application,
            hash_chain(self.id),
            FakeChecker(),
            self.store.restored(),
            rules=self.rules,
        )

    @property
    def now_ms(self) -> int:
        return self.network.now_ms + self.clock_offset_ms

    def start(self) -> None:
        self.network.perform(self, self.replica.start(self.now_ms))

    def stop(self) -> None:
        self.up = False

    def restart(self) -> None:
        self.up, self.crash = True, None
        del self.application.states[len(self.store.decided) + 1 :]
        self.replica = self._boot()
        self.start()

    def lose_store(self) -> None:
        slot = (self.now_ms - self.network.genesis.consensus.t0_ms) // self.network.genesis.consensus.alpha_ms
        self.store = Store(amnesia_slot=slot)

    def step(self, event: Event) -> Effects:
        effects = self.replica.step(event, self.now_ms)
        self.network.perform(self, effects)
        return effects

    def submit(self, *transactions: bytes) -> None:
        self.application.pending |= dict.fromkeys(transactions)
        if self.up:
            self.step(Pending())

    def deliver(self, message: Message, peer: bytes, raw: bytes | None = None) -> Effects | None:
        """As the driver does: admit, verify, step; None when refused before the step."""
        if isinstance(message, SyncRequest):
            self._answer_sync(message, peer)
            return None
        code = self.replica.admit(message, peer)
        if code is not None:
            self.refused[code] += 1
            return None
        try:
            checkable, key_of = self.replica.checkable(message)
            verified: Verified[Message] = check_message(
                checkable, raw or encode(message), self.network.genesis.chain_id, key_of, FakeChecker()
            )
        except RefusedSignatureError as error:
            self.refused[error.code] += 1
            return None
        return self.step(Received(verified, peer))

    def _answer_sync(self, request: SyncRequest, peer: bytes) -> None:
        blocks = self.store.decided[request.height - 1 : request.height - 1 + request.count]
        answer = SyncResponse(
            len(self.store.decided), tuple(Decided(raw, decode_certificate(cc)) for raw, cc in blocks)
        )
        self.network.post(self.id, peer, answer)


class Judge:
    """CONSENSUS section 10, from the wire and the decisions."""

    def __init__(self, network: "Network") -> None:
        self.network = network
        self.byzantine: set[bytes] = set()
        self.chain: dict[int, bytes] = {}
        self.said: dict[tuple[Any, ...], bytes] = {}
        self.highest: dict[tuple[bytes, int], int] = defaultdict(int)
        self.prepares: dict[tuple[int, int, bytes], set[bytes]] = defaultdict(set)
        self.proposals: dict[tuple[bytes, int], bytes] = {}
        self.wire: Counter[str] = Counter()
        self.clocks_were_wrong = False

    def on_send(self, node: Node, message: Message) -> None:
        self.wire[type(message).__name__] += 1
        if not isinstance(message, PrePrepare | Prepare | Commit | ViewChange):
            return
        kind = type(message)
        if node.id in self.byzantine:
            if isinstance(message, Prepare):
                self.prepares[message.height, message.view, message.digest].add(message.sender)
            return
        assert message.sender == node.id
        raw = encode(message)
        record = node.store.votes.get((VoteKind[_NAMES[kind]], message.height, message.view))
        assert record is not None and record.message == raw, "sent before it was durable"
        key = (kind, message.sender, message.height, message.view)
        assert self.said.setdefault(key, raw) == raw, "two statements of one correct member"
        self._judge_order(node, message)

    def _judge_order(self, node: Node, message: PrePrepare | Prepare | Commit | ViewChange) -> None:
        at = (message.sender, message.height)
        key = (type(message), message.sender, message.height, message.view, "order")
        first_time = key not in self.said
        self.said[key] = b""
        if first_time and isinstance(message, Prepare | Commit):
            assert message.view >= self.highest[at], "MONOTONE"
        self.highest[at] = max(self.highest[at], message.view)
        if isinstance(message, Prepare):
            self.prepares[message.height, message.view, message.digest].add(message.sender)
        if isinstance(message, Commit) and message.height == node.replica.height:
            voters = self.prepares[message.height, message.view, message.digest]
            assert len(voters) >= node.replica.committee(message.height).quorum, "COMMIT without PC"

    def on_persist(self, node: Node, record: Record) -> None:
        if node.id in self.byzantine:
            return
        if isinstance(record, VoteRecord) and record.kind is VoteKind.PRE_PREPARE:
            key = (node.id, record.slot)
            assert self.proposals.setdefault(key, record.message) == record.message, "two in one slot"

    def on_decided(self, node: Node, decision: Decision) -> None:
        if node.id in self.byzantine:
            return
        assert self.chain.setdefault(decision.height, decision.digest) == decision.digest, "AGREEMENT"
        if all(abs(other.clock_offset_ms) <= EPS_MS for other in self.network.nodes):
            ahead_ms = self.network.slot_ms(decision.block.header.slot) - self.network.now_ms
            assert ahead_ms <= EPS_MS or self.clocks_were_wrong, "decided before its slot"
        else:
            self.clocks_were_wrong = True

    def on_evidence(self, accused: bytes) -> None:
        assert accused in self.byzantine, "a correct member is accused"


_NAMES = {PrePrepare: "PRE_PREPARE", Prepare: "PREPARE", Commit: "COMMIT", ViewChange: "VIEW_CHANGE"}

Policy = Callable[[bytes, bytes, Message], Iterable[int]]
"""(from, to, message) -> one delay per copy that arrives; none: lost."""


def reliable(_source: bytes, _target: bytes, _message: Message) -> Iterable[int]:
    return (10,)


class Network:
    """Nodes, links and one virtual clock."""

    def __init__(self, n: int, *, rules: Rules | None = None, spare: int = 0, **consensus: Any) -> None:
        self.genesis = make_genesis(n, **consensus)
        self.rules = rules
        self.now_ms = T0_MS
        self.policy: Policy = reliable
        self.judge = Judge(self)
        self.on_effects: Callable[[Node, Effects], None] = lambda _node, _effects: None
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.nodes = [Node(self, i) for i in range(n + spare)]
        self.by_id: dict[bytes, list[Node]] = {node.id: [node] for node in self.nodes}

    @property
    def slot(self) -> int:
        return (self.now_ms - T0_MS) // self.genesis.consensus.alpha_ms

    def slot_ms(self, slot: int) -> int:
        return T0_MS + slot * self.genesis.consensus.alpha_ms

    def start(self) -> "Network":
        for node in self.nodes:
            if node.up:
                node.start()
        return self

    def at(self, when_ms: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (when_ms, self._sequence, action))

    def post(self, source: bytes, target: bytes, message: Message) -> None:
        raw = encode(message)
        for delay_ms in self.policy(source, target, message):
            self.at(self.now_ms + delay_ms, lambda: self._arrive(source, target, raw))

    def _arrive(self, source: bytes, target: bytes, raw: bytes) -> None:
        for node in self.by_id[target]:
            if node.up:
                node.deliver(decode_message(raw), source, raw)

    def add_twin(self, i: int, first: set[int], second: set[int]) -> "Node":
        """A second process with node i's key; each talks to its own audience only."""
        original, twin = self.nodes[i], Node(self, i)
        original.audience = {participant(j) for j in first}
        twin.audience = {participant(j) for j in second}
        self.judge.byzantine.add(original.id)
        self.nodes.append(twin)
        self.by_id[original.id].append(twin)
        return twin

    @property
    def correct(self) -> "list[Node]":
        return [node for node in self.nodes if node.id not in self.judge.byzantine]

    def perform(self, node: Node, effects: Effects) -> None:
        if node.crash == "before_persist" and effects.persist:
            node.stop()
            return
        node.store.write(effects.persist)
        for record in effects.persist:
            self.judge.on_persist(node, record)
        if node.crash == "before_send" and effects.persist:
            node.stop()
            return
        self.on_effects(node, effects)
        for send in effects.send:
            self.judge.on_send(node, send.message)
            targets = send.to or tuple(other for other in self.by_id if other != node.id)
            if node.audience is not None:
                targets = tuple(target for target in targets if target in node.audience)
            for target in targets:
                assert target != node.id
                if target in self.by_id:
                    self.post(node.id, target, send.message)
        for decision in effects.decided:
            node.decisions.append(decision)
            self.judge.on_decided(node, decision)
        for evidence in effects.evidence:
            node.evidence.append(evidence)
            self.judge.on_evidence(evidence.sender)
        for refusal in effects.refused:
            node.refused[refusal.code] += 1
        self._schedule_wake(node, effects)

    def _schedule_wake(self, node: Node, effects: Effects) -> None:
        assert effects.wake_at_ms is not None and effects.wake_at_ms > node.now_ms
        node.wake_ms = effects.wake_at_ms
        due_ms = effects.wake_at_ms

        def tick() -> None:
            if node.up and node.wake_ms == due_ms:
                if node.now_ms >= due_ms:
                    node.step(Tick())
                else:
                    self.at(self.now_ms + due_ms - node.now_ms, tick)

        self.at(max(due_ms - node.clock_offset_ms, self.now_ms), tick)

    def run_until(self, when_ms: int) -> None:
        while self._queue and self._queue[0][0] <= when_ms:
            due_ms, _, action = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, due_ms)
            action()
        self.now_ms = max(self.now_ms, when_ms)

    def run_slots(self, slots: int) -> None:
        self.run_until(self.now_ms + slots * self.genesis.consensus.alpha_ms)

    def run_to_slot(self, slot: int, offset_ms: int = 0) -> None:
        self.run_until(self.slot_ms(slot) + offset_ms)

    @property
    def heights(self) -> list[int]:
        return [node.replica.tip_height for node in self.nodes]

    def submit_everywhere(self, *transactions: bytes) -> None:
        for node in self.nodes:
            node.submit(*transactions)


# ---- signed statements by hand --------------------------------------------------------------------


def signed(message: Any, chain_id: bytes) -> Any:
    """The message with its sender's signature."""
    signature = FakeSigner(message.sender).sign(message.signed_bytes(chain_id))
    return msgspec.structs.replace(message, signature=signature)


def certificate(
    kind: VoteKind, members: Iterable[bytes], height: int, view: int, digest: bytes, chain_id: bytes
) -> Certificate:
    votes = tuple(
        (member, FakeSigner(member).sign(statement(kind, chain_id, member, height, view, digest)))
        for member in sorted(members)
    )
    return Certificate(height, view, digest, votes)
