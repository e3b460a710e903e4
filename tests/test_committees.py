"""CONSENSUS section 9: the draw of committees, their keys, roots and orders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.committees import CommitteeRules, Founders, Reading, Roll, ordered, root_of, selected, shuffled
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member
from p2penergy.messages import Stage
from p2penergy.score_rules import ScoreRules

CHAIN = b"c" * 32


def member(number: int) -> bytes:
    return sha256(b"member %d" % number).digest()[:20]


def key(who: bytes, version: int = 0) -> bytes:
    return b"\x02" + sha256(who + bytes([version])).digest()


POOL = tuple(sorted(member(number) for number in range(7)))


def timing(**values: int) -> ConsensusRules:
    return ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=0, delta_ms=0, **values)


@dataclass
class Known:
    """A registry in the test's hands, the same pool at every height but where `changes` says otherwise."""

    pool: tuple[bytes, ...] = POOL
    spare: tuple[bytes, ...] = ()
    gone_after: dict[bytes, int] = field(default_factory=dict)
    renewed_after: dict[bytes, int] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    later: tuple[bytes, ...] | None = None
    """The pool from block 9 on, where it is another one."""

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        self.asked.append(height)
        return self.pool if self.later is None or height < 9 else self.later

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return self.spare

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        if height >= self.gone_after.get(participant_id, height + 1):
            return None
        return key(participant_id, height >= self.renewed_after.get(participant_id, height + 1))

    def last_verification(self, height: int) -> int:
        return 0

    def beacon(self, height: int) -> bytes:
        return sha256(b"R%d" % height).digest()


def roll(
    known: Known, height: int = 12, stage: Stage = Stage.VALIDATION, last: int = 0, **values: int
) -> Roll:
    rules = timing(**values)
    reading = Reading.of(rules, stage, height, last, CommitteeRules())
    return Roll.read(known, rules, CHAIN, reading, known.beacon)


# ---- the order ---------------------------------------------------------------------------------------


@given(seed=st.binary(min_size=32, max_size=32), n=st.integers(0, 60))
def test_an_order_is_a_permutation_and_depends_on_the_seed_alone(seed: bytes, n: int) -> None:
    pool = tuple(member(i) for i in range(n))
    order = shuffled(seed, pool)
    assert sorted(order) == sorted(pool)
    assert order == shuffled.__wrapped__(seed, pool)


def test_the_order_never_changes_between_versions() -> None:
    assert [POOL.index(m) for m in shuffled(bytes(32), POOL)] == [0, 1, 6, 4, 5, 3, 2]


def test_the_order_follows_from_the_set_and_the_beacon() -> None:
    known, rules = Known(), timing()
    one, other = (Reading.of(rules, Stage.VALIDATION, h, 0, CommitteeRules()) for h in (12, 13))
    here = Roll.read(known, rules, CHAIN, one, known.beacon)
    assert ordered(CHAIN, one, Roll.of(here.keys), known.beacon) == ordered(CHAIN, one, here, known.beacon)
    assert ordered(CHAIN, one, here, known.beacon) != ordered(CHAIN, other, here, known.beacon)
    assert ordered(b"d" * 32, one, here, known.beacon) != ordered(CHAIN, one, here, known.beacon)


# ---- the set, its keys and its root ------------------------------------------------------------------


def test_the_root_covers_members_and_keys() -> None:
    keys = {who: key(who) for who in POOL}
    root = Roll.of(keys).root
    assert root == Roll.of(dict(reversed(keys.items()))).root == root_of(sorted(keys.items()))
    assert root != Roll.of({**keys, POOL[0]: key(POOL[0], 1)}).root
    assert root != Roll.of({who: key(who) for who in POOL[1:]}).root


def test_who_is_gone_is_struck_and_the_others_stay() -> None:
    # Keys are read after block h - L - 1 = 9: gone in 10, the block that names the committee, is too late.
    known = Known(gone_after={POOL[0]: 9, POOL[1]: 10}, renewed_after={POOL[2]: 9, POOL[3]: 10})
    read = roll(known)
    assert read.members == POOL[1:]
    assert read.keys[POOL[2]] == key(POOL[2], 1)
    assert read.keys[POOL[3]] == key(POOL[3])


def test_the_pool_is_older_by_the_settling() -> None:
    known = Known()
    roll(known, settle_blocks=5)
    roll(known)
    roll(known, height=3, settle_blocks=5)
    assert known.asked == [5, 9, 0]


def test_the_best_scored_fill_up_to_the_least_size() -> None:
    spare = tuple(member(100 + i) for i in range(4))
    known = Known(spare=spare, gone_after={POOL[0]: 0, spare[1]: 0})
    assert roll(known, committee_size_min=6).members == POOL[1:]
    assert set(roll(known, committee_size_min=8).members) == {*POOL[1:], spare[0], spare[2]}
    # All there are, where there are too few.
    assert len(roll(known, committee_size_min=20).members) == 9


def test_where_all_have_left_whoever_volunteers_by_then_serves() -> None:
    later = tuple(sorted(member(200 + i) for i in range(6)))
    gone = dict.fromkeys(POOL, 9)
    known = Known(gone_after=gone, later=later)
    assert roll(known, settle_blocks=5, committee_size_min=4).members == later[:4]
    # But not where one is left: no identity can be brought in late.
    del gone[POOL[3]]
    assert roll(known, settle_blocks=5, committee_size_min=4).members == POOL[3:4]


def test_a_verification_committee_stays_but_loses_who_is_gone() -> None:
    known = Known(gone_after={POOL[4]: 20})
    rules = timing(settle_blocks=3)
    readings = [Reading.of(rules, Stage.VERIFICATION, h, 7, CommitteeRules()) for h in (9, 22, 23)]
    assert {(r.height, r.beacon_height, r.pool_height) for r in readings} == {(9, 7, 4)}
    rolls = [Roll.read(known, rules, CHAIN, reading, known.beacon) for reading in readings]
    assert rolls[0] == rolls[1]
    assert set(rolls[1].members) - set(rolls[2].members) == {POOL[4]}


@pytest.mark.parametrize(
    ("height", "last", "serves"), [(1, 0, True), (8, 7, False), (9, 7, True), (10, 7, True)]
)
def test_no_verification_committee_serves_before_its_time(height: int, last: int, serves: bool) -> None:
    assert CommitteeRules().serves(height, last, 2) is serves


# ---- sampling ----------------------------------------------------------------------------------------


@given(seed=st.binary(min_size=32, max_size=32), n=st.integers(2, 90), data=st.data())
def test_a_sample_has_its_size_and_only_members(seed: bytes, n: int, data: st.DataObject) -> None:
    pool = tuple(sorted(member(i) for i in range(n)))
    size = data.draw(st.integers(1, n - 1))
    sample = selected(seed, b"e" * 32, pool, size)
    assert len(set(sample)) == len(sample) == size
    assert set(sample) <= set(pool)
    assert list(sample) == sorted(sample)


def test_more_volunteers_than_places_are_sampled_and_struck_without_a_new_draw() -> None:
    pool = tuple(sorted(member(i) for i in range(40)))
    full = roll(Known(pool), committee_size_max=9)
    assert len(full.members) == 9
    gone = {full.members[0]: 9}
    assert roll(Known(pool, gone_after=gone), committee_size_max=9).members == full.members[1:]
    other = roll(Known(pool), height=13, committee_size_max=9)
    assert other.members != full.members


def test_heights_of_an_epoch_share_their_clusters_and_every_one_was_open_before_its_seed() -> None:
    rules = timing(settle_blocks=8, epoch_blocks=8)
    readings = [Reading.of(rules, Stage.VALIDATION, h, 0, CommitteeRules()) for h in range(40, 48)]
    assert {(r.epoch_height, r.epoch_beacon_height) for r in readings} == {(40, 38)}
    # Nobody can register an identity, or withdraw one, to suit a cluster whose seed is known.
    assert all(r.pool_height < r.epoch_beacon_height for r in readings)


# ---- what genesis alone knows -------------------------------------------------------------------------


def founders(start_ppm: int) -> Founders:
    members = tuple(
        Member(participant_id=who.hex(), public_key=key(who).hex(), validator=number > 0, verifier=number > 1)
        for number, who in enumerate(POOL)
    )
    market = MarketRules(scores=ScoreRules(volunteer_start_ppm=start_ppm, committee_bar_ppm=400_000))
    return Founders(Genesis(community="x", consensus=timing(), market=market, members=members))


def test_founders_volunteer_where_their_first_score_is_enough() -> None:
    known = founders(400_000)
    assert known.volunteers(Stage.VALIDATION, 0) == POOL[1:]
    assert known.volunteers(Stage.VERIFICATION, 0) == POOL[2:]
    assert known.reserves(Stage.VALIDATION, 0) == ()
    assert known.member_key(POOL[0], 0) == key(POOL[0])
    assert known.member_key(member(99), 0) is None
    below = founders(399_999)
    assert below.volunteers(Stage.VALIDATION, 0) == ()
    assert below.reserves(Stage.VERIFICATION, 0) == POOL[2:]


def test_every_place_is_equally_likely() -> None:
    firsts = Counter(shuffled(i.to_bytes(32, "big"), POOL[:4])[0] for i in range(2000))
    assert all(abs(count - 500) < 100 for count in firsts.values())
