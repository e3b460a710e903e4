"""Schedules made so that one wrong rule forks the chain (CONSENSUS section 12), and the right ones do not.

Places 0, 1, 2, 3 lead views 1, 2, 3, 4 of height 1. Only decisions are judged here, not votes: the wrong
rule must do its harm to the end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mutants
import pytest

from p2penergy.consensus.rules import Rules
from p2penergy.simulation.network import Hop
from p2penergy.simulation.plans import Plan, Profile
from p2penergy.simulation.runner import Result, Run
from p2penergy.simulation.scenario import Round, Scenario, seats_of_places
from p2penergy.simulation.settings import Settings
from p2penergy.simulation.world import World

SETTINGS = Settings(members=4)
PLACES = seats_of_places(Scenario(4, (), (Round(0, ()),)), SETTINGS)
FIRST, SECOND, THIRD, FOURTH = (PLACES[place] for place in range(4))
DIRECTED = Profile("calm", (), eager=True)
SEEDS = range(5)

Fate = Callable[[Hop, list[int]], list[int]]


@dataclass(frozen=True)
class Directed:
    """What becomes of every frame, written out."""

    fate: Fate

    def install(self, world: World) -> None:
        world.network.disturb(self)

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        return self.fate(hop, delays_ms)


def _results(rules: type[Rules], fate: Fate, slots: int) -> list[Result]:
    results = []
    for seed in SEEDS:
        run = Run(Plan(seed, DIRECTED, SETTINGS, (Directed(fate),), slots), mutants.factory(rules))
        run.world.watch.judges_votes = rules is Rules
        results.append(run.execute())
    return results


def _assert_forks(results: list[Result], forks: bool) -> None:
    for result in results:
        assert result.violation == ("agreement" if forks else None), result.sentence


def _two_blocks_prepared_one_decided(hop: Hop, delays_ms: list[int]) -> list[int]:
    """View 1: only FOURTH sees the block prepared. View 2, without FOURTH: another block is prepared, and
    FIRST alone sees it committed. View 3, without FIRST: both certificates are on the table."""
    ends = (hop.source, hop.target)
    if hop.slot == 1 and (hop.kind == "Commit" or (hop.kind == "Prepare" and hop.target != FOURTH)):
        return []
    if hop.slot == 2:
        to_others = hop.kind == "Commit" and hop.target != FIRST
        return [] if FOURTH in ends or to_others or hop.kind == "Decided" else delays_ms
    return [] if hop.slot == 3 and FIRST in ends else delays_ms


@pytest.mark.parametrize(("rules", "forks"), [(Rules, False), (mutants.FirstInsteadOfHighest, True)])
def test_the_highest_of_two_prepared_blocks_is_proposed_again(rules: type[Rules], forks: bool) -> None:
    _assert_forks(_results(rules, _two_blocks_prepared_one_decided, 4), forks)


def _prepares_come_after_the_view_change(hop: Hop, delays_ms: list[int]) -> list[int]:
    """The PREPAREs of view 1 arrive just after everybody said in VIEW-CHANGE that nothing was prepared.
    FOURTH takes no part in view 1, and FIRST none in view 2; its COMMIT of view 1 reaches nobody."""
    ends = (hop.source, hop.target)
    if hop.slot == 1:
        if FOURTH in ends and hop.kind in {"PrePrepare", "Prepare"}:
            return []
        return [1012 - delay_ms // 4 for delay_ms in delays_ms] if hop.kind == "Prepare" else delays_ms
    if hop.slot == 2 and FIRST in ends and hop.kind in {"PrePrepare", "Prepare", "Decided"}:
        return []
    return [] if hop.slot == 2 and hop.source == FIRST and hop.kind == "Commit" else delays_ms


@pytest.mark.parametrize(("rules", "forks"), [(Rules, False), (mutants.NotMonotone, True)])
def test_nobody_commits_in_a_view_that_it_said_it_had_left(rules: type[Rules], forks: bool) -> None:
    results = _results(rules, _prepares_come_after_the_view_change, 3)
    if forks:
        assert "agreement" in {result.violation for result in results}
    else:
        _assert_forks(results, forks)


def _one_sees_it_decided(hop: Hop, delays_ms: list[int]) -> list[int]:
    """View 1: FIRST alone sees the block committed, and is cut off. FOURTH saw nothing prepared. SECOND
    leads view 2 and hears FOURTH's VIEW-CHANGE only."""
    ends = (hop.source, hop.target)
    if hop.slot == 1:
        hidden = hop.target == FOURTH and hop.kind == "Prepare"
        to_others = hop.kind == "Commit" and hop.target != FIRST
        return [] if hidden or to_others or hop.kind == "Decided" else delays_ms
    if hop.slot <= 3 and FIRST in ends:
        return []
    if hop.slot == 2 and hop.kind == "ViewChange" and hop.source != FOURTH:
        return []
    return delays_ms


def test_a_block_that_one_member_saw_decided_stays_decided() -> None:
    _assert_forks(_results(Rules, _one_sees_it_decided, 4), forks=False)
