"""CONSENSUS section 9: the draw."""

from collections import Counter

from consensus_harness import participant
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.consensus import Rules
from p2penergy.consensus.committee import Committee, draw, shuffled

POOL = [participant(i) for i in range(7)]


def test_thresholds() -> None:
    committee = Committee(POOL, Rules())
    assert (committee.n, committee.f, committee.quorum, committee.weak) == (7, 2, 5, 3)
    assert POOL[3] in committee
    assert participant(9) not in committee


def test_the_root_covers_the_order() -> None:
    assert Committee(POOL, Rules()).root != Committee(POOL[::-1], Rules()).root


@given(seed=st.binary(min_size=32, max_size=32), n=st.integers(0, 60))
def test_a_draw_is_a_permutation_and_depends_on_the_seed_alone(seed: bytes, n: int) -> None:
    pool = [participant(i) for i in range(n)]
    order = shuffled(seed, pool)
    assert sorted(order) == sorted(pool)
    assert order == shuffled(seed, list(pool))


def test_the_draw_never_changes_between_versions() -> None:
    assert [POOL.index(m) for m in shuffled(bytes(32), POOL)] == [0, 1, 6, 4, 5, 3, 2]


def test_every_place_is_equally_likely() -> None:
    firsts = Counter(shuffled(i.to_bytes(32, "big"), POOL[:4])[0] for i in range(2000))
    assert all(abs(count - 500) < 100 for count in firsts.values())


def test_more_volunteers_than_places_are_sampled() -> None:
    committee = draw(bytes(32), POOL, 4, Rules())
    assert committee.n == 4
    assert committee.members == shuffled(bytes(32), POOL)[:4]
