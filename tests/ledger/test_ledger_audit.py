import msgspec
import pytest
from village import WALLET_NANO, with_readings

from p2penergy.ledger.audit import Totals


def totals() -> Totals:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    village.next_period(village.reading(1, export_wh=30, period=101))
    return village.ledger.audit_totals()


def test_the_sums_of_a_short_life() -> None:
    assert totals() == Totals(
        minted_wh=2030,
        consumed_wh=400,
        grid_export_wh=1600,
        imported_wh=2000,
        grid_import_wh=1600,
        held_wh=30,
        available_wh=30,
        bought_wh=0,
        money_nano=5 * WALLET_NANO,
        genesis_money_nano=5 * WALLET_NANO,
        negative_balances=0,
    )
    assert totals().is_conserved()


@pytest.mark.parametrize("field", [name for name in Totals.__struct_fields__ if name != "negative_balances"])
@pytest.mark.parametrize("error", [-1, 1])
def test_one_unit_more_or_less_is_noticed(field: str, error: int) -> None:
    right = totals()
    assert not msgspec.structs.replace(right, **{field: getattr(right, field) + error}).is_conserved()


def test_a_balance_below_zero_is_noticed() -> None:
    assert not msgspec.structs.replace(totals(), negative_balances=1).is_conserved()
