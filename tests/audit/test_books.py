"""The second bookkeeping: every leg of a trade, and the sums."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from small_chain import SmallChain, a_genesis, signers

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "ledger"))

from village import WALLET_NANO, Village

from p2penergy.audit.books import Books
from p2penergy.ledger import LedgerOutcome, TradeReceipt, decode_receipt, keys, query
from p2penergy.ledger.receipts import encode_receipt
from p2penergy.ledger.records import ContractRecord, decode_record, encode_record
from p2penergy.ledger.state import Version


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
    assert list(books.book(receipts[0], [], receipts[1], False)) == []
    assert books.fault() is None
    assert (books.accepted, books.traded_wh, books.paid_nano) == (8, 100, 100 * 200_000)
    seller, buyer = (signers()[i].participant_id for i in (0, 1))
    assert (books.energy_wh[seller], books.energy_wh[buyer]) == (400, 100)
    assert list(books.book([], [], receipts[1], True)) == []
    assert not any(books.energy_wh.values())


@pytest.mark.parametrize(("leg", "condition"), [(n, str(n // 4 + 1)) for n in range(16)])
def test_a_wrong_leg_breaks_its_condition(
    receipts: tuple[list[bytes], bytes], leg: int, condition: str
) -> None:
    encoded, leader = receipts
    trade = decode_receipt(encoded[-1])
    assert isinstance(trade, TradeReceipt)
    legs = tuple(figure + (number == leg) for number, figure in enumerate(trade.legs))
    [(index, what)] = Books(a_genesis()).book(with_trade(encoded, legs=legs), [], leader, False)
    assert index == 7
    assert what.startswith(f"condition {condition} demands")


def test_another_leader_and_missing_legs_are_named(receipts: tuple[list[bytes], bytes]) -> None:
    encoded, leader = receipts
    [(_, what)] = Books(a_genesis()).book(with_trade(encoded, leader=bytes(20)), [], leader, False)
    assert what.startswith("its leader is 0000")
    [(_, what)] = Books(a_genesis()).book(with_trade(encoded, legs=(1, 2)), [], leader, False)
    assert what == "an executed trade has 16 balances, this 2"


def test_a_balance_below_zero_is_named(receipts: tuple[list[bytes], bytes]) -> None:
    encoded, leader = receipts
    books = Books(a_genesis())
    list(books.book(with_trade(encoded, price_micro_per_kwh=10**9), [], leader, False))
    assert "is below zero" in (books.fault() or "")


def test_money_out_of_nowhere_is_named() -> None:
    books = Books(a_genesis())
    books.wallet_nano[signers()[0].participant_id] += 1
    assert "genesis gave" in (books.fault() or "")


def test_what_is_put_aside_comes_back_or_is_paid_and_wrong_legs_of_a_delivery_are_named() -> None:
    village = Village()
    seller, buyer = village.ids[1], village.ids[3]

    def blocks() -> Iterator[LedgerOutcome]:
        yield village.run(village.draft(village.ask(1, 500), village.bid(3, 800, 300_000)))
        for period in (101, 102):
            readings = [village.reading(1, export_wh=500, period=period)] if period == 102 else []
            readings += [village.reading(3, import_wh=900, period=period)]
            yield village.run(village.draft(*readings, period=period))
        yield village.run(village.draft(period=103))

    def booked(change: Callable[[Version], Version]) -> tuple[Books, list[str]]:
        books, found, period = Books(village.genesis), [], 100
        for outcome in outcomes:
            draft = outcome.draft
            versions = [change(version) for version in outcome.versions]
            faults = books.book(outcome.receipts, versions, draft.proposer, draft.period > period)
            found += [what for _, what in faults]
            period = draft.period
            assert books.fault() is None
        return books, found

    outcomes = list(blocks())
    books, found = booked(lambda version: version)
    assert (found, books.traded_wh) == ([], 500)
    wallets = [query.balance(village.ledger.get, who).wallet_nano for who in (seller, buyer)]
    assert [books.wallet_nano[who] for who in (seller, buyer)] == wallets
    assert wallets[1] == WALLET_NANO - books.paid_nano

    def wrong(version: Version) -> Version:
        if version.key.startswith(keys.CONTRACT) and version.value is not None:
            record = decode_record(ContractRecord, version.value)
            if record.legs:
                legs = (record.legs[0] + 1, *record.legs[1:])
                value = encode_record(msgspec.structs.replace(record, legs=legs))
                return msgspec.structs.replace(version, value=value)
        return version

    _, found = booked(wrong)
    assert len(found) == 1
    assert found[0].startswith("condition 1 demands")
