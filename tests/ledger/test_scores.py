from hypothesis import given
from hypothesis import strategies as st

from p2penergy.genesis import PPM
from p2penergy.ledger.scores import NOTHING_DELIVERED_PPM, START_PPM, TRADING_BAR_PPM, after_default


def test_an_altered_contract_costs_three_tenths() -> None:
    assert after_default(600_000, NOTHING_DELIVERED_PPM) == 420_000
    assert after_default(START_PPM, NOTHING_DELIVERED_PPM) == 210_000


def test_the_third_altered_contract_of_a_newcomer_finds_it_below_the_bar() -> None:
    once = after_default(START_PPM, NOTHING_DELIVERED_PPM)
    assert once >= TRADING_BAR_PPM > after_default(once, NOTHING_DELIVERED_PPM)


@given(st.integers(0, PPM), st.integers(-PPM, 0))
def test_a_default_never_raises_a_score_and_never_takes_more_than_three_tenths(q: int, x: int) -> None:
    assert q - q * 3 // 10 <= after_default(q, x) <= q


@given(st.integers(0, PPM), st.integers(-PPM, 0), st.integers(-PPM, 0))
def test_a_worse_default_costs_no_less(q: int, x: int, y: int) -> None:
    assert after_default(q, min(x, y)) <= after_default(q, max(x, y))


def test_half_a_default_costs_by_the_fifth_power() -> None:
    assert after_default(PPM, -500_000) == PPM - 300_000 // 32
