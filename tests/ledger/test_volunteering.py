"""Volunteering and hash chains: who is eligible when, and that no reveal is ever a choice."""

from __future__ import annotations

from typing import Any

import pytest
from newcomers import Newcomers, newcomer, own_chain

from p2penergy.blocks import InvalidBlockError
from p2penergy.committees import CommitteeRules, Reading, Roll
from p2penergy.ledger import Decline, keys, query
from p2penergy.messages import Stage
from p2penergy.score_rules import ScoreRules

LOW_BAR: dict[str, Any] = {"scores": ScoreRules(committee_bar_ppm=100_000)}


def pools(village: Newcomers, height: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    validators, verifiers = (
        village.ledger.volunteers(stage, height) for stage in (Stage.VALIDATION, Stage.VERIFICATION)
    )
    return validators, verifiers


def test_a_volunteer_is_in_the_pool_from_its_block_on_and_not_before() -> None:
    village, who = Newcomers(market=LOW_BAR), newcomer(0)
    village.join(who)
    assert village.verify_one(village.volunteer(who, tip=own_chain(who).tip)).accepted
    height = village.ledger.height
    everybody = tuple(sorted([*village.ids, who.participant_id]))
    assert pools(village, height - 1) == (tuple(sorted(village.ids)),) * 2
    assert pools(village, height) == (everybody, tuple(sorted(village.ids)))
    assert village.ledger.reveal_tip(who.participant_id) == own_chain(who).tip
    village.verify(village.volunteer(who, validator=False, verifier=True))
    assert pools(village, village.ledger.height) == (tuple(sorted(village.ids)), everybody)
    assert pools(village, height) == (everybody, tuple(sorted(village.ids)))
    village.verify(village.volunteer(who, validator=False))
    assert pools(village, village.ledger.height) == (tuple(sorted(village.ids)),) * 2


def test_a_volunteer_needs_a_hash_chain_once() -> None:
    village, who = Newcomers(market=LOW_BAR), newcomer(0)
    village.join(who)
    assert village.verify_one(village.volunteer(who)).code is Decline.NO_CHAIN
    assert village.verify_one(village.volunteer(who, validator=False)).accepted
    assert village.verify_one(village.volunteer(who, tip=own_chain(who).tip)).accepted
    again = village.verify_one(village.volunteer(who, tip=own_chain(who).tip))
    assert again.code is Decline.CHAIN_REGISTERED
    assert village.verify_one(village.volunteer(who, verifier=True)).accepted


def test_the_last_validator_goes_on_volunteering() -> None:
    village = Newcomers(1)
    (only,) = village.signers
    receipt = village.verify_one(village.volunteer(only, validator=False, verifier=True))
    assert receipt.code is Decline.LAST_VALIDATOR
    assert village.verify_one(village.volunteer(only, validator=True, verifier=True)).accepted


# ---- bar, age, drift -----------------------------------------------------------------------------


def test_below_the_bar_a_volunteer_is_a_reserve() -> None:
    village, who = Newcomers(), newcomer(0)
    village.join(who)
    village.verify(village.volunteer(who, tip=own_chain(who).tip))
    height = village.ledger.height
    assert pools(village, height)[0] == tuple(sorted(village.ids))
    assert village.ledger.reserves(Stage.VALIDATION, height) == (who.participant_id,)
    assert village.ledger.reserves(Stage.VALIDATION, height - 1) == ()
    assert village.ledger.reserves(Stage.VERIFICATION, height) == ()


def test_reserves_come_best_scored_first() -> None:
    rules = ScoreRules(committee_bar_ppm=900_000, volunteer_start_ppm=700_000, verifier_gain_ppm=0)
    village = Newcomers(market={"scores": rules})
    everybody = tuple(sorted(village.ids))
    assert village.ledger.reserves(Stage.VALIDATION, 0) == everybody
    worse = newcomer(0)
    village.join(worse)
    village.verify(village.volunteer(worse, tip=own_chain(worse).tip))
    # Number 0 has proposed every block.
    height, best = village.ledger.height, village.ids[0]
    others = tuple(sorted(set(village.ids) - {best}))
    assert village.ledger.reserves(Stage.VALIDATION, height) == (best, *others, worse.participant_id)
    assert village.ledger.reserves(Stage.VALIDATION, 0) == everybody


def test_a_newcomer_waits_for_its_age() -> None:
    village, who = Newcomers(market=LOW_BAR, rules={"volunteer_age_blocks": 7}), newcomer(0)
    village.join(who)
    joined = village.ledger.height
    village.verify(village.volunteer(who, tip=own_chain(who).tip))
    while village.ledger.height < joined + 7:
        assert who.participant_id not in pools(village, village.ledger.height)[0]
        assert who.participant_id not in village.ledger.reserves(Stage.VALIDATION, village.ledger.height)
        village.block()
    assert who.participant_id in pools(village, joined + 7)[0]
    assert who.participant_id not in pools(village, joined + 6)[0]


def test_a_score_that_nobody_touches_drifts_below_the_bar_by_the_day() -> None:
    rules = ScoreRules(volunteer_start_ppm=401_000, idle_half_life_days=1, proposer_gain_ppm=0)
    village = Newcomers(market={"scores": rules})
    assert len(pools(village, 0)[0]) == 4
    for _ in range(3 * 96):
        village.next_period()
    # Proposing counts as activity: number 0 goes on.
    assert pools(village, village.ledger.height)[0] == (village.ids[0],)
    assert len(village.ledger.reserves(Stage.VALIDATION, village.ledger.height)) == 3


def validators(village: Newcomers) -> tuple[bytes, ...]:
    """Who validates the next height, whatever its stage is."""
    height, timing = village.ledger.height + 1, village.genesis.consensus
    reading = Reading.of(timing, Stage.VALIDATION, height, 0, CommitteeRules())
    ledger = village.ledger
    return Roll.read(ledger, timing, village.chain_id, reading, ledger.beacon).members


@pytest.mark.parametrize(("lag", "settle"), [(1, 0), (2, 0), (2, 5)])
def test_who_volunteers_knowing_a_seed_is_too_late_for_it(lag: int, settle: int) -> None:
    """Pools are read D blocks before the beacon value that draws from them is made."""
    village = Newcomers(market=LOW_BAR, rules={"lag_blocks": lag, "settle_blocks": settle})
    who = newcomer(0)
    village.join(who)
    village.verify(village.volunteer(who, tip=own_chain(who).tip))
    offered = village.ledger.height
    while village.ledger.height + 1 < offered + lag + max(settle, 1):
        assert who.participant_id not in validators(village)
        village.block()
    assert who.participant_id in validators(village)


def test_who_leaves_is_struck_before_its_pool_forgets_it() -> None:
    village = Newcomers(rules={"settle_blocks": 5})
    village.verify(village.leave(village.signers[3]))
    left, lag = village.ledger.height, village.genesis.consensus.lag_blocks
    while village.ledger.height + 1 < left + lag + 1:
        assert village.ids[3] in validators(village)
        village.block()
    assert village.ids[3] not in validators(village)
    assert village.ids[3] in village.ledger.volunteers(Stage.VALIDATION, left - 1)


# ---- hash chains ---------------------------------------------------------------------------------


def test_the_next_chain_begins_at_its_height_whether_or_not_the_old_one_has_ended() -> None:
    village = Newcomers(rules={"settle_blocks": 3})
    who, coming = village.signers[0], own_chain(village.signers[0])
    old = village.chains[0]
    assert village.verify_one(village.chain(who, coming.tip)).accepted
    registered = village.ledger.height
    again = village.verify_one(village.chain(who, b"x" * 32))
    assert (again.code, again.expected) == (Decline.CHAIN_PENDING, registered + 4)
    while village.ledger.height < registered + 3:
        assert village.ledger.reveal_tip(who.participant_id) != coming.tip
        village.block()
    assert village.ledger.reveal_tip(who.participant_id) == coming.tip
    link = old.preimage(query_tip(village, who.participant_id))
    with pytest.raises(InvalidBlockError) as refused:
        village.ledger.execute(village.draft(reveal=link))
    assert refused.value.code == "wrong_reveal"
    village.chains[0] = coming
    village.block()
    village.block()
    assert query.next_chain(village.ledger.get, who.participant_id) is None


def query_tip(village: Newcomers, who: bytes) -> bytes:
    return village.ledger.get(keys.beacon_tip(who)) or b""


def test_a_chain_registered_while_the_next_waits_to_be_used_takes_its_place_later() -> None:
    village = Newcomers()
    who, second, third = village.signers[1], own_chain(village.signers[1]), own_chain(village.signers[2])
    village.verify(village.chain(who, second.tip))
    village.block()
    village.block()
    assert village.ledger.reveal_tip(who.participant_id) == second.tip
    assert village.verify_one(village.chain(who, third.tip)).accepted
    assert village.ledger.reveal_tip(who.participant_id) == second.tip
    village.block()
    assert village.ledger.reveal_tip(who.participant_id) == third.tip


def test_a_first_chain_may_be_registered_by_itself() -> None:
    village, who = Newcomers(market=LOW_BAR), newcomer(0)
    village.join(who)
    assert village.ledger.reveal_tip(who.participant_id) is None
    assert village.verify_one(village.chain(who, own_chain(who).tip)).accepted
    assert village.ledger.reveal_tip(who.participant_id) == own_chain(who).tip
    assert village.verify_one(village.volunteer(who)).accepted


def test_a_newcomer_proposes_by_its_own_chain() -> None:
    village, who = Newcomers(market=LOW_BAR), newcomer(0)
    village.join(who)
    village.verify(village.volunteer(who, tip=own_chain(who).tip))
    village.ids.append(who.participant_id)
    village.chains.append(own_chain(who))
    village.block(proposer=4)
    village.block(proposer=4)
    assert village.score_of(who.participant_id) >= 300_000
