"""CONSENSUS section 1: a committee, counted."""

from consensus_harness import committee_of, participant, public_key

from p2penergy.consensus import Rules

POOL = [participant(i) for i in range(7)]


def test_thresholds() -> None:
    committee = committee_of(POOL, Rules())
    assert (committee.n, committee.f, committee.quorum, committee.weak) == (7, 2, 5, 3)
    assert POOL[3] in committee
    assert participant(9) not in committee
    assert committee.keys[POOL[3]] == public_key(POOL[3])
    assert committee.members == tuple(POOL)


def test_the_root_covers_the_set_whatever_its_order() -> None:
    assert committee_of(POOL, Rules()).root == committee_of(POOL[::-1], Rules()).root
    assert committee_of(POOL, Rules()).root != committee_of(POOL[1:], Rules()).root
