"""Readable transcripts of the protocol, compared word for word.

`REWRITE=1 pytest tests/simulation/test_golden.py` writes them anew; the difference is then for people to
read. Moments are milliseconds; slot 1 begins at 1001000.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.faults import Crash
from p2penergy.simulation.network import Hop
from p2penergy.simulation.plans import Plan, profile_named
from p2penergy.simulation.runner import run_plan
from p2penergy.simulation.scenario import Round, Scenario, seats_of_places
from p2penergy.simulation.settings import Settings
from p2penergy.simulation.world import World

FOLDER = Path(__file__).parent.parent / "scenarios"
SETTINGS = Settings(members=4)
PLACES = seats_of_places(Scenario(4, (), (Round(0, ()),)), SETTINGS)
FIRST_LEADER, SECOND_LEADER, BYSTANDER = PLACES[0], PLACES[1], PLACES[2]


@dataclass(frozen=True)
class LostInSlot:
    """All messages of some types are lost in one slot, except those of one member to itself."""

    kinds: tuple[str, ...]
    slot: int

    def install(self, world: World) -> None:
        world.network.disturb(self)

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        return [] if hop.slot == self.slot and hop.kind in self.kinds else delays_ms


@dataclass(frozen=True)
class ComesLate:
    """A member's process starts late, with an empty store."""

    member: int
    at_ms: int

    def install(self, world: World) -> None:
        node = world.nodes[self.member]
        world.at(1_000_999, lambda: node.crash(self.at_ms))


@dataclass(frozen=True)
class Case:
    tells: str
    atoms: Sequence[Any]
    slots: int = 2


CASES = {
    "normal_case": Case("Two blocks, each decided in its own slot, without a view change.", ()),
    "silent_leader": Case(
        "The leader of slot 1 never proposes: its view passes, and the next leader proposes afresh on three "
        "VIEW-CHANGEs that name nothing prepared.",
        (Corrupt(FIRST_LEADER, ("skipped-reveal",)),),
    ),
    "equivocating_leader": Case(
        "The leader of slot 1 proposes different blocks to different members: at most one can be decided.",
        (Corrupt(FIRST_LEADER, ("two-faced",)),),
        slots=3,
    ),
    "view_change_with_a_prepared_block": Case(
        "All COMMITs of slot 1 are lost. The block is prepared, so the next leader must propose it again, "
        "unchanged: the slot in its header stays 1, the view is 2.",
        (LostInSlot(("Commit", "Decided"), 1),),
    ),
    "restart_before_sending": Case(
        "A member ends after its PREPARE is durable and before it is sent, and sends the same bytes when it "
        "comes back.",
        (Crash(BYSTANDER, 0, "durable", 1, 40),),
    ),
    "restart_in_mid_commit": Case(
        "A member ends in the middle of a disk write that did not succeed: nothing of it was ever said.",
        (Crash(BYSTANDER, 0, "commit", 1, 40, survives=False),),
    ),
    "restart_after_prepare": Case(
        "A member ends right after its PREPARE and takes up the view where it left it.",
        (Crash(BYSTANDER, 1000, "sent", 1, 40),),
    ),
    "restart_after_deciding": Case(
        "A member ends in the moment of its decision and finds the block on its disk.",
        (Crash(BYSTANDER, 0, "decided", 1, 40),),
    ),
    "restart_of_the_leader": Case(
        "The leader ends after its proposal is durable and before anybody has it: it must not make another "
        "for this slot, so it sends the stored one.",
        (Crash(FIRST_LEADER, 0, "durable", 1, 40),),
    ),
    "late_joiner": Case(
        "A member comes up when two blocks are decided, asks, checks every certificate and joins in.",
        (ComesLate(BYSTANDER, 3300),),
        slots=4,
    ),
}


def _transcript(case: Case) -> str:
    plan = Plan(1, profile_named("calm"), SETTINGS, tuple(case.atoms), case.slots)
    result = run_plan(plan, readable=True)
    assert result.ok, result.sentence
    healed = next(number for number, line in enumerate(result.lines) if "network heals" in line)
    shown = [line for line in result.lines[:healed] if " REQUEST " not in line]
    return "\n".join([f"# {case.tells}", *shown, ""])


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_protocol_speaks_as_it_did(name: str) -> None:
    path, transcript = FOLDER / f"{name}.txt", _transcript(CASES[name])
    if os.environ.get("REWRITE"):
        path.write_text(transcript)
    assert path.read_text() == transcript, "run with REWRITE=1, then read the difference"


def test_there_is_no_transcript_without_its_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)
