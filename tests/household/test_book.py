"""`order` and `market`: into the book, out of it, and through an auction."""

from __future__ import annotations

import pytest
from household_net import Stay

from p2penergy.cli.network import ask
from p2penergy.household.accounts import period_now
from p2penergy.household.reach import Network
from p2penergy.ledger.transactions import sign_reading

pytestmark = pytest.mark.timeout(200)


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
    assert "bid 200 Wh at 0.250000, open, 0 Wh filled" in stay.text(2, "order", "list")
    cancelling = ("order", "cancel", "--period", placed["period_start"], "--place", str(placed["place"]))
    assert stay.json(2, *cancelling)["accepted"]
    assert stay.json(2, "wallet")["wallet_nano"] == before
    again = stay.run(2, *cancelling)
    assert (again.exit_code, "no open order stands" in again.output) == (1, True)


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


def test_what_the_ledger_or_the_command_refuses(stay: Stay) -> None:
    wanted = ("order", "ask", "--energy-wh", "100")
    late = stay.run(6, *wanted, "--price", "0.2", "--period", "2016-06-23T09:00Z")
    assert (late.exit_code, "is closed" in late.output) == (1, True)
    assert "is not a price" in stay.refused(6, *wanted, "--price", "0.0000001")
    assert "is not a price" in stay.refused(6, *wanted, "--price", "cheap")
    assert "not on a quarter" in stay.refused(6, *wanted, "--price", "0.2", "--period", "2016-06-23T09:01Z")
