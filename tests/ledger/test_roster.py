"""The pools as lists: at every height what the records say, kept up or built anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.genesis import ConsensusRules
from p2penergy.ledger import keys, roster
from p2penergy.ledger.needed import Needed, value_at
from p2penergy.ledger.places import ELIGIBLE
from p2penergy.ledger.records import (
    MemberRecord,
    PoolChange,
    PoolRecord,
    Stake,
    StakeRecord,
    encode_record,
)
from p2penergy.ledger.roster import Roster
from p2penergy.messages import Stage

TIMING = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100, volunteer_age_blocks=5)
IDS = [bytes([number]) * 20 for number in range(6)]
BITS = {0: 0, 1: 1 << Stage.VALIDATION, 2: 1 << Stage.VERIFICATION, 3: 6}

a_change = st.tuples(
    st.integers(0, len(IDS) - 1), st.sampled_from(list(BITS)), st.sampled_from([ELIGIBLE, ELIGIBLE, 39, 12])
)
some_blocks = st.lists(st.lists(a_change, max_size=3), min_size=1, max_size=25)


def expected(history: dict[bytes, list[PoolChange]], stage: Stage, height: int) -> tuple[Any, Any]:
    pool, below = [], []
    for who, changes in history.items():
        place = value_at(changes, height)
        if place is None or not place.roles >> stage & 1:
            continue
        if place.grade == ELIGIBLE:
            pool.append(who)
        else:
            below.append((-place.grade, who))
    return tuple(sorted(pool)), tuple(who for _, who in sorted(below))


@given(some_blocks, st.lists(st.integers(0, 24), max_size=30), st.sampled_from([2, 5, 4096]))
def test_every_pool_of_the_past_is_what_the_changes_say(
    blocks: list[list[tuple[int, int, int]]], asked: list[int], events_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roster, "EVENTS_MAX", events_max)
        history: dict[bytes, list[PoolChange]] = {}
        kept = Roster(TIMING, 0, [])
        questions = iter(asked)
        for height, changes in enumerate(blocks, start=1):
            values = {}
            for number, roles, grade in changes:
                listed = history.setdefault(IDS[number], [])
                if listed and listed[-1].height == height:
                    listed.pop()
                listed.append(PoolChange(height, BITS[roles], grade))
                values[keys.pool(IDS[number])] = encode_record(PoolRecord(tuple(listed)))
            kept.apply(list(values.items()), height)
            # Questions in between, in any order of heights, must not spoil later answers.
            for stage in Stage:
                at = min(next(questions, height), height)
                assert kept.volunteers(stage, at) == expected(history, stage, at)[0]
        anew = Roster(
            TIMING,
            len(blocks),
            [(keys.pool(who), encode_record(PoolRecord(tuple(changes)))) for who, changes in history.items()],
        )
        for height in range(len(blocks) + 1):
            for stage in Stage:
                pool, below = expected(history, stage, height)
                for each in (kept, anew):
                    assert each.volunteers(stage, height) == pool
                    assert each.reserves(stage, height) == below


def test_a_place_that_the_state_has_forgotten_spoils_no_later_pool() -> None:
    who, first = IDS[0], PoolChange(0, BITS[1], ELIGIBLE)
    kept = Roster(TIMING, 0, [(keys.pool(who), encode_record(PoolRecord((first,))))])
    assert kept.volunteers(Stage.VALIDATION, 0) == (who,)
    for height in (20, 40):
        later = PoolRecord((PoolChange(height, BITS[3], ELIGIBLE),))
        kept.apply([(keys.pool(who), encode_record(later))], height)
    assert kept.volunteers(Stage.VALIDATION, 41) == (who,)


def test_an_unchanged_pool_is_the_same_tuple() -> None:
    record = encode_record(PoolRecord((PoolChange(0, BITS[3], ELIGIBLE),)))
    kept = Roster(TIMING, 0, [(keys.pool(who), record) for who in IDS])
    first = kept.volunteers(Stage.VALIDATION, 0)
    kept.apply([], 1)
    kept.apply([], 2)
    assert kept.volunteers(Stage.VALIDATION, 2) is first
    reserves = kept.reserves(Stage.VALIDATION, 0)
    assert kept.reserves(Stage.VALIDATION, 2) is reserves


def test_newcomers_come_of_age_once() -> None:
    member = encode_record(MemberRecord(b"\2" * 33, False, False, 0, 0, None, 3))
    kept = Roster(TIMING, 3, [(keys.member(IDS[0]), member)])
    assert kept.coming_of_age(8) == {IDS[0]}
    assert kept.coming_of_age(7) == set()
    kept.apply([], 8)
    kept.apply([(keys.member(IDS[0]), member)], 9)
    assert kept.coming_of_age(8) == set()
    assert Roster(TIMING, 9, [(keys.member(IDS[0]), member)]).coming_of_age(8) == set()


def test_open_stakes_are_listed() -> None:
    record = encode_record(StakeRecord(1, 0, (Stake(IDS[0], 5),)))
    kept = Roster(TIMING, 0, [(keys.stake(IDS[2]), record)])
    kept.apply([(keys.stake(IDS[1]), record)], 1)
    assert kept.staked() == [IDS[1], IDS[2]]
    kept.apply([(keys.stake(IDS[2]), None)], 2)
    assert kept.staked() == [IDS[1]]


# ---- what is kept --------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True),
    st.integers(0, 30),
    st.lists(st.integers(0, 30), max_size=3),
)
def test_what_is_dropped_answers_for_no_height_that_is_needed(
    heights: list[int], since: int, before: list[int]
) -> None:
    changes = tuple(PoolChange(height, 0, height) for height in sorted(heights))
    kept = Needed(since, tuple(before)).kept(changes)
    assert kept[-1] == changes[-1]
    for height in [*range(since, 35), *before]:
        assert value_at(kept, height) == value_at(changes, height)
    answering = {value_at(changes, height) for height in [*range(since, 35), *before]}
    assert set(kept) <= answering | {changes[-1]}


def test_two_verification_blocks_and_the_latest_heights_are_needed() -> None:
    timing = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100, lag_blocks=3, settle_blocks=4)
    assert Needed.after(timing, 50, (20, 3)) == Needed(50 - 3 - 4 - 2, (16, 0))
    assert Needed.after(TIMING, 2, (0, 0)) == Needed(0, (0, 0))
    assert Needed(0, ()).kept(()) == ()
