import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy.ledger.stages import Leg, Mismatch, StageLegs, check_conditions, execution_legs, final_legs
from p2penergy.ledger.transactions import Terms

SELLER, BUYER, LEADER = bytes(20), b"\1" * 20, b"\2" * 20
TERMS = Terms(SELLER, BUYER, 5, 100, 3, 9, 1)
ENERGY = {SELLER: 500, BUYER: 20, LEADER: 7}
WALLET = {SELLER: 0, BUYER: 1000, LEADER: 40}


def legs(leader: bytes) -> tuple[StageLegs, StageLegs, dict[bytes, int], dict[bytes, int]]:
    energy, wallet = dict(ENERGY), dict(WALLET)
    execution = execution_legs(TERMS, leader, energy, wallet)
    final = final_legs(TERMS, leader, energy, wallet)
    return execution, final, energy, wallet


@pytest.mark.parametrize("leader", [LEADER, SELLER, BUYER])
def test_in_the_end_the_leader_has_what_it_had_and_the_parties_what_they_agreed(leader: bytes) -> None:
    execution, final, energy, wallet = legs(leader)
    assert energy == {SELLER: 400, BUYER: 120, LEADER: 7}
    assert wallet == {SELLER: 300, BUYER: 700, LEADER: 40}
    assert check_conditions(TERMS, leader, ENERGY, WALLET, execution, final) is None


def test_in_between_the_leader_has_energy_and_money() -> None:
    execution, _, _, _ = legs(LEADER)
    assert execution == StageLegs(Leg(500, 400), Leg(7, 107), Leg(1000, 700), Leg(40, 340))


def test_a_leg_from_somebody_to_himself_changes_nothing() -> None:
    execution, final, _, _ = legs(SELLER)
    assert execution.energy == execution.leader_energy == Leg(500, 500)
    assert final.wallet == final.leader_wallet == Leg(300, 300)
    execution, final, _, _ = legs(BUYER)
    assert execution.wallet == Leg(1000, 1000)
    assert final.energy == Leg(120, 120)


CONDITION = {("execution", 0): 1, ("execution", 1): 1, ("execution", 2): 2, ("execution", 3): 2}
CONDITION |= {("final", 0): 3, ("final", 1): 3, ("final", 2): 4, ("final", 3): 4}


@pytest.mark.parametrize("leader", [LEADER, SELLER, BUYER])
@pytest.mark.parametrize(("stage", "place"), sorted(CONDITION))
@pytest.mark.parametrize("side", ["before", "after"])
@settings(max_examples=10)
@given(error=st.integers(-10_000, 10_000).filter(bool))
def test_a_wrong_leg_breaks_its_condition(
    leader: bytes, stage: str, place: int, side: str, error: int
) -> None:
    execution, final, _, _ = legs(leader)
    wrong = list(execution if stage == "execution" else final)
    right = getattr(wrong[place], side)
    wrong[place] = wrong[place]._replace(**{side: right + error})
    if stage == "execution":
        execution = StageLegs(*wrong)
    else:
        final = StageLegs(*wrong)
    found = check_conditions(TERMS, leader, ENERGY, WALLET, execution, final)
    assert found == Mismatch(CONDITION[stage, place], right, right + error)


def test_a_balance_below_zero_breaks_its_condition_even_if_booked_right() -> None:
    poor = WALLET | {BUYER: 299}
    energy, wallet = dict(ENERGY), dict(poor)
    execution = execution_legs(TERMS, LEADER, energy, wallet)
    final = final_legs(TERMS, LEADER, energy, wallet)
    assert check_conditions(TERMS, LEADER, ENERGY, poor, execution, final) == Mismatch(2, 0, -1)
