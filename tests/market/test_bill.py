"""Bills: lines that add up exactly, and money that neighbours don't lose among themselves."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid.neighbourhood import load_sample
from p2penergy.market.bilateral import agreements
from p2penergy.market.bill import Bill, PeriodAccount, billed_nano, format_money, household_bill
from p2penergy.market.tariffs import Tariffs

TARIFFS = Tariffs()

legs = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 10**6)), max_size=4).map(tuple)


@st.composite
def accounts(draw: st.DrawFn) -> PeriodAccount:
    bought, sold = draw(legs), draw(legs)
    return PeriodAccount(
        imported_wh=sum(wh for wh, _ in bought) + draw(st.integers(0, 500)),
        exported_wh=sum(wh for wh, _ in sold) + draw(st.integers(0, 500)),
        bought=bought,
        sold=sold,
    )


def test_a_bill_by_hand() -> None:
    bill = household_bill(
        [
            PeriodAccount(1000, 0, bought=((600, 200_000),)),
            PeriodAccount(0, 500, sold=((100, 200_000), (200, 250_000))),
        ],
        TARIFFS,
    )
    assert bill == Bill(
        currency="EUR",
        paid_to_community_nano=120_000_000,
        received_from_community_nano=70_000_000,
        paid_to_grid_nano=116_000_000,
        received_from_grid_nano=24_000_000,
        without_community_nano=290_000_000 - 60_000_000,
    )
    assert (bill.community_nano, bill.grid_nano, bill.total_nano) == (
        50_000_000,
        92_000_000,
        142_000_000,
    )
    assert bill.saved_nano == 88_000_000
    assert format_money(bill.total_nano, bill.currency) == "0.14 EUR"


def test_no_period_is_a_bill_of_nothing() -> None:
    assert household_bill([], TARIFFS) == Bill("EUR", 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("account", "what"),
    [
        ((10, 0, ((11, 1),), ()), "bought 11 Wh, but the meter shows 10 Wh"),
        ((0, 10, (), ((6, 1), (5, 1))), "sold 11 Wh, but the meter shows 10 Wh"),
        ((-1, 0), "0 or more"),
        ((0, -1), "0 or more"),
        ((10, 0, ((-1, 1),), ()), "0 or more"),
        ((0, 10, (), ((1, -1),)), "0 or more"),
    ],
)
def test_an_account_that_cant_be_is_refused(account: tuple[int, int], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        PeriodAccount(*account)


@given(st.lists(accounts(), max_size=5))
def test_the_lines_add_up_and_without_trades_nothing_is_saved(items: list[PeriodAccount]) -> None:
    bill = household_bill(items, TARIFFS)
    assert bill.total_nano == bill.community_nano + bill.grid_nano
    assert bill.saved_nano == bill.without_community_nano - bill.total_nano
    alone = [PeriodAccount(a.imported_wh, a.exported_wh) for a in items]
    assert household_bill(alone, TARIFFS).total_nano == bill.without_community_nano
    assert household_bill(alone, TARIFFS).saved_nano == 0


@given(st.lists(accounts(), max_size=5), st.lists(accounts(), max_size=5))
def test_bills_of_two_spans_add_up_to_the_bill_of_both(
    first: list[PeriodAccount], second: list[PeriodAccount]
) -> None:
    both = household_bill(first + second, TARIFFS)
    parts = [household_bill(first, TARIFFS), household_bill(second, TARIFFS)]
    assert both.total_nano == sum(part.total_nano for part in parts)
    assert both.community_nano == sum(part.community_nano for part in parts)


def neighbourhood_bills(net_wh: dict[str, int], tariffs: Tariffs) -> tuple[dict[str, Bill], int]:
    """Bill everybody for one period of agreements; net Wh above zero is surplus."""
    surpluses = {name: wh for name, wh in net_wh.items() if wh > 0}
    deficits = {name: -wh for name, wh in net_wh.items() if wh < 0}
    agreed = agreements(surpluses, deficits, tariffs)
    bills = {}
    for name in net_wh:
        account = PeriodAccount(
            deficits.get(name, 0),
            surpluses.get(name, 0),
            tuple((a.energy_wh, a.price_micro_per_kwh) for a in agreed if a.buyer == name),
            tuple((a.energy_wh, a.price_micro_per_kwh) for a in agreed if a.seller == name),
        )
        bills[name] = household_bill([account], tariffs)
    return bills, sum(a.energy_wh for a in agreed)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(-500, 500)),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_a_neighbourhood_loses_nothing_among_itself_and_nobody_is_worse_off(
    net_wh: dict[str, int], price: int, other_price: int
) -> None:
    tariffs = Tariffs(max(price, other_price), min(price, other_price))
    bills, traded_wh = neighbourhood_bills(net_wh, tariffs)
    assert sum(bill.community_nano for bill in bills.values()) == 0
    assert all(bill.saved_nano >= 0 for bill in bills.values())
    span = tariffs.retail_micro_per_kwh - tariffs.feed_in_micro_per_kwh
    assert sum(bill.saved_nano for bill in bills.values()) == traded_wh * span


def test_a_sunny_noon_of_the_sample_loses_nothing_among_neighbours() -> None:
    sample = load_sample()
    period = max(sample.periods, key=lambda p: sample.balance(p).tradable_wh)
    net_wh = {r.household: r.export_wh - r.import_wh for r in sample.readings(period)}
    bills, traded_wh = neighbourhood_bills(net_wh, TARIFFS)
    assert traded_wh == sample.balance(period).tradable_wh > 0
    assert sum(bill.community_nano for bill in bills.values()) == 0
    assert all(bill.saved_nano >= 0 for bill in bills.values())


@pytest.mark.parametrize(
    ("amount_nano", "text"),
    [
        (0, "0.00 EUR"),
        (12_345_000_000, "12.34 EUR"),  # half to even
        (12_355_000_000, "12.36 EUR"),
        (12_345_000_001, "12.35 EUR"),
        (-12_355_000_000, "-12.36 EUR"),
        (-5_000_000, "0.00 EUR"),
        (-5_000_001, "-0.01 EUR"),
        (999_996_000_000, "1000.00 EUR"),
    ],
)
def test_money_is_shown_in_cents(amount_nano: int, text: str) -> None:
    assert format_money(amount_nano, "EUR") == text


@given(st.integers(-(10**18), 10**18))
def test_money_is_rounded_half_to_even_as_decimals_are(amount_nano: int) -> None:
    cents = Decimal("0.01")
    shown = Decimal(format_money(amount_nano, "EUR").removesuffix(" EUR"))
    assert shown == (Decimal(amount_nano) / 10**9).quantize(cents, ROUND_HALF_EVEN)


@given(st.integers(-(10**14), 10**14), st.integers(-(10**14), 10**14))
def test_the_billed_total_is_the_sum_of_the_lines_as_shown(community_nano: int, grid_nano: int) -> None:
    shown = [float(format_money(line, "EUR").split()[0]) for line in (community_nano, grid_nano)]
    total = float(format_money(billed_nano(community_nano, grid_nano), "EUR").split()[0])
    assert round(sum(shown), 2) == total


def test_a_total_rounded_by_itself_would_not_add_up() -> None:
    lines = (-25_645_000_001, 1_134_999_999)
    assert format_money(sum(lines), "EUR") == "-24.51 EUR"
    assert [format_money(line, "EUR") for line in lines] == ["-25.65 EUR", "1.13 EUR"]
    assert format_money(billed_nano(*lines), "EUR") == "-24.52 EUR"
