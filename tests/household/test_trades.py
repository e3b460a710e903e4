"""`trade show` and `history`: a trade of the demo, followed from its wallet's history to its legs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from household_net import Stay

from p2penergy.founding import WALLET_NANO

pytestmark = pytest.mark.timeout(200)


def wallet_history(stay: Stay, number: int, *more: str) -> tuple[str, list[dict[str, Any]]]:
    who = stay.json(number, "wallet")["participant_id"]
    return who, stay.json(number, "history", f"wallet/{who}", *more)


def test_a_trade_is_followed_to_its_end(stay: Stay) -> None:
    # The last household has panels and never leads: each version of its wallet is one trade's.
    who, versions = wallet_history(stay, 8)
    assert versions[0]["value"] == WALLET_NANO
    assert versions[0]["cause"] is None
    assert {each["lasts"] for each in versions} <= {"temporary", "permanent"}
    assert versions[-1]["value"] == stay.json(8, "wallet")["wallet_nano"]
    shown = stay.json(8, "trade", "show", versions[1]["cause"])
    assert shown["accepted"] and shown["height"] == versions[1]["height"]
    assert who in (shown["seller"], shown["buyer"])
    execution, final = shown["stages"]
    assert (execution["stage"], execution["lasts"]) == ("execution", "temporary")
    assert (final["stage"], final["lasts"]) == ("final", "permanent")
    seller, leader, buyer, till = execution["legs"]
    if shown["leader"] not in (shown["seller"], shown["buyer"]):
        assert seller["before"] - seller["after"] == leader["after"] - leader["before"] == shown["energy_wh"]
        assert buyer["before"] - buyer["after"] == till["after"] - till["before"] == shown["amount_nano"]
    assert stay.json(8, "trade", "show", shown["trade_id"]) == shown
    text = stay.text(8, "trade", "show", shown["trade_id"])
    assert f"Preparation stage (requested by transaction {shown['transaction_id']})" in text
    assert "Execution stage (conditions 1 and 2 hold; temporary)" in text
    assert "Final stage (conditions 3 and 4 hold; permanent)" in text


def test_an_altered_contract_shows_why_it_was_declined(stay: Stay) -> None:
    attacker = stay.figures["attacks"][0]["attacker"]
    number = int(attacker[1:])
    who = stay.json(number, "wallet")["participant_id"]
    scores = stay.json(number, "history", f"q/{who}")
    fallen = [b for a, b in pairwise(scores) if b["value"] < a["value"]]
    shown = stay.json(number, "trade", "show", fallen[0]["cause"])
    assert (shown["accepted"], shown["condition"], shown["alpha"]) == (False, 1, 1)
    assert (shown["stages"], shown["reached_stage"]) == ([], "execution")
    assert f"by Equation (2): {shown['quality_ppm'] / 1_000_000:+.6f}." in stay.text(
        number, "trade", "show", fallen[0]["cause"]
    )
    assert "the submitter altered what was signed" in shown["outcome"]


def test_the_newest_versions_only(stay: Stay) -> None:
    _, versions = wallet_history(stay, 8)
    assert wallet_history(stay, 8, "--count", "1")[1] == versions[-1:]


def test_what_is_not_there(stay: Stay) -> None:
    assert "no trade and no transaction" in stay.refused(8, "trade", "show", "00" * 32).lower()
    assert "64 hex digits" in stay.refused(8, "trade", "show", "00")
    assert "is not a key such as" in stay.refused(8, "history", "purse/1")
    assert "never held" in stay.text(8, "history", "wallet/" + "00" * 20)
