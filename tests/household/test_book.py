"""`order` and `market`: into the book, out of it, and through an auction."""

from __future__ import annotations

from typing import Any

import pytest
from household_net import Stay

from p2penergy.cli.network import ask
from p2penergy.grid.periods import period_start_text
from p2penergy.household.accounts import period_now
from p2penergy.household.book import WHY
from p2penergy.household.reach import Network
from p2penergy.ledger.records import OrderEnd
from p2penergy.ledger.transactions import sign_reading

pytestmark = pytest.mark.timeout(200)


def report(stay: Stay, number: int, period: int, import_wh: int, export_wh: int) -> None:
    """A household's reading."""

    async def job(network: Network) -> None:
        signer, chain_id = network.device.signer, network.device.genesis.chain_id
        receipt, _ = await network.send(sign_reading(signer, chain_id, period, import_wh, export_wh))
        assert receipt.accepted

    ask(stay.home(number), (), 20, job)


def advance(stay: Stay, period: int) -> None:
    """A reading of each period up to this one: in a replay network that moves the clock."""

    async def job(network: Network) -> None:
        for number in range(await period_now(network) + 1, period + 1):
            reading = sign_reading(network.device.signer, network.device.genesis.chain_id, number, 0, 0)
            receipt, _ = await network.send(reading)
            assert receipt.accepted

    ask(stay.home(7), (), 20, job)


def test_an_order_stands_in_the_book_until_it_is_cancelled(stay: Stay) -> None:
    before = stay.json(2, "wallet")["wallet_nano"]
    placed = stay.json(2, "order", "bid", "--energy-wh", "200", "--price", "0.25")
    assert placed["accepted"]
    assert stay.json(2, "wallet")["wallet_nano"] == before - 200 * 250_000
    (listed,) = [each for each in stay.json(2, "order", "list") if each["end"] == "open"]
    assert (listed["side"], listed["energy_wh"], listed["price_micro_per_kwh"]) == ("bid", 200, 250_000)
    assert listed.pop("trades") == []
    assert listed in stay.json(5, "market")["book"]
    assert "bid       200 Wh at 0.250000" in stay.text(5, "market")
    assert "bid 200 Wh at 0.250000, 0 Wh filled, open" in stay.text(2, "order", "list")
    cancelling = ("order", "cancel", "--period", placed["period_start"], "--place", str(placed["place"]))
    assert stay.json(2, *cancelling)["accepted"]
    assert stay.json(2, "wallet")["wallet_nano"] == before
    again = stay.run(2, *cancelling)
    assert (again.exit_code, "no open order stands" in again.output) == (1, True)


def test_an_order_is_void_after_its_expiry(stay: Stay) -> None:
    now = stay.json(2, "wallet")["period"]
    wanted = ("order", "bid", "--energy-wh", "10", "--price", "0.2", "--expires")
    said = stay.refused(2, *wanted, period_start_text(now - 1))
    assert f"expired in period {period_start_text(now - 1)}" in said
    assert "expires in period" in stay.refused(2, *wanted, period_start_text(now + 5_000))
    placed = stay.json(2, *wanted, period_start_text(now))
    assert placed["accepted"]
    stay.json(2, "order", "cancel", "--period", placed["period_start"], "--place", str(placed["place"]))


def test_an_auction_clears(stay: Stay) -> None:
    sold = stay.json(6, "order", "ask", "--energy-wh", "150", "--price", "0.14")
    bought = stay.json(3, "order", "bid", "--energy-wh", "100", "--price", "0.2")
    assert sold["period"] == bought["period"]
    advance(stay, sold["period"] - 1)
    (auction,) = stay.json(3, "market")["auctions"][-1:]
    assert auction["period_start"] == sold["period_start"]
    assert (auction["volume_wh"], auction["asks"], auction["bids"]) == (100, 1, 1)
    assert 140_000 <= auction["price_micro_per_kwh"] <= 200_000
    (filled,) = [each for each in stay.json(3, "order", "list") if each["end"] == "filled"]
    assert filled["filled_wh"] == 100
    assert "cleared at 0." in stay.text(3, "market")
    (trade_id,) = filled["trades"]
    assert f"  trade {trade_id}" in stay.text(6, "order", "list")
    match = stay.json(3, "trade", "show", trade_id)
    assert (match["made_by"], match["energy_wh"], match["stages"]) == ("auction", 100, [])
    assert match["price_micro_per_kwh"] == auction["price_micro_per_kwh"]
    assert match["seller"] == stay.json(6, "wallet")["participant_id"]


def test_a_match_shows_what_its_delivery_changed(stay: Stay) -> None:
    # Neither is a validator, whose own legs change nothing; what the buyer bought elsewhere leaves room.
    sold = stay.json(8, "order", "ask", "--energy-wh", "100", "--price", "0.14")
    stay.json(5, "order", "bid", "--energy-wh", "100", "--price", "0.2")
    period = sold["period"]
    advance(stay, period - 1)
    (listed,) = [o for o in stay.json(5, "order", "list") if o["period"] == period and o["filled_wh"]]
    (trade_id,) = listed["trades"]
    report(stay, 8, period, 0, 98)
    report(stay, 5, period, 900, 0)
    advance(stay, period + 1)
    shown = stay.json(5, "trade", "show", trade_id)
    assert (shown["energy_wh"], shown["delivered_wh"], shown["x_ppm"]) == (100, 98, 1_000_000)
    execution, final = shown["stages"]
    assert [stage["lasts"] for stage in (execution, final)] == ["temporary", "permanent"]
    seller, _, buyer, _ = execution["legs"]
    assert seller["before"] - seller["after"] == 98
    assert buyer["before"] - buyer["after"] == 98 * shown["price_micro_per_kwh"]
    text = stay.text(8, "trade", "show", trade_id)
    assert "Execution stage (conditions 1 and 2 hold; temporary)" in text
    assert "98 Wh of 100 Wh delivered, x = +1.000" in text
    assert f"Preparation stage (an ask and a bid met as their gate closed in block {shown['height']}" in text
    assert f"by Equation (2): {shown['quality_ppm'] / 1_000_000:+.6f}." in text and shown["quality_ppm"] > 0


def test_a_contract_in_escrow_shows_the_same(stay: Stay) -> None:
    period = stay.json(8, "wallet")["period"] + 2
    wanted = ("--energy-wh", "60", "--price", "0.2", "--period", period_start_text(period))
    buyer = stay.json(2, "wallet")["participant_id"]
    offer = stay.json(8, "offer", "make", "--to", buyer, "--sell", *wanted)["offer_id"]
    stay.json(2, "offer", "accept", offer)
    assert stay.json(8, "offer", "accept", offer)["accepted"]
    before = stay.json(8, "trade", "show", offer)
    assert (before["stages"], before["reached_stage"], before["waits"]) == ([], "preparation", True)
    text = stay.text(8, "trade", "show", offer)
    assert f"Preparation stage (requested by transaction {before['transaction_id']}; the price put" in text
    assert f"Waits for its period, {period_start_text(period)}" in text
    for number, side in ((8, "sell"), (2, "buy")):
        (waits,) = (each for each in stay.json(number, "contract", "list") if each["trade_id"] == offer)
        assert (waits["side"], waits["energy_wh"]) == (side, 60)
    assert f"trade {offer}" in stay.text(2, "contract", "list")
    assert offer not in stay.text(6, "contract", "list")
    advance(stay, period - 1)
    report(stay, 8, period, 0, 60)
    report(stay, 2, period, 900, 0)
    advance(stay, period + 1)
    shown = stay.json(2, "trade", "show", offer)
    assert (shown["delivered_wh"], shown["reached_stage"], shown["waits"]) == (60, "final", False)
    assert [stage["stage"] for stage in shown["stages"]] == ["execution", "final"]
    assert shown["leader"]
    assert stay.json(2, "contract", "show", offer) == shown
    assert offer not in stay.text(2, "contract", "list")


def test_an_order_that_is_not_filled_says_why(stay: Stay) -> None:
    dear = stay.json(6, "order", "ask", "--energy-wh", "50", "--price", "0.28")
    cheap = stay.json(3, "order", "bid", "--energy-wh", "50", "--price", "0.13")
    advance(stay, dear["period"] - 1)

    def why(number: int, placed: dict[str, Any]) -> Any:
        listed = stay.json(number, "order", "list")
        return next(o["why"] for o in listed if o["period"] == placed["period"] and not o["filled_wh"])

    assert why(6, dear).startswith("price:")
    assert why(3, cheap).startswith("price:")
    alone = stay.json(6, "order", "ask", "--energy-wh", "50", "--price", "0.14")
    advance(stay, alone["period"] - 1)
    assert why(6, alone).startswith("no counterparty:")
    own = stay.json(6, "order", "ask", "--energy-wh", "50", "--price", "0.14")
    stay.json(6, "order", "bid", "--energy-wh", "50", "--price", "0.2")
    advance(stay, own["period"] - 1)
    assert why(6, own).startswith("own orders only:")
    assert "0 Wh filled, own orders only: nobody trades with himself" in stay.text(6, "order", "list")


def test_there_are_words_for_every_end() -> None:
    assert WHY.keys() == set(OrderEnd)


def test_what_the_ledger_or_the_command_refuses(stay: Stay) -> None:
    wanted = ("order", "ask", "--energy-wh", "100")
    late = stay.run(6, *wanted, "--price", "0.2", "--period", "2016-06-23T09:00Z")
    assert (late.exit_code, "is closed" in late.output) == (1, True)
    assert "is not a price" in stay.refused(6, *wanted, "--price", "0.0000001")
    assert "is not a price" in stay.refused(6, *wanted, "--price", "cheap")
    assert "not on a quarter" in stay.refused(6, *wanted, "--price", "0.2", "--period", "2016-06-23T09:01Z")
