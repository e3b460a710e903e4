"""Seeds of campaigns that a judge stopped; each names what was wrong: mostly the judge itself."""

from __future__ import annotations

import pytest

from p2penergy.simulation.plans import draw_plan, profile_named
from p2penergy.simulation.runner import run_plan

FOUND = [
    # A vote was judged by the clock of the moment when a slow disk let it out, not when it was signed.
    ("chaos", 72142, 6),
    ("chaos", 109100, 4),
    ("chaos", 132553, 7),
    ("chaos", 271327, 6),
    # A start sends a view's VIEW-CHANGE again after that same view's COMMIT: it hides nothing.
    ("chaos", 142338, 7),
    # The core's: a clock a slot behind, and a restart between two proposals in one start slot.
    ("chaos", 491828, 7),
    # A liar that was the first to decide asked the judge about a height that nobody knew the committee of.
    ("relayed", 1045478, 7),
    ("chaos", 595258, 7),
]


@pytest.mark.parametrize(("profile", "seed", "members"), FOUND)
def test_what_a_campaign_found_stays_mended(profile: str, seed: int, members: int) -> None:
    result = run_plan(draw_plan(seed, members, profile_named(profile)))
    assert result.ok, f"{result.sentence}\n{result.command()}"
