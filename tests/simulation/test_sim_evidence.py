"""Evidence over whole simulated lives: liars end on every ledger, correct members on none."""

from dataclasses import replace
from functools import partial

import pytest

from p2penergy.simulation.plans import Profile, draw_plan, profile_named
from p2penergy.simulation.runner import Run
from p2penergy.simulation.settings import Settings

SIZES = (4, 5, 6, 7)
SEEDS = 24
VIEWS_MORE = 12


def on_the_ledger(name: str, byzantine_ppm: int) -> Profile:
    """A profile's faults, over the real ledger."""
    return replace(profile_named(name), byzantine_ppm=byzantine_ppm, settings=Settings(application="ledger"))


def on_record(run: Run, correct: bool) -> list[int]:
    """Members of one kind that any correct node's ledger accuses."""
    world = run.world
    return [
        member
        for member in range(world.settings.everybody)
        if (member in world.correct_members) is correct
        and any(
            node.application.is_on_record(world.ring.signers[member].participant_id)
            for node in world.correct_nodes()
        )
    ]


def a_liar_is_on_record(run: Run) -> bool:
    return bool(on_record(run, correct=False))


@pytest.mark.parametrize("name", ["process", "restart", "clock", "network"])
def test_restarts_wrong_clocks_and_replays_accuse_nobody(name: str) -> None:
    for seed in range(SEEDS):
        run = Run(draw_plan(seed, SIZES[seed % len(SIZES)], on_the_ledger(name, byzantine_ppm=0)))
        result = run.execute()
        assert result.ok, result.sentence
        assert not run.world.watch.evidence_seen
        assert not on_record(run, correct=True)


def test_liars_are_found_and_recorded_and_nobody_else() -> None:
    liars = 0
    for seed in range(SEEDS):
        run = Run(draw_plan(seed, SIZES[seed % len(SIZES)], on_the_ledger("byzantine", 1_000_000)))
        result = run.execute()
        assert result.ok, result.sentence
        assert not on_record(run, correct=True)
        world = run.world
        if world.watch.evidence_seen:
            # The run may have ended with the evidence still pending: a few views more decide it.
            end_ms = world.now_ms + VIEWS_MORE * world.settings.alpha_ms
            world.run_until(end_ms, partial(a_liar_is_on_record, run))
        found = on_record(run, correct=False)
        assert bool(found) == bool(world.watch.evidence_seen)
        liars += len(found)
    assert liars
