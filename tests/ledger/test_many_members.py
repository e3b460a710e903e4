"""A community of many members: what a block costs does not follow from how many there are."""

from __future__ import annotations

import pytest
from newcomers import Newcomers

from p2penergy.ledger import Ledger, roster
from p2penergy.ledger.state import State
from p2penergy.messages import Certificate, Stage

COMMITTEE = 8


def looked_at(members: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Entries that some blocks read, and volunteers that were looked at, once all is under way."""
    village = Newcomers(
        members, rules={"committee_size_max": COMMITTEE, "committee_size_min": 2, "settle_blocks": 3}
    )
    counts = [0, 0]
    for _ in range(6):
        step(village)
    get, eligible = State.get, roster.Roster._is_eligible

    def counting_get(self: State, key: bytes) -> bytes | None:
        counts[0] += 1
        return get(self, key)

    def counting_places(self: roster.Roster, who: bytes, stage: Stage, height: int) -> bool:
        counts[1] += 1
        return eligible(self, who, stage, height)

    monkeypatch.setattr(State, "get", counting_get)
    monkeypatch.setattr(roster.Roster, "_is_eligible", counting_places)
    for _ in range(5):
        step(village)
    monkeypatch.undo()
    return counts


def step(village: Newcomers) -> None:
    """A block that carries votes, and all that the core asks around it."""
    ledger = village.ledger
    votes = tuple((who, bytes(64)) for who in sorted(village.ids[:COMMITTEE]))
    certificate = Certificate(ledger.height, 0, bytes(32), votes)
    village.block(parent_certificate=certificate)
    for stage in Stage:
        for height in range(max(0, ledger.height - 4), ledger.height + 1):
            ledger.volunteers(stage, height)
    assert len(ledger.verification_committee().members) == COMMITTEE


def test_blocks_read_as_much_in_a_village_as_in_a_town(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(20, monkeypatch) == looked_at(300, monkeypatch)


def test_a_town_is_restored_whole() -> None:
    village = Newcomers(200)
    village.block()
    ledger = village.ledger
    again = Ledger.restore(village.genesis, village.checker, ledger.height, ledger.items())
    assert again.verification_committee() == ledger.verification_committee()
    assert len(again.volunteers(Stage.VALIDATION, ledger.height)) == 200
