"""Fewer faults, the same failure.

Lives here: leaving out a failing plan's atoms one by one while it still fails. Never here: guessing.
"""

from collections.abc import Callable

from p2penergy.simulation.plans import Plan
from p2penergy.simulation.runner import Result


def shrink(plan: Plan, run: Callable[[Plan], Result]) -> Result:
    """The result of the smallest plan found that still breaks the same invariant.

    `plan` must be as drawn. At most one run per atom and pass, until a pass leaves nothing out.
    """
    best = run(plan)
    violation = best.violation
    left_out: tuple[int, ...] = ()
    shrunk = violation is not None
    while shrunk:
        shrunk = False
        for number in range(len(plan.atoms)):
            if number in left_out:
                continue
            trial = tuple(sorted((*left_out, number)))
            result = run(plan.leave_out(trial))
            if result.violation == violation:
                best, left_out, shrunk = result, trial, True
    return best
