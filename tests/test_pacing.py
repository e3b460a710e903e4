"""Proposals grow while they are decided in time, and shrink when they are not."""

from hypothesis import given
from hypothesis import strategies as st

from p2penergy.pacing import BYTES_MIN, Pacer

OWN, OTHER = b"own", b"other"
BYTES_MAX = 1_000_000
BUDGET_MS = 100


def pacer() -> Pacer:
    return Pacer(BYTES_MAX, BUDGET_MS)


def propose(pacer: Pacer, size_bytes: int, took_ms: int, decided: bytes = OWN) -> int:
    pacer.proposed(OWN, size_bytes, 5_000_000)
    pacer.decided(decided, 5_000_000 + took_ms * 1000)
    return pacer.limit_bytes


def test_it_begins_with_the_nodes_own_limit() -> None:
    assert pacer().limit_bytes == BYTES_MAX


def test_a_block_that_took_twice_the_budget_halves_the_limit() -> None:
    assert propose(pacer(), BYTES_MAX, 2 * BUDGET_MS) == BYTES_MAX // 2


def test_blocks_in_time_let_it_grow_back_to_the_limit_and_no_further() -> None:
    slow = pacer()
    propose(slow, BYTES_MAX, 10 * BUDGET_MS)
    limits = [propose(slow, slow.limit_bytes, 1) for _ in range(60)]
    assert limits == sorted(limits)
    assert limits[-1] == BYTES_MAX


def test_a_block_that_another_replaced_halves_the_limit() -> None:
    assert propose(pacer(), BYTES_MAX, 1, decided=OTHER) == BYTES_MAX // 2


def test_a_lone_request_does_not_measure_the_cost_of_bytes() -> None:
    slow = pacer()
    before = propose(slow, BYTES_MAX, 4 * BUDGET_MS)
    assert propose(slow, 200, BUDGET_MS // 2) > before


def test_a_decision_without_an_own_proposal_says_nothing() -> None:
    quiet = pacer()
    quiet.decided(OTHER, 1)
    assert quiet.limit_bytes == BYTES_MAX


def test_saturation_settles_where_blocks_take_the_budget() -> None:
    # 1 us per byte and a fixed cost of 20 ms: 80,000 bytes take 100 ms.
    steady = pacer()
    for _ in range(80):
        size = steady.limit_bytes
        propose(steady, size, 20 + size // 1000)
    assert 50_000 <= steady.limit_bytes <= 125_000


@given(st.lists(st.tuples(st.integers(0, 2 * BYTES_MAX), st.integers(-50, 10_000), st.booleans())))
def test_the_limit_stays_within_its_bounds(blocks: list[tuple[int, int, bool]]) -> None:
    any_pacer = pacer()
    for size_bytes, took_ms, own in blocks:
        assert BYTES_MIN <= propose(any_pacer, size_bytes, took_ms, OWN if own else OTHER) <= BYTES_MAX
