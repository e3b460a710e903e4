import pytest

from p2penergy.simulation.byzantine import BEHAVIOURS, ByzantineNode, Corrupt
from p2penergy.simulation.faults import Storm
from p2penergy.simulation.plans import Plan, profile_named
from p2penergy.simulation.runner import Run
from p2penergy.simulation.settings import Settings

REFUSED_FOR_IT = {
    "double-signers": "bad_certificate",
    "orphan": "block_parent_certificate",
    "other-chain": "bad_signature",
    "stranger": "bad_signature",
    "flood": "view_window",
    "replay": "own_message",
    "false-tip": "unrequested",
}
"""The refusal that shows that a lie was told and seen through."""


def _run(lie: str, twin: bool = False, seed: int = 3, density_ppm: int = 0) -> Run:
    atoms = (Corrupt(1, (lie,), twin), Storm(1, 5, density_ppm))
    return Run(Plan(seed, profile_named("calm"), Settings(members=4), atoms, 9))


@pytest.mark.parametrize("lie", BEHAVIOURS)
@pytest.mark.parametrize("twin", [False, True])
def test_one_liar_of_four_breaks_nothing(lie: str, twin: bool) -> None:
    run = _run(lie, twin)
    result = run.execute()
    assert result.ok, result.sentence
    assert isinstance(run.world.nodes[1], ByzantineNode)


@pytest.mark.parametrize(("lie", "code"), REFUSED_FOR_IT.items())
def test_a_lie_is_told_and_seen_through(lie: str, code: str) -> None:
    runs = [_run(lie, seed=seed, density_ppm=200_000) for seed in range(6)]
    assert all(run.execute().ok for run in runs)
    assert sum(node.refused[code] for run in runs for node in run.world.correct_nodes()) > 0


def test_whoever_proposes_two_blocks_is_caught_with_evidence() -> None:
    result = _run("two-faced").execute()
    assert result.evidence > 0


def test_who_says_nothing_is_never_accused() -> None:
    assert _run("silent").execute().evidence == 0
