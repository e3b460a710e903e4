"""Whatever anybody sends, in whatever order: after every step each buffer is within its named bound."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product

import pytest
from consensus_bench import NONE, Bench
from consensus_harness import signed
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy.consensus import bounds
from p2penergy.consensus.catch_up import ASKED_MAX, CLAIMS_MAX
from p2penergy.consensus.work import PEERS_ANSWERED_MAX
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Certificate,
    Commit,
    Decided,
    Evidence,
    Prepare,
    PrePrepare,
    SignedStatement,
    Status,
    SyncResponse,
    ViewChange,
    VoteKind,
)

PEERS = 2_000
"""Devices that claim things: more than any list of peers holds."""


def peer(number: int) -> bytes:
    return sha256(b"peer %d" % number).digest()[:20]


def digest(number: int) -> bytes:
    return sha256(b"digest %d" % number).digest()


@dataclass
class Flood:
    """A replica on the bench with everybody against it; remembers how full each buffer ever was."""

    bench: Bench
    fullest: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        for held in self.bench.node.replica.held:
            assert held.is_within, held
            self.fullest[held.name] = max(held.now, self.fullest.get(held.name, 0))

    def deliver(self, message: object, source: bytes | None = None) -> None:
        self.bench.deliver(message, peer=source)  # type: ignore[arg-type]
        self.look()

    # ---- what may be sent; every figure is taken modulo what there is --------------------------

    def member(self, number: int) -> bytes:
        return self.bench.others[number % len(self.bench.others)]

    def vote(self, kind: int, who: int, above: int, view: int, which: int) -> None:
        sender, height = self.member(who), max(1, self.bench.height + above % 5 - 1)
        at, said = self.base_view() + view % 9 - 1, digest(which)
        make: list[Callable[[], Prepare | Commit | ViewChange | PrePrepare]] = [
            lambda: Prepare(sender, height, at, said, NONE),
            lambda: Commit(sender, height, at, said, NONE),
            lambda: ViewChange(sender, height, at, None, None, NONE),
            lambda: PrePrepare(sender, height, at, said, NONE, b"no block" * (which % 64), (), None),
        ]
        self.deliver(signed(make[kind % 4](), self.bench.chain_id))

    def proposal(self, _kind: int, _who: int, _above: int, view: int, which: int) -> None:
        """A valid block of the view's own leader; another one for every `which`."""
        view = self.base_view() + view % 4
        if self.bench.leader(view) == self.bench.me:
            return
        known = self.bench.block(view, b"tx %d" % which)
        changes = (
            ()
            if view == self.bench.node.replica.first
            else self.bench.bare_changes(view, len(self.bench.others))
        )
        self.deliver(self.bench.pre_prepare(view, known, changes))

    def claim(self, kind: int, who: int, above: int, _view: int, which: int) -> None:
        """Of any device: it says that it is further, or behind, or asks, or answers unasked."""
        source, height = peer(which % PEERS), max(1, self.bench.height + above)
        certificate = Certificate(height, 1, digest(who), ())
        messages = [
            Status(height, 1),
            Decided(b"no block", certificate),
            SyncResponse(height, (Decided(b"no block", certificate),)),
            BlockRequest(self.bench.height, digest(who)),
            BlockResponse(self.bench.height, b"no block"),
            Status(max(1, self.bench.height - 1), 1),
        ]
        self.deliver(messages[kind % len(messages)], source)

    def claims(self, kind: int, who: int, above: int, view: int, which: int) -> None:
        """The same of very many."""
        for number in range(which, which + 300):
            self.claim(kind, who, above, view, number)

    def certified(self, _kind: int, who: int, _above: int, view: int, which: int) -> None:
        """A quorum COMMITs a block that nobody has."""
        for member in self.bench.others:
            at = self.base_view() + view % 3
            self.deliver(self.bench.commit(member, at, digest(which)))
        self.vote(0, who, 0, view, which)

    def time_passes(self, _kind: int, _who: int, _above: int, view: int, which: int) -> None:
        self.bench.at(self.bench.network.slot + view % 3, which % 900)
        self.look()

    def decision(self, _kind: int, _who: int, _above: int, view: int, which: int) -> None:
        """A block is decided; the height is over. Two of one height would be more than a flood."""
        at, replica = self.base_view() + view % 2, self.bench.node.replica
        if replica._work.instance.decision is not None:
            return
        known = self.bench.block(at, b"decided %d %d" % (which, self.bench.height))
        self.bench.network.now_ms = max(self.bench.network.now_ms, replica.start_ms(at))
        self.deliver(Decided(known.raw, self.bench.cc(at, known.digest, self.bench.members)))

    def base_view(self) -> int:
        replica = self.bench.node.replica
        return max(replica.view, replica.first)


KINDS = ["vote", "vote", "vote", "proposal", "claim", "claims", "certified", "time_passes", "decision"]
FIGURES = st.tuples(st.sampled_from(KINDS), *[st.integers(0, n) for n in (5, 9, 6, 8, 5000)])


@pytest.mark.parametrize("n", [1, 4, 7])
@settings(max_examples=20, deadline=None, derandomize=True, report_multiple_bugs=False)
@given(sent=st.lists(FIGURES, min_size=10, max_size=80))
def test_every_buffer_is_within_its_bound_after_every_step(
    n: int, sent: list[tuple[str, int, int, int, int, int]]
) -> None:
    flood = Flood(Bench(n, leads=n).at(1))
    for name, kind, who, above, view, which in sent:
        if n > 1 or name in {"claim", "claims", "time_passes"}:
            getattr(flood, name)(kind, who, above, view, which)


@pytest.mark.campaign
@pytest.mark.timeout(900)
@settings(max_examples=3000, deadline=None)
@given(sent=st.lists(FIGURES, min_size=10, max_size=200))
def test_every_buffer_is_within_its_bound_in_long_floods(
    sent: list[tuple[str, int, int, int, int, int]],
) -> None:
    flood = Flood(Bench(4, leads=4).at(1))
    for name, *figures in sent:
        getattr(flood, name)(*figures)


def test_a_flood_fills_buffers_up_to_their_bound_and_no_further() -> None:
    flood = Flood(Bench(7, leads=7).at(1))
    members = range(6)
    for above, view, which, who, kind in product((2, 1), range(9), range(4), members, range(4)):
        flood.vote(kind, who, above, view, 10 * which + who)
    for which in range(20):
        for view in range(4):
            flood.proposal(0, 0, 0, view, which)
    flood.decision(0, 0, 0, 0, 0)
    # Nobody is told of a block twice within delta of its broadcast.
    flood.time_passes(0, 0, 0, 1, 0)
    for kind in range(6):
        for number in range(PEERS):
            flood.claim(kind, 0, 3, 0, number)
    full = {held.name: held.most for held in flood.bench.node.replica.held}
    assert flood.fullest["claims"] == CLAIMS_MAX
    assert flood.fullest["peers_answered"] == PEERS_ANSWERED_MAX
    # All VIEW-CHANGEs of this flood say the same, and of those one copy is held.
    assert flood.fullest["early_of_one_sender"] == bounds.EARLY_PER_SENDER_MAX - 1
    # Six others at a committee of seven: the seventh's share is the node's own.
    for name in ("prepares", "commits", "view_changes"):
        assert flood.fullest[name] >= full[name] * 6 // 7
    assert 0 < flood.fullest["known_blocks"] <= full["known_blocks"]
    assert flood.fullest["asked_peers"] <= ASKED_MAX
    # And it goes on.
    flood.decision(0, 0, 0, 0, 1)
    assert flood.bench.node.replica.tip_height == 2


def test_every_figure_of_the_list_has_a_name_of_its_own() -> None:
    held = Bench(4).node.replica.held
    assert len({one.name for one in held}) == len(held)
    assert not bounds.Held("x", 2, 1).is_within
    assert bounds.Held("x", 1, 1).is_within


def test_evidence_from_outside_is_no_way_into_a_buffer() -> None:
    flood = Flood(Bench(4).at(1))
    before = flood.bench.node.replica.held
    side = SignedStatement(VoteKind.PREPARE, 1, 1, digest(1), None, None, NONE)
    flood.deliver(Evidence(flood.member(0), side, side), peer(1))
    assert flood.bench.node.replica.held == before
