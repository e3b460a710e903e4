"""Every wrong rule of CONSENSUS section 12 must break an invariant that the simulator watches.

Random schedules find most; the rest have a directed test in `test_directed`.
"""

import mutants
import pytest
from mutants import hunt

from p2penergy.consensus.rules import Rules


@pytest.mark.parametrize("case", mutants.CASES, ids=lambda case: f"{case.rules.__name__}-{case.profile}")
def test_a_wrong_rule_is_caught(case: mutants.Case) -> None:
    catch = case.hunt(300)
    assert catch is not None, "no schedule broke an invariant"
    assert catch.result.violation in case.invariants, catch.result.sentence


@pytest.mark.parametrize(
    ("rules", "members", "profile"),
    [
        (mutants.QuorumOfTwoFPlusOne, 6, "mask"),
        (mutants.QuorumLessOne, 4, "mask"),
        (mutants.NoJustificationAtAnyView, 4, "fork"),
        (mutants.RewrittenBlock, 4, "mask"),
    ],
)
def test_a_wrong_rule_does_harm_that_shows_without_judging_votes(
    rules: type[Rules], members: int, profile: str
) -> None:
    catch = hunt(rules, members, profile, 120, judges_votes=False)
    assert catch is not None, "no schedule led to a fork or a standstill"


@pytest.mark.parametrize("profile", ["fork", "mask", "restart"])
def test_the_right_rules_pass_the_same_hunt(profile: str) -> None:
    assert hunt(Rules, 4, profile, 20) is None
