import msgspec
import pytest

from p2penergy.simulation.dice import Dice
from p2penergy.simulation.runner import run_plan
from p2penergy.simulation.scenario import (
    Round,
    Scenario,
    ScenarioError,
    count,
    numbered,
    of_seed,
    parse,
    plan_of,
    sampled,
)

EXAMPLE = b"""{"members": 4, "twins": [0], "rounds": [
    {"leader": 1, "partitions": [[0, 1], [2, 3, "0'"]]},
    {"leader": 2, "partitions": [[0, 1, 2, 3, "0'"]]}]}"""


def test_the_file_form_is_read_and_run() -> None:
    scenario = parse(EXAMPLE)
    assert scenario.rounds[0].partitions == ((0, 1), (2, 3, "0'"))
    result = run_plan(plan_of(scenario), readable=True)
    assert result.ok, result.sentence
    assert any(line.split()[1].endswith("'") for line in result.lines), "the twin never spoke"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "not a scenario"),
        (b'{"members": 4, "twins": [9], "rounds": [{"leader": 0, "partitions": []}]}', "outside"),
        (b'{"members": 4, "twins": [], "rounds": [{"leader": 4, "partitions": []}]}', "led by 4"),
        (b'{"members": 4, "twins": [], "rounds": [{"leader": -1, "partitions": []}]}', "led by -1"),
        (b'{"members": 4, "twins": [], "rounds": [{"leader": 0, "partitions": [[0, 0]]}]}', "twice"),
        (b'{"members": 3, "twins": [0], "rounds": [{"leader": 0, "partitions": []}]}', "at most 0 faulty"),
        (b'{"members": 6, "twins": [0, 1], "rounds": [{"leader": 0, "partitions": []}]}', "take 7 members"),
        (b'{"members": 4, "twins": [], "rounds": [{"leader": 0, "partitions": [["1\'"]]}]}', "not exist"),
    ],
)
def test_what_is_no_scenario_is_refused_with_a_reason(text: bytes, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        parse(text)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_no_plan_is_made_of_twins_where_nobody_may_be_faulty(members: int) -> None:
    with pytest.raises(ScenarioError, match="at most 0 faulty"):
        plan_of(numbered(0, members))


def test_numbers_name_every_scenario_once() -> None:
    total = count(2, 2)
    everything = [numbered(index, 2, 2) for index in range(total)]
    assert len({msgspec.json.encode(scenario) for scenario in everything}) == total == 2 * (2**2) ** 2
    assert numbered(total, 2, 2) == everything[0]
    assert count(4) == 262_144


def test_every_place_is_in_exactly_one_group() -> None:
    for scenario in (numbered(index, 4) for index in range(0, count(4), 9_973)):
        for one in scenario.rounds:
            places = [place for group in one.partitions for place in group]
            assert sorted(map(str, places)) == sorted(["0", "1", "2", "3", f"{scenario.twins[0]}'"])


def test_leaders_rotate_over_the_places_as_the_rounds_say() -> None:
    rounds = (Round(2, ((0, 1, 2, 3),)), Round(3, ((0, 1, 2, 3),)))
    result = run_plan(plan_of(Scenario(4, (), rounds)), readable=True)
    member_of_place_2 = next(iter(plan_of(Scenario(4, (2,), rounds)).corrupt))
    proposer = next(line.split()[1] for line in result.lines if "PRE-PREPARE(1, 1" in line)
    assert member_of_place_2 == int(proposer)


def test_a_leader_out_of_turn_leads_the_next_view_that_is_its_own() -> None:
    alone = ((0, 1), (2, 3))
    scenario = Scenario(4, (), (Round(2, alone), Round(1, alone), Round(1, ((0, 1, 2, 3),))))
    result = run_plan(plan_of(scenario), readable=True)
    assert result.ok, result.sentence
    led = [line.split()[1] for line in result.lines if "PRE-PREPARE(1, " in line]
    seat = dict.fromkeys(led)
    # Views 1 (place 2), 4 (place 1) and 8 (place 1 again); in the views between nobody is reached.
    assert len(seat) == 2
    assert led[0] != led[-1]
    spans = [(atom.start_ms // 1000, atom.end_ms // 1000) for atom in plan_of(scenario).atoms]  # type: ignore[union-attr]
    assert spans == [(1, 2), (2, 4), (4, 5), (5, 8), (8, 9)]


def test_only_four_members_have_their_scenarios_numbered_and_every_other_seed_is_a_lot() -> None:
    assert of_seed(5, 4) == numbered(5, 4)
    drawn = [of_seed(count(4) + number, 4) for number in range(60)]
    assert any(
        one.leader != (scenario.rounds[0].leader + number) % 4
        for scenario in drawn
        for number, one in enumerate(scenario.rounds)
    )
    assert {len(of_seed(seed, 7).twins) for seed in range(20)} == {1, 2}


def test_twins_do_not_fork_the_chain() -> None:
    dice = Dice("twins by default")
    for seed in range(100):
        scenario = sampled(4, dice)
        result = run_plan(plan_of(scenario, seed))
        assert result.ok, f"{result.sentence}\n{msgspec.json.encode(scenario)!r}"
