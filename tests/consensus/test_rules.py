"""CONSENSUS section 1: counting, and the idle rule of section 2."""

import pytest
from consensus_harness import participant

from p2penergy.consensus import Rules


@pytest.mark.parametrize("n", range(1, 201))
def test_two_quorums_share_a_correct_member_and_correct_members_make_one(n: int) -> None:
    rules = Rules()
    f, quorum = rules.faulty_max(n), rules.quorum(n)
    assert 2 * quorum - n >= f + 1
    assert quorum <= n - f


def test_quorum_is_not_2f_plus_1_when_n_is_not_3f_plus_1() -> None:
    assert [Rules().quorum(n) for n in range(1, 8)] == [1, 2, 2, 3, 4, 4, 5]


def test_a_certificate_counts_nobody_twice_and_no_stranger() -> None:
    rules = Rules()
    members = {participant(i): i for i in range(4)}
    assert rules.distinct(sorted(members))
    assert not rules.distinct([participant(0), participant(0)])


@pytest.mark.parametrize("n", range(1, 12))
def test_idleness_leaves_every_member_a_view_before_views_stretch(n: int) -> None:
    rules = Rules()
    for empty_block_slots in (None, 1, n, 100 * n):
        leaders = [k for k in range(2 * n) if rules.may_propose_empty(k, n, empty_block_slots)]
        assert len(leaders) >= n


def test_the_pool_is_older_than_the_header_that_names_its_committee() -> None:
    assert Rules().pool_height(12, 2, 5) == 5
    assert Rules().pool_height(12, 2, 0) == 9
    assert Rules().pool_height(2, 2, 5) == 0
