"""CONSENSUS section 9: which committees serve around the tip."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from consensus_bench import Bench
from consensus_harness import FakeSigner, Network, make_genesis, participant, public_key

from p2penergy.consensus import Rules
from p2penergy.consensus.drawing import COMMITTEES_REMEMBERED_MAX, Drawing
from p2penergy.consensus.effects import Tick
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.work import Means, Work
from p2penergy.messages import Commit, Decided, Prepare, Stage, Status
from p2penergy.signing import RenewedSigner

IDS = tuple(sorted(participant(i) for i in range(5)))
REVEAL = b"r" * 32


@dataclass
class Registry:
    """Members in the test's hands; what is asked above the tip is an error, as it would be in a ledger."""

    tip: int = 0
    verifications: list[int] = field(default_factory=list)
    gone_after: dict[bytes, int] = field(default_factory=dict)
    verifiers: tuple[bytes, ...] = IDS

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        assert height <= self.tip
        return self.verifiers if stage is Stage.VERIFICATION else IDS

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        assert height <= self.tip
        return ()

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        assert height <= self.tip
        return (
            None if height >= self.gone_after.get(participant_id, height + 1) else public_key(participant_id)
        )

    def last_verification(self, height: int) -> int:
        assert height <= self.tip
        return max((at for at in self.verifications if at <= height), default=0)

    def beacon(self, height: int) -> bytes:
        assert 0 < height <= self.tip
        return sha256(b"R%d" % height).digest()


def drawing(known: Registry, stage: Stage = Stage.VALIDATION, **consensus: Any) -> Drawing:
    made = Drawing(make_genesis(4, **consensus), known, Rules())  # type: ignore[arg-type]
    made.open(known.tip, stage)
    return made


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_what_a_header_names_is_the_committee_of_l_heights_later(lag: int) -> None:
    known = Registry(gone_after={IDS[1]: 5, IDS[3]: 7})
    at = drawing(known, lag_blocks=lag, settle_blocks=2)
    named: dict[tuple[int, Stage], bytes] = {}
    for height in range(1, 14):
        known.tip = height - 1
        at.open(known.tip, Stage.VALIDATION)
        if height > lag:
            for stage in Stage:
                assert at.committee(height, stage).root == named[height, stage]
        verification, validation = at.roots(REVEAL)
        named[height + lag, Stage.VERIFICATION] = verification
        named[height + lag, Stage.VALIDATION] = validation
    assert set(at.committee(13, Stage.VALIDATION).members) == set(IDS) - {IDS[1], IDS[3]}


def test_a_verification_committee_stays_until_a_verification_block() -> None:
    known = Registry(tip=6)
    before = drawing(known).committee(7, Stage.VERIFICATION)
    known.tip = 9
    assert drawing(known).committee(10, Stage.VERIFICATION).members == before.members
    known.verifications = [8]
    after = drawing(known).committee(10, Stage.VERIFICATION)
    assert after.members != before.members
    known.tip = 12
    assert drawing(known).committee(13, Stage.VERIFICATION).members == after.members


def test_no_verification_height_before_the_next_committee_serves() -> None:
    known = Registry(tip=7)
    assert drawing(known).may_follow(Stage.VERIFICATION, REVEAL)
    # Height 8 is a verification block itself: its successor serves from 10 on.
    assert not drawing(known, Stage.VERIFICATION).may_follow(Stage.VERIFICATION, REVEAL)
    assert drawing(known, Stage.VERIFICATION).may_follow(Stage.VALIDATION, REVEAL)
    assert drawing(known, Stage.VERIFICATION, lag_blocks=1).may_follow(Stage.VERIFICATION, REVEAL)
    known.tip, known.verifications = 8, [8]
    assert drawing(known).may_follow(Stage.VERIFICATION, REVEAL)
    assert not drawing(known, lag_blocks=3).may_follow(Stage.VERIFICATION, REVEAL)
    known.verifiers = ()
    assert not drawing(known).may_follow(Stage.VERIFICATION, REVEAL)


def test_a_verification_block_names_its_own_successor() -> None:
    known = Registry(tip=7)
    ordinary, own = drawing(known), drawing(known, Stage.VERIFICATION)
    known.gone_after = {IDS[0]: 4}
    assert own.roots(REVEAL)[0] == ordinary.roots(REVEAL)[0], "the set is the same, only its order is new"
    sampled = drawing(known, Stage.VERIFICATION, committee_size_max=2, committee_size_min=1)
    assert len({sampled.roots(bytes([n]) * 32)[0] for n in range(20)}) > 1, "drawn from this block's reveal"


def test_both_stages_may_serve_the_next_height_but_not_where_it_is_too_early() -> None:
    known = Registry(tip=5)
    assert len(drawing(known).after_next()) == 2
    assert len(drawing(known, Stage.VERIFICATION).after_next()) == 1
    assert drawing(known, lag_blocks=1).after_next() == []


def test_no_committee_is_drawn_from_a_beacon_that_nobody_knows() -> None:
    with pytest.raises(InvariantError, match="R_6 is not known above height 5"):
        drawing(Registry(tip=5), lag_blocks=1).committee(7, Stage.VALIDATION)


def test_few_committees_are_remembered() -> None:
    known = Registry()
    at = drawing(known)
    for tip in range(40):
        known.tip = tip
        at.open(tip, Stage.VALIDATION)
        at.committee(tip + 1, Stage.VALIDATION)
    assert at.remembered == COMMITTEES_REMEMBERED_MAX


# ---- keys of votes under way ---------------------------------------------------------------------------


def test_votes_are_checked_with_the_keys_that_their_committee_was_read_with() -> None:
    bench = Bench().at(1)
    application, other = bench.node.application, bench.others[0]
    vote = bench.prepare(other, 1, bytes(32))
    # In the state of this moment the member has a new key, or is gone.
    application.member_key = lambda _who, height: None  # type: ignore[method-assign]
    checkable, key_of = bench.node.replica.checkable(vote)
    assert (checkable, key_of(other)) == (vote, public_key(other))
    assert key_of(b"s" * 20) is None


def test_the_next_heights_votes_are_those_of_either_stage() -> None:
    network = Network(4)
    for node in network.nodes:
        node.application.verifiers = (participant(9),)
    network.start()
    replica = network.nodes[0].replica
    early = Prepare(participant(9), 2, 5, bytes(32), bytes(64))
    for who, key in (
        (participant(9), public_key(participant(9))),
        (participant(1), public_key(participant(1))),
    ):
        assert replica.checkable(early)[1](who) == key
    assert replica.checkable(early)[1](participant(8)) is None
    assert replica.admit(early, participant(9)) is None
    assert (
        replica.admit(msgspec.structs.replace(early, sender=participant(8)), participant(8)) == "not_member"
    )


def test_of_heights_out_of_reach_votes_and_decisions_are_claims() -> None:
    bench = Bench().at(1)
    far = Commit(bench.others[0], 3, 9, bytes(32), bytes(64))
    checkable, key_of = bench.node.replica.checkable(far)
    assert (checkable, key_of(bench.others[0])) == (Status(3, 0), None)
    decided = Decided(b"b", msgspec.structs.replace(bench.cc(1, bytes(32)), height=9))
    checkable, key_of = bench.node.replica.checkable(decided)
    assert checkable == Status(10, 0)
    assert key_of(bench.others[0]) is None
    status = Status(3, 4)
    assert bench.node.replica.checkable(status)[0] is status


class Signer(FakeSigner):
    def __init__(self, participant_id: bytes, name: bytes) -> None:
        super().__init__(participant_id)
        self._name = name

    def sign(self, message: bytes) -> bytes:
        return (self._name * 64)[:64]


@pytest.mark.parametrize(("held", "signed"), [("known", b"old"), ("other", None)])
def test_a_renewed_member_signs_with_the_key_that_the_committee_knows_or_not_at_all(
    held: str, signed: bytes | None
) -> None:
    bench = Bench().at(1)
    key = public_key(bench.me) if held == "known" else public_key(b"another")
    newest = Signer(bench.me, b"new")
    signer = RenewedSigner(newest, {key: Signer(bench.me, b"old"), b"k" * 33: newest})
    application = bench.node.application
    means = Means(signer, bench.network.genesis, application, None, Rules())  # type: ignore[arg-type]
    work = Work(means, bench.chain())
    work.begin(bench.network.now_ms)
    assert work.may_sign is (signed is not None)
    vote = Prepare(bench.me, 1, 1, bytes(32), bytes(64))
    if signed is None:
        with pytest.raises(InvariantError, match="may not sign"):
            work.sign(vote)
    else:
        assert work.sign(vote).signature == (signed * 64)[:64]


def test_who_is_gone_is_struck_from_the_committee_of_real_nodes() -> None:
    network = Network(5, settle_blocks=3)
    leaver = network.nodes[0].id
    for node in network.nodes:
        application = node.application
        application.member_key = (  # type: ignore[method-assign]
            lambda who, height: None if who == leaver and height >= 4 else public_key(who)
        )
    network.start()
    sizes: dict[int, int] = {}
    for slot in range(1, 11):
        network.run_to_slot(slot)
        network.submit_everywhere(b"tx %d" % slot)
        for node in network.nodes:
            sizes[node.replica.height] = node.replica.committee(node.replica.height).n
            node.step(Tick())
    # Gone after block 4, so struck from 4 + L + 1 on, though the pool of then still has it.
    assert {height: n for height, n in sizes.items() if height in (6, 7, 8)} == {6: 5, 7: 4, 8: 4}
    assert min(network.heights) >= 8


@pytest.mark.parametrize("stage", Stage)
def test_what_is_named_can_be_read_while_a_sampled_verification_height_is_under_way(stage: Stage) -> None:
    known = Registry(tip=7, verifications=[])
    at = drawing(known, Stage.VERIFICATION, lag_blocks=3, committee_size_max=4, committee_size_min=4)
    # The committee after this height is drawn from R of this height, which nobody knows yet.
    assert at.named(stage)
