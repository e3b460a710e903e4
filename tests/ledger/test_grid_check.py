"""LEDGER section 7: what the feeder can't carry is declined by the branch."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from village import QuickSigner, Village, line

from p2penergy.genesis import Genesis, GenesisError, GridNode, GridRules, canonical_json
from p2penergy.grid.lindistflow import Violation
from p2penergy.grid.neighbourhood import Neighbourhood, load_sample
from p2penergy.ledger import Decline, keys, query, sentence
from p2penergy.ledger.grid_check import GridCheck, GridPlan
from p2penergy.ledger.receipts import GridReceipt
from p2penergy.ledger.records import OrderEnd, PromiseRecord, encode_record
from p2penergy.market.bilateral import agreements
from p2penergy.market.tariffs import Tariffs

MEMBERS = 5


def village_on(grid: GridRules, **changes: Any) -> Village:
    """Members 1 and 2 fed in 1000 Wh, 3 and 4 drew as much."""
    village = Village(members=MEMBERS, grid=grid, **changes)
    village.block(*(village.reading(who, export_wh=1000) for who in (1, 2)))
    village.block(*(village.reading(who, import_wh=1000) for who in (3, 4)))
    return village


# 2 A at 400 V carry 1385 VA: 320 Wh in a quarter of an hour at cos phi 0.93.
def test_a_branch_carries_trades_up_to_its_rating_and_is_named_beyond() -> None:
    village = village_on(line())
    assert village.one(village.contract(1, 3, 300)).accepted
    receipt = village.one(village.contract(2, 4, 300))
    assert isinstance(receipt, GridReceipt)
    assert receipt.code is Decline.GRID_LIMIT
    assert (receipt.upper_node, receipt.lower_node) == (1, 2)
    assert receipt.expected == 2000 < receipt.found
    said = sentence(receipt)
    assert said == f"declined: branch 1-2 would carry {receipt.found} mA, its rating is 2000 mA"
    assert (receipt.alpha, receipt.legs, receipt.quality_ppm) == (0, (), 0)
    # What was declined takes no room: what still fits is taken, and nobody's score has changed.
    assert village.one(village.contract(2, 4, 15, number=2)).accepted
    assert not village.one(village.contract(2, 4, 15, number=3)).accepted
    assert village.ledger.audit_totals().is_conserved()


def test_power_towards_the_busbar_relieves_and_neighbours_behind_one_branch_do_not_load_it() -> None:
    village = village_on(line())
    for number in range(3):
        assert village.one(village.contract(2, 3, 300, number=number)).accepted is (number == 0)
    # 1 sells to 0, who counts as behind the busbar.
    village.block(village.reading(0, import_wh=1000))
    assert village.one(village.contract(1, 0, 300)).accepted
    assert not village.one(village.contract(1, 0, 300, number=2)).accepted


def test_a_voltage_is_named_with_its_branch() -> None:
    village = village_on(line(i_max_a=1000, r_uohm=1_500_000))
    receipt = village.one(village.contract(1, 4, 1000))
    assert receipt.code is Decline.GRID_LIMIT
    assert "voltage at the end of branch 3-4" in sentence(receipt)
    assert "below the limit of 360000 mV" in sentence(receipt)
    lone = village_on(line(i_max_a=1000, r_uohm=9_000_000))
    lone.block(lone.reading(0, import_wh=1000))
    assert "above the limit of 440000 mV" in sentence(lone.one(lone.contract(2, 0, 1000)))


def test_contracts_to_come_and_matches_of_the_auction_count_in_their_period() -> None:
    village = Village(members=MEMBERS, grid=line())
    ahead = village.one(village.forward(1, 4, 300, ahead=2))
    assert ahead.accepted
    refused = village.one(village.forward(2, 4, 100, ahead=2, number=2))
    assert refused.code is Decline.GRID_LIMIT
    assert village.one(village.forward(1, 4, 300, ahead=3, number=3)).accepted
    village.block(village.ask(2, 200), village.bid(3, 200, place=1), period=100)
    before = query.balance(village.ledger.get, village.ids[3]).wallet_nano
    village.next_period()
    for who, place in ((2, 0), (3, 1)):
        record = query.order(village.ledger.get, village.ids[who], 102, place)
        assert record is not None and (record.end, record.filled_wh) == (OrderEnd.GRID, 0)
    market = query.market(village.ledger.get, 102)
    assert market is not None and market.volume_wh == 0
    assert query.balance(village.ledger.get, village.ids[3]).wallet_nano > before
    assert village.ledger.audit_totals().is_conserved()


def test_a_ledger_restored_in_mid_period_refuses_the_same() -> None:
    village = village_on(line())
    village.block(village.contract(1, 3, 300))
    draft = village.draft(village.contract(2, 4, 300), village.contract(2, 4, 15))
    twin = type(village.ledger).restore(
        village.genesis, village.checker, village.ledger.height, list(village.ledger.items())
    )
    assert twin.execute(draft).state_root == village.ledger.execute(draft).state_root


def test_without_the_section_the_chain_id_is_what_it_was_and_nothing_is_checked() -> None:
    village = village_on(msgspec.UNSET)  # type: ignore[arg-type]
    assert b"grid" not in canonical_json(village.genesis)
    assert village.one(village.contract(1, 3, 1000)).accepted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parent": 7}, "stands before its parent"),
        ({"participant_id": "ab" * 20}, "no member"),
        ({"node": 1}, "out of place or doubled"),
        ({"i_max_a": 10**9}, "beyond the limits"),
    ],
)
def test_a_feeder_that_is_none_is_refused_in_one_sentence(change: dict[str, Any], said: str) -> None:
    rules = line()
    broken = msgspec.structs.replace(rules.nodes[2], **change)
    grid = msgspec.structs.replace(rules, nodes=(*rules.nodes[:2], broken, *rules.nodes[3:]))
    with pytest.raises(GenesisError, match=said):
        Village(members=MEMBERS, grid=grid)
    low = msgspec.structs.replace(rules, source_mv=350_000)
    with pytest.raises(GenesisError, match="without any trade"):
        Village(members=MEMBERS, grid=low)


# ---- the headroom never lets pass what the flow refuses ---------------------------------------------

trades = st.lists(
    st.tuples(st.integers(0, MEMBERS - 1), st.integers(0, MEMBERS - 1), st.integers(1, 400)), max_size=25
)


@settings(max_examples=150)
@given(
    trades,
    st.sampled_from([2, 5, 20, 200]),
    st.sampled_from([0, 100_000, 1_000_000, 3_000_000]),
    st.sampled_from([100, 93, 60]),
)
def test_each_answer_is_that_of_the_whole_flow(
    asked: list[tuple[int, int, int]], i_max_a: int, r_uohm: int, cos_phi: int
) -> None:
    rules = msgspec.structs.replace(line(i_max_a, r_uohm, MEMBERS), cos_phi_percent=cos_phi)
    village = Village(members=MEMBERS, grid=rules)
    plan = GridPlan(village.genesis)
    check = GridCheck(plan, lambda key: None)
    net_w: dict[int, int] = {}
    for seller, buyer, energy_wh in asked:
        found = check.refusal(village.ids[seller], village.ids[buyer], 100, energy_wh)
        after_w = dict(net_w)
        for node, sign in ((seller, 1), (buyer, -1)):
            if node:
                after_w[node] = after_w.get(node, 0) + sign * energy_wh * 4
        expected = plan.flow(after_w).violation
        assert found == expected
        if expected is None:
            net_w = after_w


# ---- the sample feeder ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> Neighbourhood:
    return load_sample()


def sample_plan(sample: Neighbourhood) -> tuple[GridPlan, dict[str, bytes]]:
    names = [household.name for household in sample.households]
    ids = {name: QuickSigner(number).participant_id for number, name in enumerate(names)}
    nodes = tuple(
        GridNode(
            node=b.node,
            parent=b.parent,
            r_uohm=b.r_uohm,
            x_uohm=b.x_uohm,
            i_max_a=b.i_max_a,
            participant_id=ids[b.household].hex() if b.household else None,
        )
        for b in sample.feeder.branches
    )
    genesis: Genesis = Village(members=len(names), grid=GridRules(nodes=nodes)).genesis
    return GridPlan(genesis), ids


def test_the_sample_feeder_carries_the_week_and_names_what_an_overload_breaks(sample: Neighbourhood) -> None:
    plan, ids = sample_plan(sample)
    trades = 0
    for period in sample.periods[::16]:
        check = GridCheck(plan, lambda key: None)
        for a in agreements(sample.surpluses(period), sample.deficits(period), Tariffs()):
            assert check.refusal(ids[a.seller], ids[a.buyer], period, a.energy_wh) is None
            trades += 1
    assert trades > 500
    ends = [b.household for b in sample.feeder.branches if b.household][-2:]
    found = GridCheck(plan, lambda key: None).refusal(ids[ends[0]], ids[ends[1]], 1, 80_000)
    assert isinstance(found, Violation) and "branch" in found.describe()


def test_a_power_beyond_every_feeder_is_refused_without_a_flow(sample: Neighbourhood) -> None:
    plan, _ = sample_plan(sample)
    one, other = (QuickSigner(number).participant_id for number in (1, 2))
    found = GridCheck(plan, lambda key: None).refusal(one, other, 1, 10**9)
    assert found is not None and found.found > found.allowed


def test_the_load_is_read_from_promises(sample: Neighbourhood) -> None:
    plan, _ = sample_plan(sample)
    buyer = QuickSigner(2).participant_id
    promised = {keys.promise(buyer, 7): encode_record(PromiseRecord(0, 10_000))}
    full = GridCheck(plan, promised.get).refusal(QuickSigner(1).participant_id, buyer, 7, 40_000)
    assert full is not None
