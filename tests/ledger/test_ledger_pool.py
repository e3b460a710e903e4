from typing import Any

import msgspec
import pytest
from village import Village, with_readings

from p2penergy.ledger import Contract, Decline, Pool, parse, pool
from p2penergy.messages import BLOCK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX, encode

BYTES_MAX = 1 << 20


class AnySignature:
    """Takes them all, as the two forms of one ECDSA signature both hold."""

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return True


def taken(village: Village, *transactions: bytes) -> None:
    for transaction in transactions:
        result = village.ledger.pool.add(transaction)
        assert result.accepted, result


def code(village: Village, transaction: bytes) -> str:
    """The code with which a transaction is refused; `check` and `add` agree on it."""
    before = len(village.ledger.pool)
    result = village.ledger.pool.add(transaction)
    assert not result.accepted
    assert result.sentence
    assert len(village.ledger.pool) == before
    if result.code != "bad_signature":
        assert village.ledger.pool.check(transaction) == result
    return result.code


def select(village: Village, period: int = 100, bytes_max: int = BYTES_MAX) -> tuple[bytes, ...]:
    return village.ledger.pool.select(period, bytes_max)


def test_readings_leave_before_contracts() -> None:
    village = Village()
    contract = village.contract(1, 3, 5)
    readings = village.reading(3, import_wh=5), village.reading(1, export_wh=5)
    taken(village, contract, *readings)
    assert select(village) == (*readings, contract)
    outcome = village.propose()
    assert len(outcome.receipts) == 3
    assert len(village.ledger.pool) == village.ledger.pool.size_bytes == 0


def test_submitters_take_turns() -> None:
    village = Village()
    busy = [village.contract(1, 3, 5, number=number) for number in range(3)]
    quiet = village.contract(2, 3, 5)
    taken(village, *busy, quiet)
    assert select(village) == (busy[0], quiet, busy[1], busy[2])


def test_a_later_period_waits() -> None:
    village = Village()
    now, later = village.reading(1, export_wh=5), village.reading(1, export_wh=5, period=101)
    taken(village, later, now)
    assert select(village) == (now,)
    assert select(village, 101) == (now, later)


def test_only_what_waits_for_no_later_period_is_ready() -> None:
    village = Village()
    tomorrow = [village.contract(1, 3, 5, number=number, period=101) for number in range(3)]
    taken(village, *tomorrow)
    assert (len(village.ledger.pool), village.ledger.pool.ready) == (3, 0)
    today = village.contract(1, 3, 5)
    taken(village, village.reading(1, export_wh=5), today)
    assert village.ledger.pool.ready == 2
    village.block(today)
    assert village.ledger.pool.ready == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_block_is_filled_up_to_its_bytes(count: int) -> None:
    village = Village()
    readings = [village.reading(meter, export_wh=5) for meter in (1, 2)]
    taken(village, *readings)
    room = sum(len(reading) + 5 for reading in readings[:count])
    assert select(village, bytes_max=room) == tuple(readings[:count])
    if count:
        assert select(village, bytes_max=room - 1) == tuple(readings[: count - 1])


def test_a_block_is_filled_up_to_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    village = Village()
    readings = [village.reading(meter, export_wh=5) for meter in (1, 2)]
    taken(village, *readings)
    assert len(select(village)) < BLOCK_TRANSACTIONS_MAX
    monkeypatch.setattr(pool, "BLOCK_TRANSACTIONS_MAX", 1)
    assert select(village) == (readings[0],)


def test_what_is_no_transaction() -> None:
    village = Village()
    assert code(village, b"\0") == "malformed"
    assert code(village, bytes(TRANSACTION_BYTES_MAX + 1)) == "too_large"
    raw = village.reading(1, export_wh=5)
    at = raw.index(b"\x64", 20)
    assert code(village, raw[:at] + b"\xcc" + raw[at:]) == "not_canonical"
    assert village.ledger.pool.signature_items(b"\0") == []


def test_strangers() -> None:
    village, larger = Village(members=3), Village(members=4)
    raw = larger.reading(3, export_wh=5)
    assert code(village, raw) == "unknown_submitter"
    assert village.ledger.pool.signature_items(raw) == []


def test_an_unsigned_transaction() -> None:
    village = Village()
    terms = village.terms(1, 3, 5)
    contract = village.submit(1, terms, village.signed_by(3, terms))
    unsigned = encode(msgspec.structs.replace(contract, signature=bytes(64)))
    assert village.ledger.pool.check(unsigned).accepted
    assert code(village, unsigned) == "bad_signature"


def test_a_wrong_inner_signature_is_for_the_ledger_to_decline() -> None:
    village = with_readings()
    raw = encode(village.submit(1, village.terms(1, 3, 5), bytes(64)))
    taken(village, raw)
    outer, inner = village.ledger.pool.signature_items(raw)
    assert village.checker.check(*outer)
    assert not village.checker.check(*inner)
    village.propose()
    assert len(village.ledger.pool) == 0


def test_the_items_are_those_that_execution_will_ask_for() -> None:
    village = with_readings()
    raw = village.contract(1, 3, 5)
    asked = []

    class Listening:
        def check(self, *item: bytes) -> bool:
            asked.append(item)
            return village.checker.check(*item)

    village.ledger._checker = Listening()
    village.ledger.execute(village.draft(raw))
    assert asked == village.ledger.pool.signature_items(raw)


def test_a_counterparty_that_is_no_member_has_no_item() -> None:
    village = Village()
    terms = msgspec.structs.replace(village.terms(1, 3, 5), buyer=b"x" * 20)
    raw = encode(village.submit(1, terms, bytes(64)))
    assert len(village.ledger.pool.signature_items(raw)) == 1
    taken(village, raw)


def test_pending_and_answered() -> None:
    village = with_readings()
    terms, other = village.terms(1, 3, 5), village.terms(1, 3, 6)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), nonce=1))
    rival = encode(village.submit(1, other, village.signed_by(3, other), nonce=1))
    taken(village, raw)
    assert code(village, raw) == "pending"
    assert code(village, rival) == "other_pending"
    village.propose()
    assert code(village, raw) == code(village, rival) == "answered"
    assert code(village, village.reading(1, export_wh=7)) == "answered"


def test_what_another_node_proposed_is_dropped_with_its_rivals() -> None:
    village = with_readings()
    terms, other = village.terms(1, 3, 5), village.terms(1, 3, 6)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), nonce=1))
    rival = encode(village.submit(1, other, village.signed_by(3, other), nonce=1))
    taken(village, raw)
    village.block(rival)
    assert not village.ledger.has_pending(slot=1)
    village.propose()


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"expires_period": 99}, "expired"),
        ({"expires_period": 197}, "expiry_too_far"),
        ({"expires_period": 100}, None),
        ({"expires_period": 196}, None),
    ],
)
def test_expiry(changes: dict[str, Any], refusal: str | None) -> None:
    village = Village()
    terms = village.terms(1, 3, 5)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), **changes))
    if refusal:
        assert code(village, raw) == refusal
    else:
        taken(village, raw)


def test_periods_too_far() -> None:
    village = Village()
    taken(village, village.reading(1, export_wh=5, period=196))
    assert code(village, village.reading(1, export_wh=5, period=197)) == "period_too_far"


def test_readings_of_closed_periods() -> None:
    village = Village(market={"transaction_life_periods": 1})
    raw, missed = village.reading(1, export_wh=5), village.reading(2, export_wh=5)
    village.block(raw)
    village.next_period()
    assert code(village, raw) == "answered"
    taken(village, missed)
    village.next_period()
    assert len(village.ledger.pool) == 0
    assert code(village, missed) == "expired"


def test_what_expires_while_it_waits_is_dropped() -> None:
    village = Village()
    terms = village.terms(1, 3, 5)
    raw = encode(village.submit(1, terms, village.signed_by(3, terms), expires_period=100))
    taken(village, raw, village.contract(1, 3, 6))
    assert raw not in select(village, 101)
    village.next_period()
    assert len(village.ledger.pool) == 1
    assert raw not in select(village, 101)


def test_what_became_late_while_it_waited_gets_its_receipt() -> None:
    village = Village()
    taken(village, village.reading(1, export_wh=5))
    village.next_period()
    (raw,) = village.propose().receipts
    assert msgspec.msgpack.decode(raw)[2] == Decline.READING_OUT_OF_ORDER
    assert not village.ledger.has_pending(slot=1)


def test_one_submitter_fills_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    village = Village()
    monkeypatch.setattr(pool, "SUBMITTER_TRANSACTIONS_MAX", 2)
    taken(village, village.contract(1, 3, 5), village.contract(1, 3, 6))
    assert code(village, village.contract(1, 3, 7)) == "submitter_full"
    taken(village, village.contract(2, 3, 7))


def test_bytes_are_shared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    village = Village()
    one, other, third = (village.contract(seller, 3, 5, number=seller) for seller in (1, 1, 2))
    monkeypatch.setattr(pool, "SUBMITTER_BYTES_MAX", 2 * len(one) - 1)
    monkeypatch.setattr(pool, "POOL_BYTES_MAX", 2 * len(one) - 1)
    taken(village, one)
    assert code(village, other) == "submitter_full"
    assert code(village, third) == "pool_full"


def test_what_must_wait_for_long_makes_room_for_what_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # Contracts of tomorrow wait until then: a few members could shut the market for a day.
    monkeypatch.setattr(pool, "POOL_TRANSACTIONS_MAX", 6)
    village = Village(members=6)
    now = village.ledger.period

    def ahead(seller: int, periods: int) -> bytes:
        period = now + periods
        terms = village.terms(seller, 5, 5, period=period, valid_until_period=period)
        return encode(village.submit(seller, terms, bytes(64), expires_period=period))

    stuffing = [ahead(seller, 20 + number) for seller in (1, 2) for number in range(3)]
    taken(village, *stuffing)
    assert code(village, ahead(3, 30)) == "pool_full", "it has to wait for longer than all others"
    honest = [village.contract(4, 5, 5, number=number) for number in range(3)]
    taken(village, village.reading(5, import_wh=5), *honest, ahead(4, 1), ahead(3, 1))
    assert len(village.ledger.pool) == 6
    assert code(village, village.contract(4, 5, 5, number=9)) == "pool_full", "nothing waits for long"
    assert len(select(village, now + 1)) == 6
    assert village.ledger.pool.size_bytes == sum(map(len, select(village, now + 1)))


def test_another_valid_signature_makes_no_rival() -> None:
    # A validator could send its neighbours a client's transaction with the signature's other form, and have
    # all of them refuse the client's own.
    village = Village(checker=AnySignature())
    contract = village.contract(1, 3, 5)
    mauled = contract[:-32] + bytes(32)
    taken(village, mauled)
    assert code(village, contract) == "pending"


def test_the_pool_is_bounded_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    village = with_readings()
    monkeypatch.setattr(pool, "POOL_TRANSACTIONS_MAX", 1)
    monkeypatch.setattr(pool, "SUBMITTER_TRANSACTIONS_MAX", 1)
    taken(village, village.contract(1, 3, 5))
    waiting = village.contract(2, 3, 6)
    assert code(village, waiting) == "pool_full"
    village.propose()
    taken(village, waiting)


def test_what_is_selected_makes_a_valid_block() -> None:
    village = with_readings()
    terms = village.terms(1, 4, 7)
    altered = encode(village.submit(1, terms, bytes(64)))
    taken(village, altered, village.contract(1, 3, 5), village.contract(2, 3, 5000))
    assert len(village.propose().receipts) == 3


def test_two_pools_with_one_past_select_alike() -> None:
    one, other = with_readings(), with_readings()
    transactions = [one.contract(1 + n % 2, 3, 5, number=n) for n in range(9)]
    taken(one, *transactions)
    taken(other, *transactions)
    assert select(one) == select(other)


def test_the_pool_reads_the_state_as_it_is_now() -> None:
    village = Village()
    memberships = village.ledger.pool.memberships
    apart = Pool(village.chain_id, village.checker, 96, village.ledger.get, memberships)
    raw = village.reading(1, export_wh=5)
    assert apart.check(raw).accepted
    village.block(raw)
    assert apart.check(raw).code == "answered"
    assert not isinstance(parse(raw, village.chain_id).transaction, Contract)


def test_the_pool_knows_the_very_bytes_that_are_pending() -> None:
    village = Village()
    raw = village.reading(1, export_wh=5)
    other_signature = raw[:-1] + bytes([raw[-1] ^ 1])
    pool_ = village.ledger.pool
    assert not pool_.holds(raw)
    taken(village, raw)
    assert pool_.holds(raw)
    assert not pool_.holds(other_signature), "its signature was never checked"
    village.propose()
    assert not pool_.holds(raw)
