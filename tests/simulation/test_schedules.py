"""Hypothesis draws whole fault schedules and runs the real world under them, to its demands of liveness."""

import mutants
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from schedules import restarts, schedules

from p2penergy.consensus.rules import Rules
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.faults import ClockStep, Drift, LoseStore
from p2penergy.simulation.plans import Plan
from p2penergy.simulation.runner import Result, Run, run_plan
from p2penergy.simulation.shrinking import shrink

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS
)
LONG = settings(max_examples=4000, deadline=None, suppress_health_check=CHECKS)


def hold(plan: Plan) -> None:
    result = run_plan(plan)
    assert result.ok, f"{result.sentence}\n{plan.atoms}"
    assert result.height > 0


@pytest.mark.parametrize("members", [1, 3, 4, 5, 6, 7])
def test_every_invariant_holds_and_the_healed_network_goes_on(members: int) -> None:
    QUICK(given(plan=schedules(members))(hold))()


@pytest.mark.campaign
@pytest.mark.timeout(0)
@LONG
@given(plan=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 10]).flatmap(schedules))
def test_every_invariant_holds_in_a_campaign(plan: Plan) -> None:
    hold(plan)


@QUICK
@given(plan=st.integers(1, 10).flatmap(schedules))
def test_never_more_than_f_members_are_faulty(plan: Plan) -> None:
    faulty = {a.member for a in plan.atoms if isinstance(a, Corrupt | LoseStore | ClockStep | Drift)}
    assert len(faulty) <= faulty_max(plan.settings.members)


def smallest_that_breaks(rules: type[Rules], drawn: st.SearchStrategy[Plan]) -> Plan:
    """What Hypothesis makes of the first schedule under which the wrong rules break an invariant."""

    def run(plan: Plan) -> Result:
        return Run(plan, mutants.factory(rules)).execute()

    search = settings(QUICK, max_examples=3000, phases=[Phase.generate, Phase.shrink])
    # Where Hypothesis has no more ideas, some faults that do not matter may be left.
    return shrink(find(drawn, lambda plan: not run(plan).ok, settings=search), run).plan


@pytest.mark.parametrize("rules", [mutants.QuorumLessOne, mutants.StrictlyMore])
def test_a_wrong_rule_is_found_and_shrinks_to_the_faults_that_matter(rules: type[Rules]) -> None:
    plan = smallest_that_breaks(rules, schedules(4))
    assert len(plan.atoms) <= 1, plan.atoms
    assert run_plan(plan).ok


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.parametrize("rules", [mutants.FirstFromLocalCommit, mutants.NotMonotone])
def test_a_rare_wrong_rule_is_found_among_restarts_and_shrinks(rules: type[Rules]) -> None:
    plan = smallest_that_breaks(rules, schedules(4, restarts))
    assert len(plan.atoms) <= 3, plan.atoms
    assert run_plan(plan).ok
