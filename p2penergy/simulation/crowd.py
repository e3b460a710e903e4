"""A network far larger than its committees, on virtual time: what does one member of it have to do?

Lives here: a thousand real cores with a counting application, committees drawn for every height, DECIDED by
relays, catch-up by sync, newcomers; and the count of messages, bytes, signature checks and processor time of
validators and of followers. Never here: faults beyond silent members (`runner` has them), the wall clock (the
caller passes a stopwatch). Owns the check that all nodes decide the same blocks. Shows CONSENSUS section 9:
what a validator does depends on the committee's size, not on the network's, but for the relay of blocks.

Requests of clients are no part of it: every node has each transaction from the start of its slot.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from itertools import pairwise

from p2penergy import relaying
from p2penergy.beacon import HashChain
from p2penergy.consensus.effects import DecidedRecord, Effects, Received, Restored, Tick
from p2penergy.consensus.replica import Replica
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member
from p2penergy.messages import (
    SYNC_BLOCKS_MAX,
    Decided,
    Message,
    Stage,
    SyncRequest,
    SyncResponse,
    decode_certificate,
    decode_message,
    encode,
)
from p2penergy.signing import RefusedSignatureError, SignatureChecker, check_message
from p2penergy.simulation.counter import ADD, CHAIN_LINKS, CounterApplication, transaction
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.roster import JOIN
from p2penergy.simulation.signatures import StandInChecker, StandInSigner

T0_MS = 1_000_000
ALPHA_MS, EPS_MS, DELTA_MS, DELAY_MS_MAX = 2_000, 20, 200, 60
TICK_MS_MAX = 2_000
NEWCOMERS = 5
"""Members who volunteer only while the network runs."""
WARM_UP_BLOCKS = 2
"""Until then nothing is counted: everybody starts at once here, and asks where the others are."""
SYNC_MS_MAX = 60_000
"""How long the network is left alone at the end, so that everybody hears of the last block."""

Stopwatch = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What kind of network; equal values give equal runs, but for processor time."""

    members: int = 1000
    committee: int = 100
    blocks: int = 12
    silent: int = 0
    """Members who are down from the start."""
    settle_blocks: int = 4
    epoch_blocks: int = 4
    seed: int = 1

    @property
    def founders(self) -> int:
        """How many volunteer from the start."""
        return max(1, self.members - NEWCOMERS)


@dataclass(slots=True)
class Work:
    """What nodes of one role did, all together."""

    node_blocks: int = 0
    """Nodes of this role, summed over the heights."""
    counts: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Per node and block."""
        per = max(self.node_blocks, 1)
        named = {name: round(self.counts[name] / per, 1) for name in sorted(self.counts)}
        return named | {"cpu_ms": round(1000 * self.cpu_s / per, 2)}


class CrowdError(Exception):
    """The network decided two things, or nothing."""


class _Checker:
    """The stand-in checker, counting for whoever it works for."""

    def __init__(self, checker: SignatureChecker) -> None:
        self._checker = checker
        self.checks = 0

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return self._checker.check(public_key, message, signature)


@dataclass(slots=True)
class _Identity:
    participant: bytes
    secret: bytes
    key: bytes
    chain: HashChain

    @classmethod
    def of(cls, number: int) -> "_Identity":
        secret = sha256(b"crowd %d" % number).digest()
        key = b"\x02" + sha256(secret).digest()
        return cls(sha256(key).digest()[:20], secret, key, HashChain(secret, CHAIN_LINKS))


def _genesis(plan: Crowd, people: list[_Identity]) -> Genesis:
    return Genesis(
        community=f"crowd {plan.seed}",
        consensus=ConsensusRules(
            t0_ms=T0_MS,
            alpha_ms=ALPHA_MS,
            eps_ms=EPS_MS,
            delta_ms=DELTA_MS,
            settle_blocks=plan.settle_blocks,
            epoch_blocks=plan.epoch_blocks,
            committee_size_min=min(4, plan.committee),
            committee_size_max=plan.committee,
        ),
        market=MarketRules(),
        members=tuple(
            Member(
                participant_id=each.participant.hex(),
                public_key=each.key.hex(),
                validator=number < plan.founders,
                beacon_tip=each.chain.tip.hex(),
            )
            for number, each in enumerate(people)
        ),
    )


class _Node:
    """A node's driver: admit, check, step, keep, send."""

    def __init__(self, world: "CrowdWorld", who: _Identity) -> None:
        self.world = world
        self.name = who.participant
        self.application = CounterApplication(world.genesis)
        signer = StandInSigner(who.participant, who.secret)
        self.replica = Replica(
            signer, world.genesis, self.application, who.chain, world.checker, Restored(tip=None)
        )
        self.decided: list[DecidedRecord] = []
        self.timer = 0
        self._role = world.followers
        """Of the height that it worked on when the step under way began."""

    def receive(self, peer: bytes, raw: bytes) -> None:
        self._timed(lambda: self._handle(peer, raw), len(raw))

    def tick(self, timer: int) -> None:
        if timer == self.timer:
            self._timed(lambda: self._perform(self.replica.step(Tick(), self.world.now_ms)))

    def start(self) -> None:
        self._perform(self.replica.start(self.world.now_ms))

    def _timed(self, work: Callable[[], None], received_bytes: int = 0) -> None:
        world, replica = self.world, self.replica
        votes = self.name in replica.committee(replica.height)
        role = self._role = world.validators if votes else world.followers
        if received_bytes:
            role.counts["messages_in"] += 1
            role.counts["bytes_in"] += received_bytes
        began, checks = world.stopwatch(), world.checker.checks
        work()
        role.cpu_s += world.stopwatch() - began
        role.counts["signature_checks"] += world.checker.checks - checks

    def _handle(self, peer: bytes, raw: bytes) -> None:
        message = decode_message(raw)
        if isinstance(message, SyncRequest):
            self._answer(message, peer)
            return
        if self.replica.admit(message, peer) is not None:
            return
        checkable, key_of = self.replica.checkable(message)
        try:
            verified = check_message(checkable, raw, self.world.chain_id, key_of, self.world.checker)
        except RefusedSignatureError:
            return
        self._perform(self.replica.step(Received(verified, peer), self.world.now_ms))

    def _answer(self, request: SyncRequest, peer: bytes) -> None:
        records = self.decided[request.height - 1 :][: min(request.count, SYNC_BLOCKS_MAX)]
        if records:
            blocks = tuple(Decided(each.block, decode_certificate(each.certificate)) for each in records)
            self._send(SyncResponse(len(self.decided), blocks), (peer,))

    def _perform(self, effects: Effects) -> None:
        self.decided.extend(each for each in effects.persist if isinstance(each, DecidedRecord))
        for decision in effects.decided:
            self.world.on_decided(self, decision.height, decision.digest, decision.order)
        for send in effects.send:
            self._send(send.message, send.to)
        wait_ms = TICK_MS_MAX
        if effects.wake_at_ms is not None:
            wait_ms = min(wait_ms, max(1, effects.wake_at_ms - self.world.now_ms))
        self.timer += 1
        timer = self.timer
        self.world.after(wait_ms, lambda: self.tick(timer))

    def _send(self, message: Message, to: Iterable[bytes]) -> None:
        raw, targets = encode(message), list(to)
        if isinstance(message, Decided) and not targets:
            targets = self._followers(message)
        elif not targets:
            targets = list(self.replica.committee(self.replica.height).members)
        role = self._role
        for target in targets:
            if target != self.name:
                role.counts["messages_out"] += 1
                role.counts["bytes_out"] += len(raw)
                self.world.post(self.name, target, raw)

    def _followers(self, message: Decided) -> list[bytes]:
        digest = message.certificate.digest
        order = self.world.orders[message.certificate.height]
        found = relaying.served_by(self.name, self.world.followers_of(order), digest, order)
        self.world.validators.counts["blocks_relayed"] += len(found)
        return found


class CrowdWorld:
    """Build it, `run()`, then read `figures`."""

    def __init__(self, plan: Crowd, stopwatch: Stopwatch) -> None:
        self.plan, self.stopwatch = plan, stopwatch
        people = [_Identity.of(number) for number in range(plan.members)]
        self.genesis = _genesis(plan, people)
        self.chain_id = self.genesis.chain_id
        secrets = {each.key: each.secret for each in people}
        self.checker = _Checker(StandInChecker(secrets))
        self.now_ms = T0_MS
        self.validators, self.followers = Work(), Work()
        self.orders: dict[int, tuple[bytes, ...]] = {}
        self._digests: dict[int, bytes] = {}
        self._decided_by: Counter[int] = Counter()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._entries = 0
        self._dice = Dice(plan.seed, "crowd")
        down = set(self._dice.sample(range(plan.members), plan.silent))
        self._nodes = {
            each.participant: _Node(self, each) for number, each in enumerate(people) if number not in down
        }
        self._everybody = [each.participant for each in people]
        self._first = set(self._everybody[: plan.founders])

    def after(self, wait_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._entries += 1
        heappush(self._heap, (self.now_ms + wait_ms, self._entries, action))

    def post(self, source: bytes, target: bytes, raw: bytes) -> None:
        """One frame on its way; whoever is down never gets it."""
        node = self._nodes.get(target)
        if node is not None:
            self.after(self._dice.between(1, DELAY_MS_MAX), lambda: node.receive(source, raw))

    def followers_of(self, order: tuple[bytes, ...]) -> list[bytes]:
        """Everybody who did not decide a height by voting."""
        committee = frozenset(order)
        return [each for each in self._everybody if each not in committee]

    def on_decided(self, node: _Node, height: int, digest: bytes, order: tuple[bytes, ...]) -> None:
        """A node has a block."""
        if self._digests.setdefault(height, digest) != digest:
            raise CrowdError(f"two blocks were decided at height {height}")
        self._decided_by[height] += 1
        if height not in self.orders:
            self.orders[height] = order
            up = sum(each in self._nodes for each in order)
            self.validators.node_blocks += up
            self.followers.node_blocks += len(self._nodes) - up
        if height == WARM_UP_BLOCKS and self._decided_by[height] == len(self._nodes):
            for work in (self.validators, self.followers):
                work.node_blocks, work.cpu_s = 0, 0.0
                work.counts.clear()

    def run(self) -> None:
        """Until so many blocks are decided by everybody who is up.

        Raises:
            CrowdError: two nodes decided two blocks at a height, or the network stands still.
        """
        self.now_ms = T0_MS + ALPHA_MS - ALPHA_MS // 4
        for node in self._nodes.values():
            node.start()
        self._feed()
        blocks = WARM_UP_BLOCKS + self.plan.blocks
        deadline_ms = T0_MS + (4 * blocks + 20) * ALPHA_MS
        while self._decided_by[blocks] < len(self._nodes) and self._heap:
            if self._heap[0][0] > deadline_ms + SYNC_MS_MAX:
                raise CrowdError(f"{self._decided_by[blocks]} of {len(self._nodes)} reached block {blocks}")
            self.now_ms, _, action = heappop(self._heap)
            action()

    def _feed(self) -> None:
        """Something to decide in every slot; newcomers volunteer in the first ones."""
        number = (self.now_ms - T0_MS) // ALPHA_MS
        raw = [transaction(ADD, number)]
        newcomers = self._everybody[self.plan.founders :]
        if number < len(newcomers):
            raw.append(transaction(JOIN, sorted(self._everybody).index(newcomers[number])))
        for node in self._nodes.values():
            for each in raw:
                node.application.submit(each)
        self.after(ALPHA_MS, self._feed)

    def _volunteers(self) -> frozenset[bytes]:
        """The pool after the last block that everybody decided, as any node that is up has it."""
        application = next(iter(self._nodes.values())).application
        height = min(max(self.orders), WARM_UP_BLOCKS + self.plan.blocks)
        return frozenset(application.volunteers(Stage.VALIDATION, height))

    def figures(self) -> dict[str, object]:
        """What was seen, for people and machines."""
        orders = [frozenset(self.orders[height]) for height in sorted(self.orders)]
        served = frozenset[bytes]().union(*orders)
        kept = [len(one & other) / len(one) for one, other in pairwise(orders)]
        return {
            "members": self.plan.members,
            "committee": max(map(len, orders)),
            "blocks_counted": len(orders) - WARM_UP_BLOCKS,
            "virtual_s_per_block": round((self.now_ms - T0_MS) / 1000 / len(orders), 2),
            "newcomers_that_joined": len(self._volunteers() - self._first),
            "members_that_served": len(served),
            "newcomers_that_served": len(served - self._first),
            "share_kept_from_block_to_block": round(sum(kept) / max(len(kept), 1), 3),
            "validator_per_block": self.validators.figures(),
            "follower_per_block": self.followers.figures(),
        }


def simulate_crowd(plan: Crowd, stopwatch: Stopwatch) -> dict[str, object]:
    """Run a crowd and tell what its members had to do; raises `CrowdError`."""
    world = CrowdWorld(plan, stopwatch)
    world.run()
    return world.figures()
