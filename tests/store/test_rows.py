"""The guards of the last line of defence, and what is forgotten when."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import (
    CHAIN,
    SampleVersion,
    certificate,
    decided,
    signed_at,
    transaction_id,
    undecided,
    vote,
)

from p2penergy.consensus.effects import PreparedRecord, ViewRecord
from p2penergy.messages import VoteKind, encode
from p2penergy.store import DoubleVoteError, MemoryStore, StoreError
from p2penergy.store.limits import NAMES_PER_QUERY, VOTE_HEIGHTS_KEPT


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(CHAIN)


def test_a_different_vote_for_one_key_is_refused_and_poisons(store: MemoryStore) -> None:
    store.persist_now([vote(1, 5, message=b"one")])
    with pytest.raises(DoubleVoteError, match="PREPARE for height 1, view 5"):
        store.persist_now([vote(1, 5, message=b"two")])
    with pytest.raises(DoubleVoteError):
        store.persist_now([vote(1, 6)])
    assert [each.message for each in store.votes(1)] == [b"one"]


def test_two_votes_of_one_group_are_compared_too(store: MemoryStore) -> None:
    with pytest.raises(DoubleVoteError):
        store.persist_now([vote(1, 5, message=b"one"), vote(1, 5, message=b"two")])
    assert store.votes(1) == []


def test_the_same_vote_again_is_nothing_new(store: MemoryStore) -> None:
    store.persist_now([vote(1, 5), vote(1, 5)])
    store.persist_now([vote(1, 5)])
    assert store.votes(1) == [vote(1, 5)]


def test_votes_of_other_kinds_heights_and_views_do_not_clash(store: MemoryStore) -> None:
    votes = [vote(h, v, kind, b"%d%d%d" % (h, v, kind)) for h in (1, 2) for v in (1, 2) for kind in VoteKind]
    store.persist_now(votes)
    assert store.votes(1) + store.votes(2) == votes


def test_a_view_never_goes_back(store: MemoryStore) -> None:
    store.persist_now([ViewRecord(1, 5), ViewRecord(1, 5), ViewRecord(1, 6)])
    with pytest.raises(StoreError, match="View 5 of height 1"):
        store.persist_now([ViewRecord(1, 5)])
    assert store.restored().view == 6


def test_a_prepared_certificate_never_goes_back(store: MemoryStore) -> None:
    def prepared(view: int) -> PreparedRecord:
        return PreparedRecord(1, view, bytes(32), encode(certificate(1, bytes(32))))

    store.persist_now([prepared(5), prepared(7)])
    with pytest.raises(StoreError, match="view 6, height 1"):
        store.persist_now([prepared(6)])
    assert store.restored().prepared == prepared(7)


@pytest.mark.parametrize("height", [1, 3])
def test_a_chain_has_no_gap_and_no_second_block(store: MemoryStore, height: int) -> None:
    store.persist_now([decided(1)])
    with pytest.raises(StoreError, match=f"Block {height} can't follow block 1"):
        store.persist_now([decided(height)])
    assert store.tip() == 1


def test_a_decision_drops_the_other_blocks_of_its_height(store: MemoryStore) -> None:
    right = decided(1)
    store.persist_now([undecided(1, 1), undecided(1, 2), undecided(2, 1)])
    store.persist_now([right])
    assert store.block(1) == (right.block, right.certificate)
    assert list(store.restored().blocks) == [undecided(2, 1)]
    heights = store._disk.execute("SELECT height FROM blocks ORDER BY id").fetchall()
    assert heights == [(2,), (1,)]


def test_a_block_known_before_its_decision_is_stored_once(store: MemoryStore) -> None:
    right = decided(1)
    block = undecided(1, 0)
    store.persist_now([block])
    store.persist_now([right, undecided(2, 0)])
    assert [each.height for each in store.restored().blocks] == [2]


def test_a_transaction_that_was_declined_before_is_found_where_it_was_last(store: MemoryStore) -> None:
    # Not one meter in the world may halt its validators by sending a bad reading twice.
    again = transaction_id(1, 0)
    second = decided(2)
    outcome = replace(second.outcome, transaction_ids=(again, again))  # type: ignore[type-var]
    store.persist_now([decided(1)])
    assert store.transaction(again) == (1, 0)
    store.persist_now([replace(second, outcome=outcome)])
    assert store.transaction(again) == (2, 1)
    assert (store.tip(), store.transaction_count()) == (2, 2)


def test_old_votes_are_forgotten_and_recent_ones_kept() -> None:
    store = MemoryStore(CHAIN)
    store.persist_now(signed_at(1))
    store.persist_now(signed_at(2))
    store.persist_now([decided(height, ()) for height in range(1, VOTE_HEIGHTS_KEPT + 1)])
    assert store.votes(1) != []
    store.persist_now([decided(VOTE_HEIGHTS_KEPT + 1, ())])
    assert store.votes(1) == []
    assert store.votes(2) != []


KEYS = st.sampled_from([b"a", b"b", b"c"])
VERSIONS = st.builds(
    SampleVersion, KEYS, st.integers(-1, 2), st.sampled_from([1, 2]), st.none() | st.binary(max_size=3)
)


@settings(max_examples=60)
@given(st.lists(st.lists(VERSIONS, max_size=8), max_size=6))
def test_history_and_state_are_what_was_written(blocks: list[list[SampleVersion]]) -> None:
    store = MemoryStore(CHAIN)
    current: dict[bytes, bytes] = {}
    written: dict[bytes, list[tuple[int, int, int, bytes | None, bytes | None]]] = {}
    for height, versions in enumerate(blocks, start=1):
        store.persist_now([decided(height, tuple(versions), transactions=3)])
        for each in versions:
            cause = transaction_id(height, each.index) if each.index >= 0 else None
            written.setdefault(each.key, []).append((height, each.index, each.stage, each.value, cause))
            current.pop(each.key, None)
            if each.value is not None:
                current[each.key] = each.value
    assert list(store.current_state()) == sorted(current.items())
    for key in (b"a", b"b", b"c"):
        expected = written.get(key, [])
        assert [(e.height, e.index, e.stage, e.value, e.cause) for e in store.history(key)] == expected
        for height in range(len(blocks) + 1):
            last = [each for each in expected if each[0] <= height][-1:]
            found = store.history(key, height, 1)
            assert [(e.height, e.index, e.stage, e.value, e.cause) for e in found] == last


def test_a_block_that_writes_more_keys_than_one_question_names_leaves_every_history_whole(
    store: MemoryStore,
) -> None:
    names = [b"key/%d" % number for number in range(2 * NAMES_PER_QUERY + 1)]
    ended = set(names[::3])
    for height in (1, 2, 3):
        values = {key: None if height == 2 and key in ended else b"%d" % height for key in names}
        written = tuple(SampleVersion(key, -1, 2, value) for key, value in values.items())
        store.persist_now([decided(height, written)])
    for key in names:
        expected = [b"1", None if key in ended else b"2", b"3"]
        assert [each.value for each in store.history(key)] == expected
