from collections import Counter
from itertools import pairwise, product

import pytest

from p2penergy.messages import Stage
from p2penergy.simulation.plans import PROFILES, draw_plan, profile_named
from p2penergy.simulation.runner import Run, run_plan
from p2penergy.simulation.shrinking import shrink
from p2penergy.simulation.signatures import participant_id

SIZES = (4, 5, 6, 7, 10)
SCHEDULES = {
    "calm": 10,
    "network": 120,
    "mask": 120,
    "fork": 120,
    "process": 120,
    "restart": 100,
    "clock": 80,
    "byzantine": 130,
    "chaos": 160,
    "relayed": 60,
    "membership": 40,
    "sampling": 40,
    "turnover": 40,
    "stages": 40,
    "stretch": 15,
    "ledger": 40,
    "ecdsa": 5,
}
"""How many seeds of each profile the default run takes: 1,240 in all, campaigns take far more."""
BATCHES = 4


def test_every_profile_is_run() -> None:
    assert set(SCHEDULES) == set(PROFILES)
    assert sum(SCHEDULES.values()) >= 1000


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize("profile", sorted(SCHEDULES))
def test_every_invariant_holds_under_every_drawn_fault(profile: str, batch: int) -> None:
    for seed in range(batch, SCHEDULES[profile], BATCHES):
        # Neither the batches' nor the sizes' number divides the other: every batch has every size.
        result = run_plan(draw_plan(seed, SIZES[seed % len(SIZES)], profile_named(profile)))
        assert result.ok, f"{result.sentence}\n{result.command()}"
        assert result.height > 0


@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize(
    "profile",
    ["network", "process", "restart", "clock", "chaos", "membership", "turnover", "stages", "ledger"],
)
def test_committees_that_tolerate_nobody_are_safe_and_recover(members: int, profile: str) -> None:
    for seed in range(6):
        result = run_plan(draw_plan(seed, members, profile_named(profile)))
        assert result.ok, f"{result.sentence}\n{result.command()}"


def test_committees_really_change() -> None:
    """Else the profiles would pass for nothing: newcomers, leavers, new keys, samples, verifiers anew."""
    seen: Counter[str] = Counter()
    for profile, seed in product(("membership", "sampling"), range(12)):
        run = Run(draw_plan(seed, 5, profile_named(profile)))
        assert run.execute().ok
        oracle = run.world.watch.oracle
        panels = [oracle.panel(height) for height in range(1, oracle.height + 1)]
        first = {participant_id(member) for member in range(5)}
        for before, panel in pairwise(panels):
            seen["changes"] += before.root != panel.root
            seen["renewals"] += any(before.keys.get(who, key) != key for who, key in panel.keys.items())
            seen["newcomers"] += not first >= set(panel.members)
            seen["leavers"] += bool(set(before.members) - set(panel.members))
        seen["verifications"] += sum(each.block.header.stage is Stage.VERIFICATION for each in oracle.chain)
        seen["sampled"] += profile == "sampling" and all(len(panel.members) == 4 for panel in panels)
    assert seen["sampled"] == 12
    assert min(seen[each] for each in ("changes", "renewals", "newcomers", "leavers", "verifications")) >= 10


def test_in_the_turnover_profile_most_heights_have_another_committee_than_the_one_before() -> None:
    changes = heights = 0
    for seed in range(12):
        run = Run(draw_plan(seed, SIZES[seed % len(SIZES)], profile_named("turnover")))
        assert run.execute().ok
        oracle = run.world.watch.oracle
        committees = [oracle.committee(height) for height in range(4, oracle.height + 1)]
        changes += sum(before != after for before, after in pairwise(committees))
        heights += max(0, len(committees) - 1)
    assert changes > heights * 3 // 4


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    profile = profile_named("chaos")
    first, again = run_plan(draw_plan(5, 4, profile)), run_plan(draw_plan(5, 4, profile), readable=True)
    assert first.trace_hash == again.trace_hash
    assert first.trace_hash != run_plan(draw_plan(6, 4, profile)).trace_hash
    assert again.lines
    assert not first.lines


def test_a_plan_is_a_function_of_seed_size_and_profile() -> None:
    for name in PROFILES:
        profile = profile_named(name)
        assert draw_plan(3, 7, profile) == draw_plan(3, 7, profile)


def test_a_broken_invariant_names_the_command_that_reproduces_it() -> None:
    run = Run(draw_plan(9, 4, profile_named("network")))
    run.world.watch.oracle.transactions = set()
    run.world.undecided = lambda: [b"a transaction that nobody ever gets"]  # type: ignore[method-assign]
    result = run.execute()
    assert result.violation == "inclusion"
    assert result.command() == "p2penergy simulate --seeds 9..9 --members 4 --profile network --trace"


def test_shrinking_leaves_only_the_faults_that_the_failure_needs() -> None:
    plan = next(
        plan
        for plan in (draw_plan(seed, 4, profile_named("chaos")) for seed in range(50))
        if len(plan.atoms) > 3
    )
    guilty = plan.atoms[2]

    def fails_with(trial):  # type: ignore[no-untyped-def]
        result = run_plan(trial)
        result.violation = "made up" if guilty in trial.atoms else None
        return result

    shrunk = shrink(plan, fails_with)
    assert shrunk.plan.atoms == (guilty,)
    assert shrunk.plan.without == tuple(number for number in range(len(plan.atoms)) if number != 2)
    assert "--without 0,1,3" in shrunk.command()
