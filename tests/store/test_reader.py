"""Questions to the ledger file: bounds, order, many threads at once."""

import contextlib
import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import (
    CHAIN,
    HOUSE,
    SampleVersion,
    certificate,
    decided,
    sample_block,
    signed_at,
    transaction_id,
    vote,
)

from p2penergy.messages import decode_certificate, encode, header_digest
from p2penergy.store import FILE_NAME, Store, StoreError
from p2penergy.store.limits import READERS_MAX
from p2penergy.store.prefix import header_of_prefix
from p2penergy.store.results import encode_results
from p2penergy.store.schema import checksum

HEIGHTS = 12


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / FILE_NAME, CHAIN)
    # Bodies longer than a page, so that headers are read from the beginning of long contents.
    store.persist_now([decided(height, body_bytes=5000) for height in range(1, HEIGHTS + 1)])
    yield store
    store.close()


def test_a_block_comes_back_byte_for_byte(store: Store) -> None:
    right = decided(7, body_bytes=5000)
    assert store.block(7) == (right.block, right.certificate)
    assert store.block(0) is None
    assert store.block(HEIGHTS + 1) is None


def test_blocks_are_bounded_by_count_and_by_bytes(store: Store) -> None:
    pairs = [store.block(height) for height in range(1, HEIGHTS + 1)]
    one_bytes = sum(len(part) for part in pairs[0] or ())
    assert store.blocks(3, 4, 10**9) == pairs[2:6]
    assert store.blocks(3, 100, 2 * one_bytes) == pairs[2:4]
    assert store.blocks(3, 100, 2 * one_bytes - 1) == pairs[2:3]
    assert store.blocks(3, 100, 1) == pairs[2:3]
    assert store.blocks(HEIGHTS + 1, 100, 10**9) == []


def test_headers_come_with_their_certificates(store: Store) -> None:
    found = store.headers(4, 3)
    assert [header.height for header, _ in found] == [4, 5, 6]
    for header, proof in found:
        assert proof == certificate(header.height, header_digest(header))
    assert len(store.headers(1, 1000)) == HEIGHTS


def test_a_damaged_header_is_named(store: Store) -> None:
    with sqlite3.connect(store.path) as connection:
        [block] = connection.execute("SELECT block FROM blocks WHERE height = 5").fetchone()
        damaged = block[:20] + bytes([block[20] ^ 1]) + block[21:]
        connection.execute("UPDATE blocks SET block = ? WHERE height = 5", (damaged,))
    connection.close()
    with pytest.raises(StoreError, match="table blocks, height 5: the header does not fit its digest"):
        store.headers(1, 100)
    assert len(store.headers(1, 4)) == 4


@pytest.mark.parametrize(
    "prefix", [b"", b"\x93", b"\x94\x01", b"\x93\xc1", b"\x93\x91", b"\x93" + b"\xdc" * 90]
)
def test_no_bytes_but_a_header_make_one(prefix: bytes) -> None:
    assert header_of_prefix(prefix, bytes(32)) is None


def test_a_header_of_another_digest_is_not_taken() -> None:
    block = sample_block(1)
    assert header_of_prefix(encode(block), header_digest(block.header)) == block.header
    assert header_of_prefix(encode(block), bytes(32)) is None


def test_a_transaction_is_found_by_its_whole_id(store: Store) -> None:
    wanted = transaction_id(9, 1)
    assert store.transaction(wanted) == (9, 1)
    assert store.transaction(wanted[:8] + bytes(24)) is None
    assert store.transaction(wanted[:8]) is None
    assert store.transaction(b"") is None


def test_history_is_bounded_to_the_newest(store: Store) -> None:
    key = b"wallet/" + HOUSE
    assert len(store.history(key)) == 2 * HEIGHTS
    assert [each.height for each in store.history(key, count_max=3)] == [11, 12, 12]
    assert [each.height for each in store.history(key, 4, 3)] == [3, 4, 4]
    assert store.history(b"wallet/nobody") == []


def test_a_history_never_points_forward(store: Store) -> None:
    key = b"wallet/" + HOUSE
    with sqlite3.connect(store.path) as connection:
        columns = (7, encode_results([], [], [SampleVersion(key, -1, 2, b"")], {key: 7}))
        connection.execute(
            "UPDATE results SET (height, results, checksum) = (?, ?, ?) WHERE height = 7",
            (*columns, checksum(*columns)),
        )
    connection.close()
    with pytest.raises(
        StoreError, match=r"table results, height 7: the pointer of key .* does not lead back"
    ):
        store.history(key)
    assert len(store.history(key, count_max=6)) == 6


def test_receipts_come_in_the_order_of_transactions(store: Store) -> None:
    assert store.receipts(5) == [b"receipt of " + transaction_id(5, index) for index in range(2)]
    assert store.receipts(HEIGHTS + 1) == []
    assert store.transaction_count() == 2 * HEIGHTS


def test_damaged_results_are_named(store: Store) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE results SET results = x'00' WHERE height = 5")
    connection.close()
    for ask in (lambda: store.receipts(5), lambda: store.history(b"wallet/" + HOUSE)):
        with pytest.raises(StoreError, match="table results, height 5"):
            ask()


def test_many_threads_read_while_one_writes(store: Store) -> None:
    errors: list[BaseException] = []
    written = threading.Event()

    def read() -> None:
        try:
            while not written.is_set():
                tip = store.tip()
                found = store.block(tip)
                assert found is not None
                assert decode_certificate(found[1]).height == tip
                assert dict(store.current_state())[b"q/" + HOUSE] >= b""
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2 * READERS_MAX)]
    for thread in threads:
        thread.start()
    for height in range(HEIGHTS + 1, HEIGHTS + 11):
        store.persist_now([vote(height, height), decided(height)])
    written.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.tip() == HEIGHTS + 10


def test_a_prefix_may_end_in_the_highest_byte(tmp_path: Path) -> None:
    # One participant of 256 has such an id, and asks for its orders by it.
    keys = [b"order/a\xff\xff" + end for end in (b"", b"/1", b"\xff")]
    versions = [SampleVersion(key, -1, 2, key) for key in [b"order/a\xff\xfe/1", *keys, b"order/b"]]
    with contextlib.closing(Store.create(tmp_path / FILE_NAME, CHAIN, genesis_versions=versions)) as store:
        assert [key for key, _ in store.entries(b"order/a\xff\xff", 10)] == keys


def test_entries_under_a_prefix_are_the_current_ones(tmp_path: Path) -> None:
    versions = [
        SampleVersion(key, -1, 2, key) for key in (b"order.", b"order/", b"order/a", b"order/b", b"order0")
    ]
    with contextlib.closing(Store.create(tmp_path / FILE_NAME, CHAIN, genesis_versions=versions)) as store:
        every = [(key, key) for key in (b"order/", b"order/a", b"order/b")]
        assert store.entries(b"order/", 10) == every
        assert store.entries(b"order/", 2) == every[:2]
        assert store.entries(b"order/b", 10) == every[2:]
        assert store.entries(b"wallet/", 10) == []


def test_committees_are_told_by_their_roots(tmp_path: Path) -> None:
    first = tuple((bytes([number]) * 20, bytes([number]) * 33) for number in range(4))
    others = first[1:]
    with contextlib.closing(Store.create(tmp_path / FILE_NAME, CHAIN)) as store:
        for height, (root, members) in enumerate([(b"f" * 32, first), (b"o" * 32, others)] * 2, start=1):
            record = dataclasses.replace(decided(height), committee_root=root, committee=members)
            store.persist_now([record, *signed_at(height + 1)])
        assert store.committee(b"f" * 32) == first
        assert store.committee(b"o" * 32) == others
        assert store.committee(b"x" * 32) is None
