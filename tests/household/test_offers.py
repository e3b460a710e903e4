"""`offer`: two households come to terms over the running network, and what else can happen."""

from __future__ import annotations

import json

import pytest
from household_net import Stay

from p2penergy.grid.periods import period_start_text
from p2penergy.household.offers import OFFERS_FILE

pytestmark = pytest.mark.timeout(200)


def participant(stay: Stay, number: int) -> str:
    return str(stay.json(number, "wallet")["participant_id"])


def offered(stay: Stay, maker: int, to: int, *more: str, energy_wh: int = 80) -> str:
    """An offer to sell in a period to come; its id."""
    period = stay.json(maker, "wallet")["period"] + 3
    wanted = ("--energy-wh", str(energy_wh), "--price", "0.2", "--period", period_start_text(period))
    made = stay.json(maker, "offer", "make", "--to", participant(stay, to), "--sell", *wanted, *more)
    assert (made["state"], made["energy_wh"]) == ("made", energy_wh)
    return str(made["offer_id"])


def test_offer_counter_offer_and_acceptance_become_a_trade(stay: Stay) -> None:
    first = offered(stay, 6, 4)
    (seen,) = [each for each in stay.json(4, "offer", "list") if each["open"]]
    assert (seen["offer_id"], seen["state"], seen["sells"]) == (first, "received", False)
    assert "your turn" in stay.text(4, "offer", "list")
    second = stay.json(4, "offer", "counter", first[:10], "--price", "0.18")["offer_id"]
    states = {each["offer_id"]: each["state"] for each in stay.json(6, "offer", "list")}
    assert (states[first], states[second]) == ("replaced", "received")
    assert stay.json(6, "offer", "accept", second)["state"] == "signed"
    before = stay.json(4, "wallet")["wallet_nano"]
    assert "signed by the neighbour: accept" in stay.text(4, "offer", "list")
    done = stay.json(4, "offer", "accept", second[:8])
    assert done["accepted"] and "in escrow" in done["outcome"]
    assert stay.json(4, "wallet")["wallet_nano"] == before - 80 * 180_000
    shown = stay.json(6, "trade", "show", second)
    assert (shown["reached_stage"], shown["energy_wh"], shown["price_micro_per_kwh"]) == (
        "preparation",
        80,
        180_000,
    )
    states = {each["offer_id"]: each["state"] for each in stay.json(6, "offer", "list")}
    assert states[second] == "concluded"
    assert "it is concluded" in stay.refused(4, "offer", "accept", second)


def test_a_silent_neighbour_costs_neither_money_nor_score_nor_a_place(stay: Stay) -> None:
    before = [stay.json(6, "wallet"), stay.json(6, "score"), stay.json(5, "wallet"), stay.json(5, "score")]
    silent = offered(stay, 6, 5)
    after = [stay.json(6, "wallet"), stay.json(6, "score"), stay.json(5, "wallet"), stay.json(5, "score")]
    for was, now in zip(before, after, strict=True):
        assert {k: v for k, v in was.items() if k != "period"} == {
            k: v for k, v in now.items() if k != "period"
        }
    # The same energy goes to whoever answers, and the silent one's offer can be taken back.
    other = offered(stay, 6, 3)
    stay.json(3, "offer", "accept", other)
    stay.text(6, "offer", "list")
    assert stay.json(6, "offer", "accept", other)["accepted"]
    assert stay.json(6, "offer", "decline", silent)["state"] == "rejected"
    states = {each["offer_id"]: each["state"] for each in stay.json(5, "offer", "list")}
    assert states[silent] == "rejected"
    assert "it is rejected" in stay.refused(5, "offer", "accept", silent)


def test_two_agents_come_to_terms_by_themselves(stay: Stay) -> None:
    made = offered(stay, 6, 5)
    limits = {5: ("--buy-to", "0.19"), 6: ("--sell-from", "0.15")}
    said: dict[int, list[str]] = {5: [], 6: []}
    for number in (5, 6) * 4:
        lines = stay.text(
            number, "offer", "answer", *limits[number], "--energy-wh-max", "500", "--once", "--json"
        )
        said[number] += [json.loads(line)["answer"] for line in lines.splitlines()]
        states = [each for each in stay.json(6, "offer", "list") if each["state"] == "concluded"]
        if [each for each in states if each["neighbour"] == participant(stay, 5)]:
            break
    (done,) = [each for each in states if each["neighbour"] == participant(stay, 5)]
    assert 150_000 <= done["price_micro_per_kwh"] <= 190_000
    assert done["offer_id"] != made
    assert "counter" in said[5]
    assert "accept" in said[6] + said[5]
    assert stay.json(5, "trade", "show", done["offer_id"])["accepted"]
    assert stay.text(5, "offer", "answer", *limits[5], "--energy-wh-max", "500", "--once") == ""
    assert "sells or buys" in stay.refused(5, "offer", "answer", "--energy-wh-max", "5", "--once")


def test_the_period_is_the_next_one_unless_named_and_an_offer_is_amended(stay: Stay) -> None:
    now = stay.json(6, "wallet")["period"]
    wanted = ("--buy", "--energy-wh", "40", "--price", "0.2", "--valid-periods", "1")
    made = stay.json(6, "offer", "make", "--to", participant(stay, 2), *wanted)
    assert made["period_start"] == period_start_text(now + 2)
    assert made["valid_until_start"] == period_start_text(now + 1)
    amended = stay.json(6, "offer", "counter", made["offer_id"], "--energy-wh", "30")
    seen = {each["offer_id"]: each for each in stay.json(2, "offer", "list")}
    assert seen[made["offer_id"]]["state"] == "replaced"
    assert (seen[amended["offer_id"]]["state"], seen[amended["offer_id"]]["energy_wh"]) == ("received", 30)
    assert "sell 30 Wh at 0.200000 per kWh" in stay.text(2, "offer", "decline", amended["offer_id"])


def test_what_can_not_be_offered_or_answered(stay: Stay) -> None:
    wanted = ("--sell", "--energy-wh", "80", "--price", "0.2")
    own = participant(stay, 6)
    assert "name a neighbour" in stay.refused(6, "offer", "make", "--to", own, *wanted)
    assert "Nobody in this community" in stay.refused(6, "offer", "make", "--to", "00" * 20, *wanted)
    neither = [each for each in wanted if each != "--sell"]
    assert "--sell or --buy" in stay.refused(6, "offer", "make", "--to", participant(stay, 5), *neither)
    past = ("--period", "2016-06-23T09:00Z")
    other = participant(stay, 5)
    assert "is over" in stay.refused(6, "offer", "make", "--to", other, *wanted, *past)
    assert "There is no offer of which the id begins" in stay.refused(6, "offer", "accept", "00" * 32)
    made = offered(stay, 6, 5)
    assert "can't be accepted: it is made" in stay.refused(6, "offer", "accept", made)
    assert "changes something" in stay.refused(6, "offer", "counter", made)
    stay.json(5, "offer", "decline", made)
    assert "can't be answered: it is rejected" in stay.refused(5, "offer", "counter", made, "--price", "0.1")


def test_a_damaged_file_is_told(stay: Stay) -> None:
    path = stay.home(2) / OFFERS_FILE
    path.write_bytes(b"\xc1")
    assert "remove it, and what was offered is forgotten" in stay.refused(2, "offer", "list")
    path.unlink()
    assert stay.json(2, "offer", "list") == []
