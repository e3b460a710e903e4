"""The node: an actor that turns frames and time into steps of the core, and effects into IO.

Lives here: putting the parts together, starting and stopping them. Never here: rules of consensus or
ledger, bytes on sockets. Owns the tasks and the clock of one node. One event loop, one core, one store:
everything that decides runs on the loop, signature checks and disk writes on threads.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from p2penergy import relaying
from p2penergy.answers import Answers
from p2penergy.application import NodeApplication
from p2penergy.chain_keeper import ChainKeeper
from p2penergy.config import parse_address
from p2penergy.consensus.effects import Decision, Effects, Pending, Restored
from p2penergy.consensus.replica import Replica
from p2penergy.coordinator import Coordinator, wall_clock_ms
from p2penergy.home import Home
from p2penergy.inbox import Inbox
from p2penergy.ledger import Ledger, Snapshot, sign_accusation
from p2penergy.membership.sealed_store import SealedStore
from p2penergy.messages import (
    PROTOCOL,
    PROTOCOL_VERSION,
    CommitteesRequest,
    Decided,
    Evidence,
    HeadersRequest,
    Message,
    PrePrepare,
    Query,
    Request,
    SealedRequest,
    SnapshotRequest,
    Stage,
    SyncRequest,
    Whereabouts,
    encode,
)
from p2penergy.newcomers.desk import Desk
from p2penergy.newcomers.examiner import Examiner
from p2penergy.opening import open_ledger
from p2penergy.outbox import Outbox
from p2penergy.pacing import PACED_PERCENT, Pacer
from p2penergy.peers import participant_of
from p2penergy.registry import Registry
from p2penergy.replies import Replies
from p2penergy.requests import Requests
from p2penergy.sessions import Sessions
from p2penergy.signing import EcdsaChecker
from p2penergy.snapshots.files import SnapshotFolder
from p2penergy.snapshots.serving import Snapshots
from p2penergy.store import Store
from p2penergy.store.ports import StoredOutcome
from p2penergy.turns import Turns
from p2penergy.verifier import Verifier
from p2penergy.whereabouts import AddressBook
from transport import Mesh, TcpMesh

log = logging.getLogger(__name__)

PROGRAM_VERSION = version("p2penergy")
"""Read once: looking it up searches the installed packages."""

NEVER_SLOT = 2**62
"""A slot that no network sees: who waits for it signs nothing."""


class NodeHaltedError(Exception):
    """The node stopped itself rather than break a promise; the sentence says why."""


def make_mesh(home: Home, listens: bool = True) -> TcpMesh:
    """The TCP mesh of a node: validators dial each other, everybody else dials in."""
    return TcpMesh(
        name=home.signer.participant_id,
        listen=parse_address(home.config.node.listen) if listens else None,
        tls=home.tls if home.config.node.tls else None,
        identify=home.identify,
        protocol=PROTOCOL,
        network=home.genesis.chain_id,
    )


def peer_addresses(home: Home) -> dict[bytes, tuple[str, int]]:
    """Where each peer of a node's settings listens."""
    return {bytes.fromhex(name): parse_address(address) for name, address in home.config.peers.items()}


SIGNATURES_KEPT = 4_096
"""Good signatures that are remembered in any case, those seen last: votes are seen again in certificates."""
SIGNATURES_PER_PENDING = 4
"""As many more for each pending transaction: the two of a contract, and of who arrives while it waits."""
FOLLOWERS_MAX = 4_096
"""Linked nodes that are no peers of the settings and are sent every block."""

OpenApplication = Callable[[Home, Store, EcdsaChecker], NodeApplication]


class Node:
    """One validator or observer."""

    def __init__(
        self,
        home: Home,
        store: Store,
        mesh: Mesh,
        now_ms: Callable[[], int] = wall_clock_ms,
        open_application: OpenApplication = open_ledger,
    ) -> None:
        """`open_application` is the ledger's in every real network; see `p2penergy.application`."""
        self.home = home
        self.store = store
        self.mesh = mesh
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._decided_ms: int | None = None
        self._followers: set[bytes] = set()
        self.on_decided: Callable[[Decision], None] = lambda _decision: None
        """Called for every decided block once it is durable; for whoever watches the node."""
        self._name = home.signer.participant_id
        settings = home.config.node
        checker = EcdsaChecker()
        self.ledger = open_application(home, store, checker)
        self.verifier = Verifier(checker, settings.verify_threads)
        chain_id = home.genesis.chain_id
        self.replica = Replica(
            home.signer, home.genesis, self.ledger, home.hash_chain, checker, _in_role(home, store.restored())
        )
        self.pacer = Pacer(settings.block_bytes_max, _decision_ms(home) * PACED_PERCENT // 100)
        self.replica.proposal_bytes_max = self.pacer.limit_bytes
        self._durable, self._told_view = self._tip(), (0, 0)
        nodes = frozenset(map(bytes.fromhex, home.config.peers))
        self.replies = Replies(home.signer, chain_id, mesh, store, nodes, self.ledger.concerned)
        self.coordinator = Coordinator(self.replica, home.genesis.consensus, self._perform, now_ms)
        self.outbox = Outbox(store, mesh, self._everybody, self._publish, self._halt)
        self.requests = Requests(
            self._name,
            self.ledger,
            self.verifier,
            mesh,
            self._committee,
            self._audience,
            self._pending,
            self.replies.answer_again,
            self._is_deciding,
        )
        self.chain_keeper = ChainKeeper(
            home.signer, home.genesis, self.ledger, home.hash_chain, self.requests.submit, now_ms
        )
        self.registry = Registry(self.ledger, self.replica, store)
        self.sessions = Sessions(mesh, home.revocations, self.registry.member_key, self.registry.is_barred)
        home.identify.name_by(self.sessions.name_of)
        self.desk = self._make_desk(checker)
        self.addresses = self._make_address_book(checker, nodes)
        folder = SnapshotFolder(home.snapshots_path, chain_id)
        self.snapshots = Snapshots(folder, settings.snapshot_blocks, self._freeze, mesh)
        self.turns = Turns()
        self.inbox = Inbox(
            self.replica,
            self.ledger,
            self.verifier,
            chain_id,
            self.coordinator.drive,
            self._handlers(),
            settings.frames_per_s_max,
            now_ms,
        )
        self.refused: Counter[str] = Counter()
        self._halted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _tip(self) -> tuple[int, int, bytes]:
        return self.replica.tip_height, self.replica.tip_slot, self.ledger.state_root

    def _make_desk(self, checker: EcdsaChecker) -> Desk:
        home = self.home
        examiner = Examiner(
            home.signer,
            home.key.private_key,
            home.genesis.chain_id,
            home.authority,
            home.revocations,
            SealedStore(home.sealed_path),
            lambda: datetime.fromtimestamp(self._now_ms() / 1000, UTC),
        )
        return Desk(
            self.mesh,
            home.genesis.chain_id,
            checker,
            self.registry.verifiers,
            self.requests.gossip,
            examiner,
            self._now_ms,
        )

    def _make_address_book(self, checker: EcdsaChecker, nodes: Iterable[bytes]) -> AddressBook:
        return AddressBook(
            self.mesh,
            self.home.signer,
            self.home.genesis.chain_id,
            checker,
            self.registry.member_key,
            self.registry.volunteers,
            nodes,
            self._now_ms,
        )

    def _handlers(self) -> dict[type[Message], Callable[[bytes, Message], None]]:
        answers = Answers(
            self.store,
            self.ledger,
            self.mesh,
            self.status,
            self._now_ms,
            self.registry.members,
            self.registry.application,
        )
        in_turn = self.turns.of
        return {
            Request: self.requests.on_request,
            SealedRequest: self.desk.on_sealed,
            Whereabouts: self.addresses.on_whereabouts,
            Query: in_turn(answers.on_query),
            SyncRequest: in_turn(self._following(answers.on_sync)),
            HeadersRequest: in_turn(answers.on_headers),
            CommitteesRequest: in_turn(answers.on_committees),
            SnapshotRequest: in_turn(self.snapshots.on_request),
        }

    async def run(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Take part until `stop` is set; `started` is called once the node listens.

        Raises:
            NodeHaltedError: the disk failed, or the node found its own state broken.
        """
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        stopping = asyncio.ensure_future(stop.wait())
        both: set[asyncio.Future[Any]] = {stopping, self._halted}
        try:
            await self.start()
            started()
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._halted.done():
                self._halted.result()
        finally:
            stopping.cancel()
            await self.stop()

    async def start(self) -> None:
        """Listen, dial, and begin with what was stored."""
        await self.mesh.start(self)
        self.sessions.start()
        announced = self.home.config.node.announced
        if announced is not None:
            self.addresses.announce(announced)
        for peer, address in peer_addresses(self.home).items():
            if peer != self._name:
                self.mesh.set_address(peer, *address)
        try:
            self.coordinator.start()
        except Exception as error:
            # The first step is no callback, and the same fault of our own.
            self._halt(error)
        log.info("started", extra={"height": self.store.tip(), "node": self._name.hex()})

    async def stop(self) -> None:
        """Stop sending, then close the links; the store is closed by whoever opened it."""
        self.coordinator.stop()
        self.outbox.stop()
        self.sessions.stop()
        self.turns.stop()
        self.requests.stop()
        self.verifier.close()
        await self.mesh.stop()
        await self.snapshots.stop()
        if not self._halted.done():
            self._halted.cancel()

    def status(self) -> dict[str, Any]:
        """What this node says of itself, for people and for the demo.

        Height, slot and state are the last durable block's: a node that is killed now comes back with them.
        """
        height, slot, state_root = self._durable
        leaders = self.coordinator.leaders
        return {
            "name": self._name.hex(),
            "version": PROGRAM_VERSION,
            "protocol": PROTOCOL_VERSION,
            "chain_id": self.home.genesis.chain_id.hex(),
            "role": self.home.config.node.role,
            "now_ms": self._now_ms(),
            "started_ms": self._started_ms,
            "decided_ms": self._decided_ms,
            "base_height": self.store.base(),
            "snapshots": list(self.snapshots.heights()),
            "height": height,
            "slot": slot,
            "view": self.replica.view,
            "state_root": state_root.hex(),
            "pending": len(self.ledger.pool),
            "proposal_bytes_max": self.pacer.limit_bytes,
            "peers": len(self.mesh.connected()),
            "connected": sorted({participant_of(peer).hex() for peer in self._connected_nodes()}),
            "committee": sorted(member.hex() for member in self._order()),
            "waiting_for_disk": self.outbox.waiting,
            "lost_for_disk": self.outbox.lost,
            "durable_commits": self.store.commits,
            "slots_by_leader": {k.hex(): v for k, v in sorted(leaders.slots_by_leader.items())},
            "blocks_by_leader": {k.hex(): v for k, v in sorted(leaders.blocks_by_leader.items())},
            "leader_mismatches": leaders.mismatches,
            "consensus": self._counts(),
            "refused": dict(sorted(self.refusals().items())),
            "transport": dict(self.mesh.counters()),
        }

    def _connected_nodes(self) -> Iterable[bytes]:
        # A labelled name is somebody's client on the same device, not its node.
        return (peer for peer in self.mesh.connected() if participant_of(peer) == peer)

    def _counts(self) -> dict[str, int]:
        # Refusals are told with all others.
        counters = self.replica.counters
        return {name: counters[name] for name in sorted(counters) if not name.startswith("refused_")}

    def refusals(self) -> Counter[str]:
        """Everything refused so far, by code."""
        parts = (self.inbox, self.requests, self.desk, self.addresses, self.turns)
        return sum((part.refused for part in parts), self.refused.copy())

    # ---- the mesh's handler -------------------------------------------------------------------

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame from an authenticated peer."""
        self.inbox.on_frame(peer, payload)

    def on_peer_up(self, peer: bytes) -> None:
        """A link is there."""
        log.debug("peer up", extra={"peer": peer.hex()})
        self.addresses.on_peer_up(peer)

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        """A link is gone."""
        self._followers.discard(peer)
        self.addresses.on_peer_down(peer)
        log.debug("peer down", extra={"peer": peer.hex(), "reason": reason})

    # ---- inside -------------------------------------------------------------------------------

    def _is_deciding(self) -> bool:
        """Whether a block is on its way, or due: then making and checking it comes before all requests."""
        replica = self.replica
        if replica.is_deciding:
            return True
        if replica.view < replica.first or not self.ledger.pool.ready:
            return False
        return self._now_ms() - replica.start_ms(replica.view) < self.home.genesis.consensus.alpha_ms // 2

    def _pace(self, effects: Effects) -> None:
        now_us = time.monotonic_ns() // 1000
        for decision in effects.decided:
            self.pacer.decided(decision.digest, now_us)
        for send in effects.send:
            if isinstance(send.message, PrePrepare):
                self.pacer.proposed(send.message.digest, len(send.message.block), now_us)
        self.replica.proposal_bytes_max = self.pacer.limit_bytes

    def _perform(self, effects: Effects) -> None:
        self._pace(effects)
        for refusal in effects.refused:
            self.refused[refusal.code] += 1
        for evidence in effects.evidence:
            self._accuse(evidence)
        for decision in effects.decided:
            self.requests.decided(decision.block.transactions, _transaction_ids(decision))
            self.snapshots.on_decided(decision)
        self._tell_view()
        self.outbox.perform(effects)
        self.requests.go_on()

    def _freeze(self) -> Snapshot | None:
        # Another application than the ledger, in a benchmark, has no snapshots.
        return self.ledger.snapshot() if isinstance(self.ledger, Ledger) else None

    def _tell_view(self) -> None:
        height, view = self.replica.height, self.replica.view
        if (height, view) == self._told_view or view < self.replica.first:
            # Nothing new, or no view of this height was entered yet: nobody leads it.
            return
        # While nothing waits, views pass as the clock does; with work to do, a leader was not heard.
        failed = height == self._told_view[0] and len(self.ledger.pool) > 0
        self._told_view = height, view
        log.log(
            logging.INFO if failed else logging.DEBUG,
            "view changed",
            extra={
                "height": height,
                "view": view,
                "leader": self.replica.leader(height, view).hex(),
                "pending": len(self.ledger.pool),
            },
        )

    def _accuse(self, evidence: Evidence) -> None:
        log.warning("equivocation", extra={"member": evidence.sender.hex()})
        accusation = sign_accusation(self.home.signer, self.home.genesis.chain_id, evidence)
        self.requests.submit(encode(accusation))

    def _publish(self, decision: Decision) -> None:
        header = decision.block.header
        log.info(
            "decided",
            extra={
                "height": decision.height,
                "slot": header.slot,
                "view": decision.view,
                "transactions": len(decision.block.transactions),
                "caught_up": decision.caught_up,
            },
        )
        self._decided_ms = self._now_ms()
        self._durable = decision.height, header.slot, header.state_root
        if header.stage is Stage.VERIFICATION and decision.block.transactions:
            self.sessions.recheck()
            self.addresses.look_again()
        self.on_decided(decision)
        if not decision.caught_up:
            self.chain_keeper.on_decided(decision.height)
        self.requests.published(_transaction_ids(decision))
        self.verifier.checker.trim(SIGNATURES_KEPT + SIGNATURES_PER_PENDING * len(self.ledger.pool))
        if not decision.caught_up:
            self.replies.publish(decision)

    def _pending(self) -> None:
        self.coordinator.drive(Pending())

    def _audience(self) -> Iterable[bytes]:
        return (self.registry.audience() | set(self._committee())) - {self._name}

    def _following(self, handler: Callable[[bytes, Message], None]) -> Callable[[bytes, Message], None]:
        """Whoever asks for blocks keeps a chain, and is told of new ones as long as it is linked."""

        def handle(peer: bytes, message: Message) -> None:
            if len(self._followers) < FOLLOWERS_MAX and participant_of(peer) == peer:
                self._followers.add(peer)
            handler(peer, message)

        return handle

    def _order(self) -> tuple[bytes, ...]:
        return self.replica.committee(self.replica.height).members

    def _committee(self) -> Iterable[bytes]:
        return (member for member in self._order() if member != self._name)

    def _everybody(self, message: Message) -> Iterable[bytes]:
        if not isinstance(message, Decided):
            return self._committee()
        # Every full member follows the chain. The committee decides by its own COMMITs, and whoever
        # of it misses them asks: sending each block to everybody n times more would cost the most.
        order = self._decided_by(message.certificate.height)
        named = {bytes.fromhex(name) for name in self.home.config.peers}.difference(order)
        told = relaying.served_by(self._name, named, message.certificate.digest, order)
        # Others are linked to some of us only: no lot is drawn where it could fall on who can't reach them.
        return self._followers.difference(named, order).union(told) - {self._name}

    def _decided_by(self, height: int) -> tuple[bytes, ...]:
        try:
            return self.replica.committee(height).members
        except KeyError:
            # Two blocks in one step: the older one's committee is not at hand any more.
            return self.replica.committee(self.replica.height).members

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Whatever escapes a callback is a fault of our own: stop, keep the data, say so.
        error = context.get("exception")
        if isinstance(error, Exception):
            self._halt(error)
        else:
            loop.default_exception_handler(context)

    def _halt(self, error: Exception) -> None:
        if not self._halted.done():
            log.error("halted", extra={"error": str(error)}, exc_info=error)
            self.coordinator.stop()
            self.outbox.stop()
            self._halted.set_exception(NodeHaltedError(f"{type(error).__name__}: {error}"))


def _decision_ms(home: Home) -> int:
    """Proposed as its slot begins, a block that takes so long is decided for all before the slot ends."""
    rules = home.genesis.consensus
    return rules.alpha_ms - rules.eps_ms - rules.delta_ms


def _in_role(home: Home, restored: Restored) -> Restored:
    """What a node begins with; an observer signs nothing, even where the community counts on its vote."""
    if home.config.node.role == "validator":
        return restored
    name = home.signer.participant_id.hex()
    if any(member.validator and member.participant_id == name for member in home.genesis.members):
        log.warning("observing", extra={"node": name, "why": "role is observer: it will not vote"})
    return replace(restored, amnesia_slot=NEVER_SLOT)


def _transaction_ids(decision: Decision) -> Sequence[bytes]:
    return cast(StoredOutcome, decision.outcome).transaction_ids
