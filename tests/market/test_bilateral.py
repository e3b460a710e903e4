"""Agreements: all that can be traded is, nobody with himself, alike on every machine."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid.neighbourhood import load_sample
from p2penergy.market.bilateral import Agreement, agreements, fair_price_micro_per_kwh
from p2penergy.market.tariffs import Tariffs

TARIFFS = Tariffs()

amounts = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 50))
tariffs = st.builds(lambda a, b: Tariffs(max(a, b), min(a, b)), st.integers(0, 10**6), st.integers(0, 10**6))


def apart(left: dict[str, int], right: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Name the two sides differently, so that nobody is on both."""
    return {f"s{k}": v for k, v in left.items()}, {f"b{k}": v for k, v in right.items()}


def test_the_sample_has_as_many_matches_and_as_much_energy_as_its_file_foretells() -> None:
    sample = load_sample()
    for expected in sample.expectations:
        surpluses = sample.surpluses(expected.period)
        deficits = sample.deficits(expected.period)
        agreed = agreements(surpluses, deficits, TARIFFS)
        assert len(agreed) == expected.matches, expected
        assert sum(a.energy_wh for a in agreed) == expected.balance.tradable_wh, expected


def test_the_largest_meet_first_and_equal_ones_by_name() -> None:
    agreed = agreements({"p": 30, "r": 50, "q": 30}, {"x": 20, "z": 60, "y": 60}, TARIFFS)
    assert [(a.seller, a.buyer, a.energy_wh) for a in agreed] == [
        ("r", "y", 50),
        ("p", "y", 10),
        ("p", "z", 20),
        ("q", "z", 30),
    ]


def test_two_that_fit_exactly_make_one_agreement() -> None:
    price = (290_000 + 120_000) // 2
    assert agreements({"a": 40}, {"b": 40}, TARIFFS) == (Agreement("a", "b", 40, price),)
    assert Agreement("a", "b", 40, price).amount_nano == 40 * price


@pytest.mark.parametrize(("surpluses", "deficits"), [({}, {"b": 1}), ({"a": 1}, {}), ({}, {})])
def test_with_one_side_empty_nothing_is_agreed(surpluses: dict[str, int], deficits: dict[str, int]) -> None:
    assert agreements(surpluses, deficits, TARIFFS) == ()


def test_a_household_on_both_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="a can't be seller and buyer"):
        agreements({"a": 1}, {"a": 1, "b": 2}, TARIFFS)
    assert len(agreements({"a": 1, "b": 0}, {"a": 0, "b": 2}, TARIFFS)) == 1


@pytest.mark.parametrize("side", [0, 1])
def test_a_negative_amount_is_refused(side: int) -> None:
    sides = [{"a": 1}, {"b": 1}]
    sides[side] = {"z": -1}
    with pytest.raises(ValueError, match="z has -1 Wh"):
        agreements(sides[0], sides[1], TARIFFS)


@given(amounts, amounts, tariffs)
def test_every_tradable_wh_changes_hands_once(
    left: dict[str, int], right: dict[str, int], prices: Tariffs
) -> None:
    surpluses, deficits = apart(left, right)
    agreed = agreements(surpluses, deficits, prices)
    tradable_wh = min(sum(surpluses.values()), sum(deficits.values()))
    assert sum(a.energy_wh for a in agreed) == tradable_wh
    assert all(a.energy_wh > 0 for a in agreed)
    assert all(
        prices.feed_in_micro_per_kwh <= a.price_micro_per_kwh <= prices.retail_micro_per_kwh for a in agreed
    )
    for name, surplus_wh in surpluses.items():
        assert sum(a.energy_wh for a in agreed if a.seller == name) <= surplus_wh
    for name, deficit_wh in deficits.items():
        assert sum(a.energy_wh for a in agreed if a.buyer == name) <= deficit_wh
    assert len({(a.seller, a.buyer) for a in agreed}) == len(agreed)
    sides = sum(1 for wh in [*surpluses.values(), *deficits.values()] if wh)
    assert len(agreed) <= max(sides - 1, 0)


@given(amounts, amounts, st.randoms())
def test_the_order_of_the_inputs_changes_nothing(
    left: dict[str, int], right: dict[str, int], random: Random
) -> None:
    surpluses, deficits = apart(left, right)
    shuffled = [list(surpluses.items()), list(deficits.items())]
    for items in shuffled:
        random.shuffle(items)
    assert agreements(surpluses, deficits, TARIFFS) == agreements(
        dict(shuffled[0]), dict(shuffled[1]), TARIFFS
    )


@pytest.mark.parametrize(
    ("surplus_wh", "deficit_wh", "price"),
    [(10, 10, 205_000), (0, 0, 205_000), (1, 16, 280_000), (16, 1, 130_000), (0, 5, 290_000)],
)
def test_the_price_leans_by_scarcity(surplus_wh: int, deficit_wh: int, price: int) -> None:
    assert fair_price_micro_per_kwh(surplus_wh, deficit_wh, TARIFFS) == price


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6), tariffs)
def test_more_on_offer_never_raises_the_price(
    surplus_wh: int, deficit_wh: int, more_wh: int, prices: Tariffs
) -> None:
    if surplus_wh + deficit_wh:
        before = fair_price_micro_per_kwh(surplus_wh, deficit_wh, prices)
        assert fair_price_micro_per_kwh(surplus_wh + more_wh, deficit_wh, prices) <= before
