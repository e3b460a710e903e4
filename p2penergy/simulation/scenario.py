"""Twins: directed schedules of partitions, with a member whose key two processes hold.

Lives here: scenarios as data, their file form, the exhaustive and the sampled generator, and the plan of
one. Never here: chance beyond the sample. After "Twins: BFT Systems Made Robust" (Bano et al.): whatever
a Byzantine member can do to equivocate, two correct processes with one key can do as well.

Round r holds in slot r + 1, the view r of height 1 while nothing is decided. Members are named by places
that follow the first committee's rotation, so that leaders rotate 0, 1, 2, .. whatever the seed drew.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.consensus.chain import Chain
from p2penergy.consensus.rules import Rules
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.counter import CounterApplication
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.faults import Atom, Split
from p2penergy.simulation.plans import Plan, Profile
from p2penergy.simulation.settings import Settings, make_genesis
from p2penergy.simulation.signatures import member_of

ROUNDS_MAX = 64
ROUNDS = 4
"""Views of a generated scenario."""
MEMBERS_MAX = 16


class ScenarioError(ValueError):
    """A scenario that cannot be run; the sentence says why."""


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One slot: who leads it, and who reaches whom."""

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
    first = scenario.rounds[0].leader
    for number, one in enumerate(scenario.rounds):
        if one.leader != (first + number) % scenario.members:
            raise ScenarioError(
                f"round {number} is led by {one.leader}, but by Equation (1) leaders rotate: "
                f"write {(first + number) % scenario.members}"
            )
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


def sampled(members: int, dice: Dice, rounds: int = ROUNDS) -> Scenario:
    """One of them, by lot."""
    return numbered(dice.below(count(members, rounds)), members, rounds)


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
    seats = seats_of_places(scenario, settings)
    atoms: list[Atom] = [Corrupt(seats[twin], (), twin=True) for twin in scenario.twins]
    for number, one in enumerate(scenario.rounds):
        groups = [tuple(seats[place] for place in group) for group in one.partitions]
        named = {seat for group in groups for seat in group}
        groups.extend((seat,) for seat in sorted(set(seats.values()) - named))
        start_ms = (number + 1) * settings.alpha_ms
        atoms.append(Split(start_ms, start_ms + settings.alpha_ms, tuple(groups)))
    return Plan(seed, Profile("twins", (), eager=True), settings, tuple(atoms), len(scenario.rounds))


def seats_of_places(scenario: Scenario, settings: Settings) -> dict[int | str, int]:
    """Place -> seat. A place is where its member stands in the first committee's rotation."""
    genesis = make_genesis(settings)
    application = CounterApplication(genesis)
    chain = Chain(genesis, application, settings.ring().checker, Rules(), None)
    n, first = scenario.members, scenario.rounds[0].leader
    seats: dict[int | str, int] = {}
    for place in range(n):
        view = chain.schedule.first + (place - first) % n
        seats[place] = member_of(chain.schedule.leader(view))
    for number, twin in enumerate(scenario.twins):
        seats[f"{twin}'"] = settings.everybody + number
    return seats
