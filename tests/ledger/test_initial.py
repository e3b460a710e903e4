import msgspec
import pytest
from village import QuickChecker, Village

from p2penergy.genesis import Genesis, GenesisError
from p2penergy.ledger import Ledger, keys, query
from p2penergy.ledger.initial import initial_items, require_in_range
from p2penergy.messages import INTEGER_MAX, Stage


def test_members_start_with_their_wallet_and_score() -> None:
    village = Village(members=3, validators=1, member={"wallet_nano": 77, "rated_w": 5})
    get = village.ledger.get
    assert [query.score(get, who) for who in village.ids] == [600_000, 300_000, 300_000]
    assert query.balance(get, village.ids[2]) == query.Balance(0, 77, 300_000)
    member = query.member(get, village.ids[0])
    assert member is not None
    assert (member.public_key, member.rated_w) == (village.signers[0].public_key, 5)
    assert (member.validator, member.verifier) == (True, True)
    assert village.ledger.reveal_tip(village.ids[0]) == village.chains[0].tip
    assert village.ledger.reveal_tip(village.ids[1]) is None


def test_the_tip_names_period_and_stage() -> None:
    village = Village(rules={"first_stage": Stage.VERIFICATION})
    tip = query.tip(village.ledger.get)
    assert (tip.period, tip.next_stage) == (100, Stage.VERIFICATION)


def test_keys_are_distinct() -> None:
    items = list(initial_items(Village().genesis))
    assert len(dict(items)) == len(items)
    assert all(keys.parse_text(keys.text(key)) == key for key, _ in items)


def rich(genesis: Genesis, wallet_nano: int) -> Genesis:
    members = tuple(msgspec.structs.replace(m, wallet_nano=wallet_nano) for m in genesis.members)
    return msgspec.structs.replace(genesis, members=members)


def test_more_money_than_64_bits_hold_is_refused() -> None:
    genesis = Village(members=4).genesis
    require_in_range(rich(genesis, INTEGER_MAX // 4))
    with pytest.raises(GenesisError, match="wallet_nano add up to"):
        Ledger(rich(genesis, INTEGER_MAX // 4 + 1), QuickChecker())


@pytest.mark.parametrize("name", ["retail_micro_per_kwh", "network_fee_micro_per_kwh"])
def test_a_price_that_could_outgrow_a_bill_is_refused(name: str) -> None:
    with pytest.raises(GenesisError, match=f"{name} = 1000000001"):
        Village(market={name: 10**9 + 1})
    Village(market={name: 10**9})
