from dataclasses import replace
from typing import Any

import pytest
from village import BYTES_MAX, QuickChecker, Village, with_readings

from p2penergy import beacon
from p2penergy.consensus.ports import Application
from p2penergy.digests import merkle_root
from p2penergy.ledger import (
    BLOCK_INDEX,
    Ledger,
    LedgerOutcome,
    check_state_proof,
    decode_receipt,
    keys,
    query,
)
from p2penergy.messages import Stage, encode
from p2penergy.score_rules import ScoreRules

PERIOD_MS = 900_000


def restored(village: Village) -> Ledger:
    return Ledger.restore(
        village.genesis, QuickChecker(), village.ledger.height, list(village.ledger.items())
    )


def test_a_ledger_is_an_application_of_the_core() -> None:
    application: Application = Village().ledger
    assert application.height == 0


def test_executing_is_pure() -> None:
    village = with_readings()
    draft = village.draft(village.contract(1, 3, 400), village.contract(2, 4, 5000), period=100)
    before = list(village.ledger.items()), village.ledger.state_root
    first, second = village.ledger.execute(draft), village.ledger.execute(draft)
    assert first == second
    assert (list(village.ledger.items()), village.ledger.state_root) == before
    village.ledger.commit(first)
    assert village.ledger.state_root == first.state_root != before[1]


def test_an_outcome_says_what_was_written() -> None:
    village = with_readings()
    before = dict(village.ledger.items())
    outcome = village.run(village.draft(village.contract(1, 3, 400), village.contract(1, 3, 9, number=2)))
    for version in outcome.versions:
        if version.value is None:
            before.pop(version.key, None)
        else:
            before[version.key] = version.value
    assert before == dict(village.ledger.items())
    assert outcome.receipts_root == merkle_root(outcome.receipts)
    assert list(outcome.transaction_ids) == [decode_receipt(r).transaction_id for r in outcome.receipts]
    assert {version.index for version in outcome.versions} == {BLOCK_INDEX, 0, 1}


def test_a_restored_ledger_has_the_same_root_and_future() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 400))
    village.next_period(
        village.reading(1, export_wh=70, period=101), village.reading(3, import_wh=70, period=101)
    )
    again = restored(village)
    assert again.state_root == village.ledger.state_root
    assert (again.height, again.period) == (village.ledger.height, village.ledger.period)
    for _ in range(8):
        draft = village.draft(period=village.ledger.period + 1)
        ours, theirs = village.ledger.execute(draft), again.execute(draft)
        assert ours == theirs
        village.ledger.commit(ours)
        again.commit(theirs)
    assert list(again.items()) == list(village.ledger.items())
    assert again.audit_totals() == village.ledger.audit_totals()


def test_what_is_no_state_is_not_restored() -> None:
    village = Village()
    with pytest.raises(ValueError, match="chain/tip"):
        Ledger.restore(village.genesis, QuickChecker(), 0, [])


def test_proofs_hold_under_the_root() -> None:
    village = with_readings()
    ledger = village.ledger
    for key in (keys.wallet(village.ids[1]), keys.packet(village.ids[1], 100), keys.contract(bytes(32))):
        assert check_state_proof(ledger.state_root, key, ledger.get(key), ledger.prove(key))


def test_committing_out_of_turn_is_our_own_fault() -> None:
    village = Village()
    outcome = village.ledger.execute(village.draft())
    village.ledger.commit(outcome)
    with pytest.raises(AssertionError):
        village.ledger.commit(outcome)
    with pytest.raises(AssertionError):
        village.ledger.commit("no outcome")


def test_the_beacon_mixes_the_reveals() -> None:
    village = Village()
    mixed = beacon.origin(village.chain_id)
    assert village.ledger.beacon(0) == village.ledger.beacon(-1) == mixed
    for height in range(1, 5):
        draft = village.draft(proposer=height % 2)
        village.run(draft)
        mixed = beacon.mix(mixed, draft.reveal)
        assert village.ledger.beacon(height) == mixed
        assert village.ledger.reveal_tip(draft.proposer) == draft.reveal


@pytest.mark.parametrize(("lag", "settle"), [(1, 0), (2, 0), (2, 3)])
def test_the_beacon_is_kept_as_long_as_committees_depend_on_it(lag: int, settle: int) -> None:
    village = Village(rules={"lag_blocks": lag, "settle_blocks": settle})
    for _ in range(12):
        village.block()
    kept = lag + settle + 1
    for height in range(13 - kept, 13):
        village.ledger.beacon(height)
    with pytest.raises(LookupError):
        village.ledger.beacon(12 - kept)
    with pytest.raises(LookupError):
        village.ledger.beacon(13)
    assert (
        sum(key.startswith(keys.BEACON_MIX) and len(key) == 20 for key, _ in village.ledger.items())
        <= kept + 1
    )


def test_volunteers_and_keys() -> None:
    village = Village(members=5, validators=3)
    assert village.ledger.volunteers(Stage.VALIDATION, 0) == tuple(sorted(village.ids[:3]))
    assert village.ledger.volunteers(Stage.VERIFICATION, 0) == tuple(sorted([village.ids[0], village.ids[2]]))
    # The header of the next height names a committee from the pool after it.
    assert village.ledger.volunteers(Stage.VALIDATION, 1) == village.ledger.volunteers(Stage.VALIDATION, 0)
    assert village.ledger.member_key(village.ids[4], 0) == village.signers[4].public_key
    assert village.ledger.member_key(bytes(20), 0) is None
    assert restored(village).volunteers(Stage.VALIDATION, 0) == village.ledger.volunteers(Stage.VALIDATION, 0)


def draft_of(village: Village, slot: int = 1, bytes_max: int = BYTES_MAX) -> Any:
    right = village.draft()
    return village.ledger.draft(right.height, slot, right.proposer, right.reveal, bytes_max)


def test_a_drafted_block_is_valid_and_empty_when_nothing_is_pending() -> None:
    village = Village()
    assert not village.ledger.has_pending(slot=1)
    draft = draft_of(village)
    assert (draft.transactions, draft.period, draft.parent_certificate) == ((), 100, None)
    assert draft == replace(village.draft(), slot=1)
    village.run(draft)


def test_a_verification_height_is_drafted_as_such_and_leads_back() -> None:
    village = Village(rules={"first_stage": Stage.VERIFICATION})
    village.ledger.pool.add(village.reading(1, export_wh=5))
    draft = draft_of(village)
    assert (draft.stage, draft.next_stage, draft.transactions) == (Stage.VERIFICATION, Stage.VALIDATION, ())
    village.run(draft)
    assert len(village.propose().receipts) == 1


def test_a_replay_moves_on_when_all_that_is_pending_is_later() -> None:
    village = Village()
    add = village.ledger.pool.add
    assert add(village.reading(1, export_wh=5, period=102)).accepted
    assert add(village.reading(1, export_wh=5, period=100)).accepted
    periods, receipts = [], []
    while village.ledger.has_pending(slot=1):
        outcome = village.propose()
        periods.append(outcome.draft.period)
        receipts += [decode_receipt(receipt) for receipt in outcome.receipts]
    assert periods == [100, 101, 102]
    assert all(receipt.accepted for receipt in receipts)
    assert village.propose().draft.period == 102


def live() -> Village:
    return Village(market={"replay": False}, rules={"t0_ms": 1000 * PERIOD_MS, "alpha_ms": 60_000})


def test_a_live_draft_follows_the_slots_clock() -> None:
    village = live()
    assert draft_of(village, slot=1).period == village.ledger.period == 999
    assert draft_of(village, slot=15).period == 1000


def test_a_live_node_does_not_propose_for_what_must_wait_for_the_clock() -> None:
    village = live()
    assert village.ledger.pool.add(village.reading(1, export_wh=5, period=1001)).accepted
    assert not village.ledger.has_pending(slot=1)
    assert village.ledger.pool.add(village.reading(1, export_wh=5, period=1000)).accepted
    assert village.ledger.has_pending(slot=1)
    assert draft_of(village, slot=14).transactions == ()
    assert len(draft_of(village, slot=15).transactions) == 1


def test_a_live_leader_wakes_to_close_a_gate_that_orders_wait_for() -> None:
    village = live()
    village.block(village.ask(1, 500), village.bid(3, 500))
    # The clock has not reached the gate; then it has, and after that block nothing waits any more.
    assert not village.ledger.has_pending(slot=14)
    assert village.ledger.has_pending(slot=15)
    outcome = village.run(draft_of(village, slot=15))
    assert query.market(village.ledger.get, 1001) is not None
    assert outcome.draft.transactions == ()
    assert not village.ledger.has_pending(slot=29)


def test_a_live_leader_wakes_to_settle_what_is_in_escrow() -> None:
    village = live()
    village.block(village.forward(1, 3, 500))
    assert not village.ledger.has_pending(slot=15)
    village.run(draft_of(village, slot=15))
    assert village.ledger.has_pending(slot=30)
    village.run(draft_of(village, slot=30))
    assert not village.ledger.has_pending(slot=45)
    assert village.ledger.audit_totals().is_conserved()


GOLDEN_ROOTS = [  # (state root, receipts root) of each block
    (
        "7bc5a0116a43b59d8e8bc6f5737401cdab3bc14ce622b8912d03509f69312c8b",
        "d39b3f0dec3bc3a0061ce41e7bd532e8fa496879ff33c0fc5ca6b929bc6cbdac",
    ),
    (
        "2830138c9e25082025af860edc38b80448c1dc01aa72fec856893152457965df",
        "2696694fcfa109ca9b967094f285f2b8e8255c7a6c0794e916f5a893f563f5ac",
    ),
    (
        "64b96059ef47ab9103adfeddf911e7e6265a07f48332cd9086d5e5efc8bd3e17",
        "3424e3d807c9515a8aefe1eb0204f2bea8301408b66d1543072074015576445a",
    ),
    (
        "767caaeeb1ba1ce0332aea28a8607bdc581b1eb993f3af4d3d0a87a40856d3b0",
        "6d35045d735af6769d6b22239a83456e3a9cb9319d2e88d70be538142b21873c",
    ),
    (
        "02459231490779f6fe22cb1d80c414b86d95aaa14fc04f9e839eb8176f9cd6f4",
        "5eb8767f70263268d37104799bc51f16fbedb1701cc9a57838729fc72061f26a",
    ),
    (
        "17b22f9a68602fc2b4f20e45ea7cb25aa1d575e7a3d6ae9b643c9e09da67afbf",
        "6d35045d735af6769d6b22239a83456e3a9cb9319d2e88d70be538142b21873c",
    ),
]


def fixed_chain() -> list[LedgerOutcome]:
    """Readings, trades, faults, an auction, settlement, rewards: the same bytes on every machine."""
    village = Village(market={"scores": ScoreRules()})
    outcomes = [
        village.run(
            village.draft(
                village.reading(1, export_wh=1000),
                village.reading(3, import_wh=600),
                village.contract(1, 3, 400),
            )
        )
    ]
    terms = village.terms(1, 3, 100, number=2)
    altered = encode(village.submit(3, terms, bytes(64)))
    outcomes.append(village.run(village.draft(altered, village.contract(1, 3, 601, number=3), proposer=1)))
    orders = [village.ask(1, 500), village.bid(3, 300), village.bid(4, 300), village.bid(2, 5)]
    forward = village.forward(1, 4, 50, ahead=2)
    outcomes.append(village.run(village.draft(*orders, village.cancel(2), forward)))
    outcomes.append(village.run(village.draft(period=101)))
    readings = [village.reading(1, export_wh=420, period=102), village.reading(3, import_wh=300, period=102)]
    outcomes.append(village.run(village.draft(*readings, period=102)))
    outcomes.append(village.run(village.draft(period=103)))
    return outcomes


def test_the_rules_are_those_that_made_these_roots() -> None:
    """A change of rules or encodings forks every chain: it must be meant, and then these roots change."""
    roots = [(outcome.state_root.hex(), outcome.receipts_root.hex()) for outcome in fixed_chain()]
    assert roots == GOLDEN_ROOTS
