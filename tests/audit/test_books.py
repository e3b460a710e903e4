"""The second bookkeeping: every leg of a trade, and the sums."""

import msgspec
import pytest
from small_chain import SmallChain, a_genesis, signers

from p2penergy.audit.books import Books
from p2penergy.ledger import TradeReceipt, decode_receipt
from p2penergy.ledger.receipts import encode_receipt


@pytest.fixture(scope="module")
def receipts(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], bytes]:
    """Readings and one trade of a block, and who led it."""
    chain = SmallChain(tmp_path_factory.mktemp("books") / "home")
    known = chain.build([*chain.readings(), chain.trade(0, 1, 100)])
    chain.store.close()
    return list(known.outcome.receipts), known.block.header.proposer


def with_trade(receipts: list[bytes], **changes: object) -> list[bytes]:
    trade = decode_receipt(receipts[-1])
    assert isinstance(trade, TradeReceipt)
    return [*receipts[:-1], encode_receipt(msgspec.structs.replace(trade, **changes))]


def test_an_honest_block_balances(receipts: tuple[list[bytes], bytes]) -> None:
    books = Books(a_genesis())
    assert list(books.book(*receipts)) == []
    assert books.fault() is None
    assert (books.accepted, books.traded_wh, books.paid_nano) == (8, 100, 100 * 200_000)
    seller, buyer = (signers()[i].participant_id for i in (0, 1))
    assert (books.energy_wh[seller], books.energy_wh[buyer]) == (400, 100)
    books.close_period()
    assert set(books.energy_wh.values()) == {0}


@pytest.mark.parametrize(("leg", "condition"), [(n, str(n // 4 + 1)) for n in range(16)])
def test_a_wrong_leg_breaks_its_condition(
    receipts: tuple[list[bytes], bytes], leg: int, condition: str
) -> None:
    encoded, leader = receipts
    trade = decode_receipt(encoded[-1])
    assert isinstance(trade, TradeReceipt)
    legs = tuple(figure + (number == leg) for number, figure in enumerate(trade.legs))
    [(index, what)] = Books(a_genesis()).book(with_trade(encoded, legs=legs), leader)
    assert index == 7
    assert what.startswith(f"condition {condition} demands")


def test_another_leader_and_missing_legs_are_named(receipts: tuple[list[bytes], bytes]) -> None:
    encoded, leader = receipts
    [(_, what)] = Books(a_genesis()).book(with_trade(encoded, leader=bytes(20)), leader)
    assert what.startswith("its leader is 0000")
    [(_, what)] = Books(a_genesis()).book(with_trade(encoded, legs=(1, 2)), leader)
    assert what == "an executed trade has 16 balances, this 2"


def test_a_balance_below_zero_is_named(receipts: tuple[list[bytes], bytes]) -> None:
    encoded, leader = receipts
    books = Books(a_genesis())
    list(books.book(with_trade(encoded, price_micro_per_kwh=10**9), leader))
    assert "is below zero" in (books.fault() or "")


def test_money_out_of_nowhere_is_named() -> None:
    books = Books(a_genesis())
    books.wallet_nano[signers()[0].participant_id] += 1
    assert "genesis gave" in (books.fault() or "")
