import pytest
from village import PRICE, WALLET_NANO, Village, with_readings

from p2penergy.ledger import EnergyType, keys, query


def test_a_balance() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    assert query.balance(village.ledger.get, village.ids[3]) == query.Balance(
        400, WALLET_NANO - 400 * PRICE, 300_699
    )


def test_a_packet_as_the_paper_describes_it() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    owner = village.ids[1]
    assert query.packet(village.ledger.get, owner, 100) == query.Energy(
        packet_id=f"{owner.hex()}/100",
        amount_wh=1000,
        owner=owner,
        generation_date_time=100,
        available_wh=600,
        claimed_wh=400,
        energy_type=EnergyType.SOLAR,
    )


def test_strangers_and_the_unknown() -> None:
    get = Village().ledger.get
    who = b"x" * 20
    assert query.balance(get, who) == query.Balance(0, 0, 0)
    assert query.member(get, who) is None
    assert query.packet(get, who, 100) is None
    assert query.reading(get, who, 100) is None
    assert query.bill(get, who, 100) is None
    assert query.trade(get, bytes(32)) is None
    assert query.totals(get).minted_wh == 0


def test_questions_go_to_any_past_state() -> None:
    village = with_readings()
    past = dict(village.ledger.items())
    village.block(village.contract(1, 3, 400))
    assert query.balance(past.get, village.ids[3]).energy_wh == 0


def test_a_state_without_a_tip_is_none() -> None:
    with pytest.raises(ValueError, match="chain/tip"):
        query.tip({keys.TOTALS: b"\0"}.get)
