"""Twins: directed schedules of partitions, with a member whose key two processes hold.

Lives here: scenarios as data, their file form, the exhaustive and the sampled generator, and the plan of
one. Never here: chance beyond the sample. After "Twins: BFT Systems Made Robust" (Bano et al.): whatever
a Byzantine member can do to equivocate, two correct processes with one key can do as well.

Rounds are views of height 1 while nothing is decided, the first one its first view. Members are named by
places that follow the first committee's rotation, so that leaders rotate 0, 1, 2, .. whatever the seed drew.
By Equation (1) they can do nothing else: where a round names another leader than the next in turn, nobody
reaches anybody in the views before that leader's.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.consensus.chain import Chain
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.schedule import Schedule
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.counter import CounterApplication
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.faults import Atom, Split
from p2penergy.simulation.plans import Plan, Profile
from p2penergy.simulation.settings import T0_MS, Settings, make_genesis
from p2penergy.simulation.signatures import member_of

ROUNDS_MAX = 64
ROUNDS = 4
"""Rounds of a numbered scenario."""
SAMPLED_ROUNDS_MAX = 6
SAMPLED_GROUPS_MAX = 3
NUMBERED_MEMBERS = 4
"""Committees of this size have so few numbered scenarios that all of them can be run."""
MEMBERS_MAX = 16


class ScenarioError(ValueError):
    """A scenario that cannot be run; the sentence says why."""


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One view: who leads it, and who reaches whom."""

    leader: int
    partitions: tuple[tuple[int | str, ...], ...]
    """Groups of places; `"0'"` is the twin of place 0. A place in no group reaches nobody."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directed schedule."""

    members: Annotated[int, Meta(ge=1, le=MEMBERS_MAX)]
    twins: tuple[int, ...]
    rounds: Annotated[tuple[Round, ...], Meta(min_length=1, max_length=ROUNDS_MAX)]


def parse(data: bytes) -> Scenario:
    """A scenario from JSON.

    Raises:
        ScenarioError: not JSON of this shape, or rounds that no committee can have.
    """
    try:
        scenario = msgspec.json.decode(data, type=Scenario)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"not a scenario: {error}") from None
    _check(scenario)
    return scenario


def _check(scenario: Scenario) -> None:
    places = {*range(scenario.members), *(f"{twin}'" for twin in scenario.twins)}
    if not set(scenario.twins) <= set(range(scenario.members)):
        raise ScenarioError("twins name places outside the committee")
    most = faulty_max(scenario.members)
    if len(scenario.twins) > most:
        raise ScenarioError(
            f"{len(scenario.twins)} of {scenario.members} members have a twin, but a committee of "
            f"{scenario.members} agrees with at most {most} faulty: take "
            f"{3 * len(scenario.twins) + 1} members or more"
        )
    for number, one in enumerate(scenario.rounds):
        if not 0 <= one.leader < scenario.members:
            raise ScenarioError(f"round {number} is led by {one.leader}, a place outside the committee")
        named = [place for group in one.partitions for place in group]
        if len(set(named)) != len(named) or not set(named) <= places:
            raise ScenarioError(f"round {number} names a place twice, or one that does not exist")


def count(members: int, rounds: int = ROUNDS) -> int:
    """How many scenarios there are with one twin, two groups in each round."""
    return members * (1 << members * rounds)


def numbered(index: int, members: int, rounds: int = ROUNDS) -> Scenario:
    """Scenario number `index` modulo `count`: all numbers together are every schedule there is.

    The lowest bits choose the first round's groups, so that neighbours differ early.
    """
    choice, twin = divmod(index % count(members, rounds), members)
    groups = tuple(_split(members, twin, choice >> number * members) for number in range(rounds))
    return Scenario(
        members, (twin,), tuple(Round(number % members, group) for number, group in enumerate(groups))
    )


def sampled(members: int, dice: Dice) -> Scenario:
    """One by lot: leaders in any order, as many twins as the committee bears, groups that need not be two."""
    twins = dice.sample(range(members), dice.between(1, max(faulty_max(members), 1)))
    places: list[int | str] = [*range(members), *(f"{twin}'" for twin in twins)]
    rounds = []
    for _ in range(dice.between(2, SAMPLED_ROUNDS_MAX)):
        groups: list[list[int | str]] = [[] for _ in range(dice.between(1, SAMPLED_GROUPS_MAX))]
        for place in places:
            dice.pick(groups).append(place)
        rounds.append(Round(dice.below(members), tuple(tuple(group) for group in groups if group)))
    return Scenario(members, tuple(sorted(twins)), tuple(rounds))


def of_seed(seed: int, members: int) -> Scenario:
    """The numbered scenario of a seed below `count(4)` for four members, a sampled one for every other."""
    if members == NUMBERED_MEMBERS and seed < count(members):
        return numbered(seed, members)
    return sampled(members, Dice("twins", seed, members))


_Groups = tuple[tuple[int | str, ...], ...]


def _split(members: int, twin: int, bits: int) -> _Groups:
    # Place 0 stays on the left: the other half are mirror images.
    places: list[int | str] = [*range(members), f"{twin}'"]
    right = tuple(place for number, place in enumerate(places[1:]) if bits >> number & 1)
    left = tuple(place for place in places if place not in right)
    return (left, right) if right else (left,)


def plan_of(scenario: Scenario, seed: int = 0) -> Plan:
    """The scenario as a plan: twins are corrupt members, each round a partition of one slot.

    Raises:
        ScenarioError: rounds that no committee can have, or more twins than it can bear.
    """
    _check(scenario)
    settings = Settings(members=scenario.members)
    seats, schedule = seats_of_places(scenario, settings), _schedule(settings)
    atoms: list[Atom] = [Corrupt(seats[twin], (), twin=True) for twin in scenario.twins]
    everybody, view = sorted(set(seats.values())), schedule.first
    for one in scenario.rounds:
        turn = _turn_of(one.leader, view, scenario, schedule)
        if turn > view:
            atoms.append(_split_views(schedule, view, turn, tuple((seat,) for seat in everybody)))
        groups = [tuple(seats[place] for place in group) for group in one.partitions]
        named = {seat for group in groups for seat in group}
        groups.extend((seat,) for seat in everybody if seat not in named)
        view = turn + 1
        atoms.append(_split_views(schedule, turn, view, tuple(groups)))
    slots = schedule.start_slot(view) - schedule.first
    return Plan(seed, Profile("twins", (), eager=True), settings, tuple(atoms), slots)


def _turn_of(leader: int, view: int, scenario: Scenario, schedule: Schedule) -> int:
    """The next view, `view` or later, that this place leads."""
    place = (scenario.rounds[0].leader + view - schedule.first) % scenario.members
    return view + (leader - place) % scenario.members


def _split_views(schedule: Schedule, view: int, until: int, groups: tuple[tuple[int, ...], ...]) -> Split:
    """Who reaches whom from the start of a view to the start of another."""
    return Split(schedule.start_ms(view) - T0_MS, schedule.start_ms(until) - T0_MS, groups)


def _schedule(settings: Settings) -> Schedule:
    """The views of height 1."""
    genesis = make_genesis(settings)
    return Chain(genesis, CounterApplication(genesis), settings.ring().checker, Rules(), None).schedule


def seats_of_places(scenario: Scenario, settings: Settings) -> dict[int | str, int]:
    """Place -> seat. A place is where its member stands in the first committee's rotation."""
    n, first, schedule = scenario.members, scenario.rounds[0].leader, _schedule(settings)
    seats: dict[int | str, int] = {}
    for place in range(n):
        seats[place] = member_of(schedule.leader(schedule.first + (place - first) % n))
    for number, twin in enumerate(scenario.twins):
        seats[f"{twin}'"] = settings.everybody + number
    return seats
