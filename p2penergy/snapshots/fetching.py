"""Loading a snapshot from peers of whom none is believed: whom to ask for what, and what to keep.

Lives here: a pure state machine over peers, messages and a clock that is an argument. Never here: sockets,
tasks, files, the rules by which headers and parts prove themselves. Owns the invariants that nothing is kept
that did not prove itself from genesis on, that who sends something false is not asked again, and that no peer
is waited for beyond a limit. Implements CONSENSUS section 7.

Four stages: which snapshots are there; certified headers from genesis up to the highest of them, or as far as
anybody proves any; how that snapshot opens; its parts, from all who hold it at once.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from p2penergy.consensus.errors import RefusedError
from p2penergy.consensus.headers import HeaderChain
from p2penergy.digests import merkle_root
from p2penergy.ledger.snapshot import WrongPartError, leads_to, read_part
from p2penergy.messages import (
    COMMITTEES_MAX,
    HEADERS_MAX,
    SNAPSHOT_PARTS,
    Certificate,
    CommitteesRequest,
    CommitteesResponse,
    Header,
    HeadersRequest,
    HeadersResponse,
    MalformedMessageError,
    Message,
    SnapshotOpening,
    SnapshotRequest,
    SnapshotResponse,
    certificate_digest,
    decode_block,
    header_digest,
)

PARTS_PER_REQUEST = 32
STRIKES_MAX = 3
"""Silent or empty answers of one peer after which it is not asked again."""
HEADERS_WORTHWHILE = 16
"""With fewer new ones a peer has told all it has, or does not want to."""
ROUNDS_MAX = 4
"""How often peers are asked which snapshots there are: old ones go while headers are fetched."""
CERTIFIED_KEPT = 8192
"""Certified headers remembered, the latest; snapshots are made more often than that."""

Asked = SnapshotRequest | HeadersRequest | CommitteesRequest


class Stage(Enum):
    """What is being asked for."""

    OFFERS = "offers"
    HEADERS = "headers"
    OPENING = "opening"
    PARTS = "parts"
    LOADED = "loaded"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A state, and the certified block after which it was."""

    height: int
    header: Header
    block: bytes
    certificate: Certificate
    items: dict[bytes, bytes]


@dataclass(slots=True)
class _Peer:
    held: tuple[int, ...] | None = None
    """Which snapshots it says it has; None: not asked, or not answered yet."""
    asked: Asked | None = None
    asked_ms: int = 0
    kept: tuple[tuple[Header, Certificate], ...] = ()
    """Headers of its last answer that wait for their committees to be known."""
    turn: int = 0
    """When it was asked for headers last; the others come first."""


@dataclass(slots=True)
class _Target:
    height: int
    opening: SnapshotOpening | None = None
    missing: set[int] = field(default_factory=lambda: set(range(SNAPSHOT_PARTS)))
    items: dict[bytes, bytes] = field(default_factory=dict)


class Fetching:
    """Drive it with `on_up`, `on_down`, `on_message` and `poll` until `ended`."""

    def __init__(self, headers: HeaderChain, peers_expected: int, far_behind_blocks: int, patience_ms: int):
        """`patience_ms`: for one answer, and for peers to connect. Nearer ones than far behind are no use."""
        self._headers = headers
        self._peers_expected = peers_expected
        self._far_behind_blocks = max(2, far_behind_blocks)
        self._patience_ms = patience_ms
        self._peers: dict[bytes, _Peer] = {}
        self._banned: set[bytes] = set()
        self._strikes: Counter[bytes] = Counter()
        self._certified: OrderedDict[int, tuple[Header, Certificate]] = OrderedDict()
        self._dry: set[bytes] = set()
        """Who had no header more than this node has now."""
        self._target: _Target | None = None
        self._rounds = 0
        self._turns = 0
        self._offers_until_ms: int | None = None
        self.stage = Stage.OFFERS
        self.reason = ""
        """Why it was given up, for people."""
        self.loaded: Loaded | None = None
        self.refused: Counter[str] = Counter()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.stage in (Stage.LOADED, Stage.GIVEN_UP)

    @property
    def height(self) -> int:
        """Up to which headers were certified."""
        return self._headers.height

    # ---- what happens --------------------------------------------------------------------------------

    def on_up(self, peer: bytes) -> None:
        """A peer can be asked."""
        if peer not in self._banned:
            self._peers.setdefault(peer, _Peer())

    def on_down(self, peer: bytes) -> None:
        """A peer is gone, with what it was asked for."""
        self._peers.pop(peer, None)

    def on_malformed(self, peer: bytes) -> None:
        """A peer sent what is no message."""
        self._ban(peer, "malformed")

    def on_message(self, peer: bytes, message: Message) -> None:
        """A message of a peer; what was not asked for is left aside."""
        known = self._peers.get(peer)
        asked = known.asked if known is not None else None
        if known is None or self.ended:
            return
        if isinstance(message, HeadersResponse) and isinstance(asked, HeadersRequest):
            known.asked = None
            self._on_headers(peer, message)
        elif isinstance(message, CommitteesResponse) and isinstance(asked, CommitteesRequest):
            known.asked = None
            self._on_committees(peer, known, message, asked)
        elif isinstance(message, SnapshotResponse) and isinstance(asked, SnapshotRequest):
            if (message.height, message.first) != (asked.height, asked.first):
                self.refused["unrequested"] += 1
                return
            known.asked = None
            known.held = tuple(sorted(set(message.held)))
            if asked.height and asked.count:
                self._on_parts(peer, message, asked)
            elif asked.height:
                self._on_opening(peer, message)

    def poll(self, now_ms: int) -> list[tuple[bytes, Asked]]:
        """Whom to ask for what now; call it again after every event, and at least every `patience_ms`."""
        self._expire(now_ms)
        # Each stage may find at once that the next one is due.
        for _ in Stage:
            if self.ended:
                return []
            stage = self.stage
            asks = list(_ASK[stage](self, now_ms))
            if self.stage is stage:
                for peer, message in asks:
                    self._peers[peer].asked, self._peers[peer].asked_ms = message, now_ms
                return asks
        return []

    # ---- stages --------------------------------------------------------------------------------------

    def _ask_for_offers(self, now_ms: int) -> Iterator[tuple[bytes, Asked]]:
        if self._offers_until_ms is None:
            self._offers_until_ms = now_ms + self._patience_ms
        answered = [peer for peer in self._peers.values() if peer.held is not None]
        everybody = len(answered) + len(self._banned) >= self._peers_expected
        if everybody or now_ms >= self._offers_until_ms:
            self._judge_offers(answered)
            return
        for name, peer in self._peers.items():
            if peer.held is None and peer.asked is None:
                yield name, SnapshotRequest(0, 0, 0)

    def _judge_offers(self, answered: list[_Peer]) -> None:
        self._rounds += 1
        offered = [height for peer in answered for height in peer.held or ()]
        if not answered:
            self._give_up("nobody answers")
        elif max(offered, default=0) < self._far_behind_blocks:
            self._give_up("nobody has a snapshot that is far ahead")
        else:
            self._dry.clear()
            self.stage = Stage.HEADERS

    def _ask_for_headers(self, _now_ms: int) -> Iterator[tuple[bytes, Asked]]:
        goal = max((height for peer in self._peers.values() for height in peer.held or ()), default=0)
        if any(isinstance(peer.asked, HeadersRequest) for peer in self._peers.values()):
            return
        fresh = [name for name in self._peers if name not in self._dry]
        if self._headers.height >= goal or not fresh:
            # Whatever claims there are beyond this: nobody proves them.
            self._choose_target()
            return
        # One after the other: who gives little by little only wastes its own turn.
        free = [name for name in fresh if self._peers[name].asked is None]
        if free:
            name = min(free, key=lambda each: (not self._peers[each].kept, self._peers[each].turn))
            self._turns += 1
            self._peers[name].turn = self._turns
            unknown = self._unknown(self._peers[name].kept)
            if unknown:
                yield name, CommitteesRequest(unknown)
            else:
                yield name, HeadersRequest(self._headers.height + 1, HEADERS_MAX)

    def _unknown(self, headers: tuple[tuple[Header, Certificate], ...]) -> tuple[bytes, ...]:
        roots = dict.fromkeys(header.committee_root for header, _ in headers)
        return tuple(root for root in roots if not self._headers.knows(root))[:COMMITTEES_MAX]

    def _on_committees(
        self, name: bytes, peer: _Peer, message: CommitteesResponse, asked: CommitteesRequest
    ) -> None:
        told = {self._headers.learn(members) for members in message.committees[: len(asked.roots)]}
        if not told <= set(asked.roots):
            self._ban(name, "committee")
        elif asked.roots[0] not in told:
            # Without the first of them none of its headers can be judged: it has told all it has.
            peer.kept = ()
            self._dry.add(name)
            self._strike(name)
        else:
            self._on_headers(name, HeadersResponse(peer.kept))

    def _on_headers(self, peer: bytes, message: HeadersResponse) -> None:
        before = self._headers.height
        self._peers[peer].kept = ()
        for number, (header, certificate) in enumerate(message.headers):
            if header.height <= self._headers.height:
                continue
            try:
                self._headers.extend(header, certificate)
            except RefusedError as error:
                if error.code == "unknown_committee":
                    self._peers[peer].kept = message.headers[number:]
                    return
                self._ban(peer, f"header_{error.code}")
                break
            self._certified[header.height] = (header, certificate)
            if len(self._certified) > CERTIFIED_KEPT:
                self._certified.popitem(last=False)
        if self._headers.height >= before + HEADERS_WORTHWHILE:
            self._dry.clear()
        else:
            # At the tip every answer brings the block or two that were decided meanwhile.
            self._dry.add(peer)

    def _choose_target(self) -> None:
        """The highest snapshot that somebody holds of a block that is certified."""
        heights = {height for peer in self._peers.values() for height in peer.held or ()}
        able = [height for height in heights & self._certified.keys() if height >= self._far_behind_blocks]
        if able:
            if self._target is None or self._target.height != max(able):
                self._target = _Target(max(able))
            self.stage = Stage.OPENING if self._target.opening is None else Stage.PARTS
        elif self._rounds < ROUNDS_MAX and self._peers:
            for peer in self._peers.values():
                peer.held = None
            self._offers_until_ms = None
            self.stage = Stage.OFFERS
        else:
            self._give_up("no snapshot proves itself, or nobody is left who holds one")

    def _holders(self) -> list[bytes]:
        assert self._target is not None, "there is a target while it is asked for"
        height = self._target.height
        return [name for name, peer in self._peers.items() if height in (peer.held or ())]

    def _ask_for_opening(self, _now_ms: int) -> Iterator[tuple[bytes, Asked]]:
        assert self._target is not None, "there is a target while it is asked for"
        holders = self._holders()
        if not holders:
            self._choose_target()
        elif all(self._peers[name].asked is None for name in holders):
            yield holders[0], SnapshotRequest(self._target.height, 0, 0)

    def _on_opening(self, peer: bytes, message: SnapshotResponse) -> None:
        target = self._target
        if target is None or message.height != target.height or target.opening is not None:
            return
        if message.opening is None:
            self._strike(peer)
            self._forget_held(peer, message.height)
        elif not opens(message.opening, self._certified[target.height][0]):
            self._ban(peer, "opening")
        else:
            target.opening = message.opening
            self.stage = Stage.PARTS

    def _ask_for_parts(self, _now_ms: int) -> Iterator[tuple[bytes, Asked]]:
        target = self._target
        assert target is not None, "there is a target while it is asked for"
        holders = self._holders()
        if not holders:
            self._choose_target()
            return
        under_way = {
            number
            for peer in self._peers.values()
            if isinstance(peer.asked, SnapshotRequest)
            for number in range(peer.asked.first, peer.asked.first + peer.asked.count)
        }
        for name in holders:
            first = min(target.missing - under_way, default=None)
            if first is None:
                return
            if self._peers[name].asked is not None:
                continue
            count = 1
            while count < PARTS_PER_REQUEST and first + count in target.missing - under_way:
                count += 1
            under_way.update(range(first, first + count))
            yield name, SnapshotRequest(target.height, first, count)

    def _on_parts(self, peer: bytes, message: SnapshotResponse, asked: SnapshotRequest) -> None:
        target = self._target
        if target is None or target.opening is None or message.height != target.height:
            return
        if not message.parts:
            self._strike(peer)
            self._forget_held(peer, message.height)
        for number, data in enumerate(message.parts[: asked.count], start=message.first):
            try:
                entries = read_part(number, data, target.opening.part_roots)
            except WrongPartError:
                self._ban(peer, "part")
                return
            target.items.update(entries)
            target.missing.discard(number)
        if not target.missing:
            header, certificate = self._certified[target.height]
            self.loaded = Loaded(target.height, header, target.opening.block, certificate, target.items)
            self.stage = Stage.LOADED

    # ---- peers ---------------------------------------------------------------------------------------

    def _expire(self, now_ms: int) -> None:
        for name, peer in tuple(self._peers.items()):
            if peer.asked is not None and now_ms - peer.asked_ms >= self._patience_ms:
                peer.asked, peer.kept = None, ()
                self.refused["silent"] += 1
                self._dry.add(name)
                self._strike(name)

    def _strike(self, peer: bytes) -> None:
        # Who goes and comes again keeps them.
        self._strikes[peer] += 1
        if self._strikes[peer] >= STRIKES_MAX:
            self._ban(peer, "useless")

    def _forget_held(self, peer: bytes, height: int) -> None:
        known = self._peers.get(peer)
        if known is not None:
            known.held = tuple(each for each in known.held or () if each != height)

    def _ban(self, peer: bytes, code: str) -> None:
        self.refused[code] += 1
        self._banned.add(peer)
        self._peers.pop(peer, None)

    def _give_up(self, reason: str) -> None:
        self.stage, self.reason = Stage.GIVEN_UP, reason


def opens(opening: SnapshotOpening, header: Header) -> bool:
    """Whether this is the whole block of a certified header, and the parts' roots lead to its state."""
    try:
        block = decode_block(opening.block)
    except MalformedMessageError:
        return False
    return (
        header_digest(block.header) == header_digest(header)
        and merkle_root(block.transactions) == header.transactions_root
        and certificate_digest(block.parent_certificate) == header.parent_certificate_digest
        and leads_to(header.state_root, opening.part_roots)
    )


_ASK: dict[Stage, Callable[[Fetching, int], Iterator[tuple[bytes, Asked]]]] = {
    Stage.OFFERS: Fetching._ask_for_offers,
    Stage.HEADERS: Fetching._ask_for_headers,
    Stage.OPENING: Fetching._ask_for_opening,
    Stage.PARTS: Fetching._ask_for_parts,
}
