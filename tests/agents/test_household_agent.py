"""Rounds of an agent against a market that the test makes up; real validators are in tests/meters."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from p2penergy.agents.settings import AgentSettings
from p2penergy.agents.strategies import PriceCurve
from p2penergy.genesis import MarketRules
from p2penergy.household import agent as module
from p2penergy.household.accounts import Score, Wallet
from p2penergy.household.agent import Act, Agent
from p2penergy.household.book import Listed, Market
from p2penergy.household.reach import Network
from p2penergy.ledger.receipts import Decline, OrderReceipt
from p2penergy.ledger.records import OrderRecord
from p2penergy.ledger.transactions import Side

ME, OTHER = b"m" * 20, b"o" * 20
PRICE = 200_000
CURVE = PriceCurve(((0, PRICE),), ((0, PRICE),))


@dataclass
class Fake:
    """What the network says, and what it was asked to do."""

    wallet_nano: int = 10**12
    may_trade: bool = True
    code: Decline = Decline.NONE
    book: list[Listed] = field(default_factory=list)
    done: list[tuple[Any, ...]] = field(default_factory=list)
    participant_id: bytes = ME
    device: Any = field(
        default_factory=lambda: SimpleNamespace(genesis=SimpleNamespace(market=MarketRules()))
    )

    async def values(self, wanted: list[bytes]) -> dict[bytes, None]:
        return dict.fromkeys(wanted)

    def stand(self, who: bytes, period: int, place: int, side: Side, energy_wh: int) -> None:
        escrow_nano = energy_wh * PRICE if side is Side.BID else 0
        self.book.append(Listed(who, period, place, OrderRecord(side, energy_wh, PRICE, escrow_nano)))

    def receipt(self) -> OrderReceipt:
        return OrderReceipt(bytes(32), self.code, 5, 6, ME, 102, 0, 5)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()

    async def market(network: Fake, auctions_max: int) -> Market:
        return Market(100, 102, network.book, [])

    async def wallet(network: Fake, who: bytes) -> Wallet:
        return Wallet(who, network.wallet_nano, 0, 100)

    async def score(network: Fake, who: bytes) -> Score:
        return Score(who, 300_000, network.may_trade, False, 1000)

    async def place(network: Fake, side: Side, energy_wh: int, price: int, period: int) -> Any:
        network.done.append(("place", side, energy_wh, price, period))
        return None, network.receipt(), 7

    async def cancel(network: Fake, period: int, place_number: int) -> Any:
        network.done.append(("cancel", period, place_number))
        return None, network.receipt(), 7

    monkeypatch.setattr(module, "book", SimpleNamespace(market=market, place=place, cancel=cancel))
    monkeypatch.setattr(module, "accounts", SimpleNamespace(wallet=wallet, score=score))
    return made


def an_agent(known: dict[int, int], told: list[Act] | None = None, **changes: Any) -> Agent:
    settings: dict[str, Any] = {"strategy": CURVE, "horizon_periods": 1, "share_ppm": 10**6, "keep_nano": 0}
    acts = [] if told is None else told
    return Agent(AgentSettings(**(settings | changes), seed=1), lambda: known, acts.append)


async def run(agent: Agent, fake: Fake) -> int:
    return await agent.round(cast(Network, fake))


async def test_what_is_expected_is_ordered_and_others_orders_are_left_alone(fake: Fake) -> None:
    fake.stand(OTHER, 102, 0, Side.ASK, 77)
    assert await run(an_agent({102: 60}), fake) == 1
    assert fake.done == [("place", Side.ASK, 60, PRICE, 102)]


async def test_an_order_that_stands_as_wanted_is_left_alone_and_another_is_replaced(fake: Fake) -> None:
    fake.stand(ME, 102, 3, Side.ASK, 60)
    assert await run(an_agent({102: 60}), fake) == 0
    assert fake.done == []
    assert await run(an_agent({102: -40}), fake) == 2
    assert fake.done == [("cancel", 102, 3), ("place", Side.BID, 40, PRICE, 102)]


async def test_nothing_is_ordered_for_what_nothing_is_known_of(fake: Fake) -> None:
    assert await run(an_agent({101: 60}), fake) == 0
    # The same time of the day before is known.
    assert await run(an_agent({102 - 96: 60}), fake) == 1


async def test_what_was_declined_is_not_sent_again(fake: Fake) -> None:
    told: list[Act] = []
    agent = an_agent({102: 60, 103: 60}, told)
    fake.code = Decline.BOOK_FULL
    assert [await run(agent, fake), await run(agent, fake)] == [1, 0]
    assert len(fake.done) == 1
    assert not told[0].accepted and told[0].outcome.startswith("declined: ")


async def test_who_may_not_trade_orders_nothing_and_takes_its_orders_back(fake: Fake) -> None:
    fake.may_trade = False
    fake.stand(ME, 102, 0, Side.ASK, 60)
    assert await run(an_agent({102: 60}), fake) == 1
    assert fake.done == [("cancel", 102, 0)]


async def test_bids_of_several_periods_share_one_wallet(fake: Fake) -> None:
    fake.wallet_nano = 50 * PRICE
    await run(an_agent({102: -40, 103: -40}, horizon_periods=2), fake)
    assert [(done[2], done[4]) for done in fake.done] == [(40, 102), (10, 103)]


async def test_money_that_stands_in_own_bids_counts_as_there(fake: Fake) -> None:
    fake.wallet_nano = 0
    fake.stand(ME, 102, 0, Side.BID, 40)
    assert await run(an_agent({102: -40}), fake) == 0


async def test_a_dry_run_sends_nothing(fake: Fake) -> None:
    told: list[Act] = []
    agent = an_agent({102: 60}, told)
    agent.only_show = True
    fake.stand(ME, 102, 0, Side.ASK, 50)
    assert await run(agent, fake) == 2
    assert fake.done == [] and [act.what for act in told] == ["cancel", "place"]
