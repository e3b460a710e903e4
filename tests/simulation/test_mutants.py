"""Every wrong rule of CONSENSUS section 12 must break an invariant that the simulator watches.

Random schedules find most; the rest have a directed test in `test_directed`.
"""

from collections.abc import Callable

import mutants
import pytest
from mutants import hunt, lying

from p2penergy.consensus.rules import Rules
from p2penergy.simulation.plans import Plan

FALSE_CHANGES = lying("false-view-change", "omitted-highest")
FALSE_SIGNERS = lying("double-signers", "early-decision")


def _as_drawn(plan: Plan) -> Plan:
    return plan


@pytest.mark.parametrize(
    ("rules", "members", "profile", "change", "invariants"),
    [
        (
            mutants.QuorumOfTwoFPlusOne,
            6,
            "chaos",
            _as_drawn,
            {"unjustified vote", "commit after PC", "certificate"},
        ),
        (
            mutants.QuorumLessOne,
            4,
            "chaos",
            _as_drawn,
            {"unjustified vote", "commit after PC", "certificate"},
        ),
        (mutants.StrictlyMore, 4, "chaos", _as_drawn, {"justified", "progress"}),
        (mutants.NoCertificateInViewChange, 4, "fork", FALSE_CHANGES, {"unjustified vote"}),
        (mutants.FirstInsteadOfHighest, 4, "fork", _as_drawn, {"unjustified vote"}),
        (mutants.ViewChangesOfOtherViews, 4, "fork", _as_drawn, {"unjustified vote"}),
        # VIEW-CHANGEs of other heights have views of their own, so that chance hardly ever finds one that
        # fits: the directed test in tests/consensus/test_justify.py catches that rule.
        (mutants.ViewChangeQuorumLessOne, 4, "fork", _as_drawn, {"unjustified vote"}),
        (mutants.DuplicateSignersInJustification, 4, "fork", lying("omitted-highest"), {"unjustified vote"}),
        (mutants.DuplicateSignersInCertificate, 4, "byzantine", FALSE_SIGNERS, {"certificate"}),
        (mutants.NotMonotone, 4, "chaos", _as_drawn, {"monotone"}),
        (
            mutants.VotesAgainAfterRestart,
            4,
            "restart",
            _as_drawn,
            {"equivocation", "one proposal", "monotone"},
        ),
        (mutants.FirstFromLocalCommit, 4, "chaos", _as_drawn, {"leader"}),
        (mutants.CommitsMixedOverViews, 4, "mask", _as_drawn, {"certificate"}),
        (mutants.NoJustificationAtAnyView, 4, "fork", _as_drawn, {"unjustified vote"}),
        (mutants.NoTimeliness, 4, "clock", _as_drawn, {"unjustified vote", "slots"}),
        (mutants.TimelinessOnSync, 4, "process", _as_drawn, {"catch-up"}),
        (mutants.LeaderByStartSlot, 4, "stretch", _as_drawn, {"leader"}),
        (mutants.NoStretch, 4, "stretch", _as_drawn, {"unjustified vote", "one proposal"}),
        (mutants.NoParentCertificate, 4, "byzantine", lying("orphan"), {"one chain"}),
        (mutants.CommitteeFromTheBlockItself, 4, "calm", _as_drawn, {"core invariant"}),
        (mutants.LivePool, 4, "membership", _as_drawn, {"committee"}),
        (mutants.RewrittenBlock, 4, "mask", _as_drawn, {"unjustified vote", "justified"}),
        (mutants.WeakIsF, 4, "chaos", _as_drawn, {"progress"}),
    ],
    ids=lambda value: getattr(value, "__name__", None) if isinstance(value, type) else "",
)
def test_a_wrong_rule_is_caught(
    rules: type[Rules], members: int, profile: str, change: Callable[[Plan], Plan], invariants: set[str]
) -> None:
    catch = hunt(rules, members, profile, 300, change=change)
    assert catch is not None, "no schedule broke an invariant"
    assert catch.result.violation in invariants, catch.result.sentence


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
