"""Tariffs: the retailer's prices and their limits."""

import pytest

from p2penergy.market.tariffs import PRICE_MICRO_PER_KWH_MAX, Tariffs


def test_the_default_is_a_german_household_of_2016() -> None:
    assert Tariffs() == Tariffs(290_000, 120_000, "EUR")


@pytest.mark.parametrize("prices", [(0, 0), (5, 5), (PRICE_MICRO_PER_KWH_MAX, 0)])
def test_prices_at_the_limits_are_allowed(prices: tuple[int, int]) -> None:
    Tariffs(*prices)


@pytest.mark.parametrize(
    ("retail", "feed_in", "what"),
    [(5, 6, "feed-in"), (5, -1, "feed-in"), (-1, -1, "feed-in"), (10**9 + 1, 0, "retail")],
)
def test_prices_beyond_the_limits_are_refused(retail: int, feed_in: int, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Tariffs(retail, feed_in)


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "€", "ÄÖÜ"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(ValueError, match="three capital letters"):
        Tariffs(currency=currency)
