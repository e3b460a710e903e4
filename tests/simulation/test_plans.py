import pytest

from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.faults import ClockStep, Drift, LoseStore
from p2penergy.simulation.plans import PROFILES, UnknownProfileError, draw_plan, profile_named

SEEDS = range(150)


@pytest.mark.parametrize("members", [1, 3, 4, 7, 10])
@pytest.mark.parametrize("name", sorted(PROFILES))
def test_liars_lost_stores_and_wrong_clocks_are_never_more_than_f_together(name: str, members: int) -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, members, profile_named(name))
        faulty = {
            atom.member for atom in plan.atoms if isinstance(atom, Corrupt | LoseStore | ClockStep | Drift)
        }
        assert len(faulty) <= faulty_max(members)


def test_every_family_and_every_lie_is_drawn_by_some_seed() -> None:
    plans = [draw_plan(seed, 7, profile_named("chaos")) for seed in range(2000)]
    kinds = {type(atom).__name__ for plan in plans for atom in plan.atoms}
    assert kinds == {
        "ClockStep",
        "Corrupt",
        "Crash",
        "Deaf",
        "DiskFails",
        "Doubled",
        "Drift",
        "IsolateDecider",
        "Late",
        "LoseStore",
        "Lossy",
        "Masked",
        "Noise",
        "Pause",
        "Reset",
        "RestartAll",
        "Skew",
        "Slow",
        "SlowDisk",
        "Split",
        "Storm",
    }
    from p2penergy.simulation.byzantine import BEHAVIOURS

    told = {lie for plan in plans for atom in plan.corrupt.values() for lie in atom.lies}
    assert told == set(BEHAVIOURS)
    assert any(atom.twin for plan in plans for atom in plan.corrupt.values())


def test_leaving_atoms_out_keeps_the_others_and_remembers_which() -> None:
    plan = next(p for p in (draw_plan(s, 4, profile_named("chaos")) for s in SEEDS) if len(p.atoms) >= 3)
    fewer = plan.leave_out((1,))
    assert fewer.atoms == (plan.atoms[0], *plan.atoms[2:])
    assert fewer.without == (1,)
    assert (fewer.seed, fewer.safety_ms) == (plan.seed, plan.safety_ms)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(UnknownProfileError, match="chaos"):
        profile_named("nonsense")
