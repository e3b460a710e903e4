"""The paper's attacks and their variants, by real validators over TCP: what is altered, when, and by whom.

One network for all of them, a settlement period for each. Whatever the attacker tries, the altered contract
is declined in the execution stage with the right alpha, the other party is told so by f+1 equal replies, and
the genuine contract executes exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from p2penergy.coordinator import wall_clock_ms
from p2penergy.demo.households import Household, Households
from p2penergy.founding import Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.ledger import keys
from p2penergy.ledger.receipts import Decline, Receipt, TradeReceipt, TradeStage
from p2penergy.ledger.records import decode_integer
from p2penergy.ledger.transactions import Terms, transaction_id
from p2penergy.processes import Validator
from p2penergy.score_rules import ScoreRules

pytestmark = [pytest.mark.timeout(200), pytest.mark.asyncio(loop_scope="module")]

VALIDATORS = 4
FIRST = 1_600_000
ENERGY_WH, PRICE = 100, 200_000
LOSS_PPM = 2_000
DELTA_MS = 40


class Net:
    """Eight households, four of whom validate; two trade, and two more stand by."""

    def __init__(self, households: Households) -> None:
        self.households = households
        self.periods = count(FIRST)

    def __getitem__(self, number: int) -> Household:
        return self.households[f"H{number}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Net]:
    plan = Plan(
        community="Elm Street",
        households=[(f"H{number}", 0) for number in range(1, 9)],
        validators=VALIDATORS,
        consensus=ConsensusRules(
            t0_ms=wall_clock_ms() + 2_000,
            alpha_ms=10 + 4 * DELTA_MS,
            eps_ms=5,
            delta_ms=DELTA_MS,
            committee_size_min=1,
        ),
        # One pair goes through all of it: with the usual loss the second attack would suspend it.
        market=MarketRules(replay=True, first_period=FIRST - 1, scores=ScoreRules(default_loss_ppm=LOSS_PPM)),
    )
    community = found(plan, Path(tmp_path_factory.mktemp("attacks")))
    validators = [Validator(name, home) for name, home in community.homes.items()]
    households = Households(community)
    try:
        await asyncio.gather(*(each.start() for each in validators))
        await households.connect()
        yield Net(households)
    finally:
        await households.disconnect()
        await asyncio.gather(*(each.stop() for each in validators))


# What each attacker alters; the signature that the other side gave covers none of it.
ALTERED: dict[str, Callable[[Terms], Terms]] = {
    "half the energy": lambda t: replace(
        t, energy_wh=t.energy_wh // 2, price_micro_per_kwh=t.price_micro_per_kwh * 2
    ),
    "more energy": lambda t: replace(t, energy_wh=t.energy_wh * 2),
    "half the price": lambda t: replace(t, price_micro_per_kwh=t.price_micro_per_kwh // 2),
    "higher price": lambda t: replace(t, price_micro_per_kwh=t.price_micro_per_kwh + 1),
    "longer validity": lambda t: replace(t, valid_until_period=t.valid_until_period + 1),
    "another number": lambda t: replace(t, number=t.number + 1_000_000),
}


@dataclass
class Scene:
    """Terms that both signed, and what the attacker makes of them."""

    net: Net
    seller: Household
    buyer: Household
    attacker: Household
    terms: Terms
    wallets: tuple[int, int]

    @property
    def victim(self) -> Household:
        return self.buyer if self.attacker is self.seller else self.seller

    def genuine(self, by: Household) -> asyncio.Task[Receipt]:
        other = self.buyer if by is self.seller else self.seller
        return asyncio.ensure_future(by.conclude(self.terms, other.agree(self.terms)))

    async def attack(
        self, altered: Terms, by: Household | None = None, told: Household | None = None
    ) -> TradeReceipt:
        """An altered contract with the victim's signature; f+1 validators tell both sides the same of it."""
        attacker = by or self.attacker
        forged = attacker.contract(altered, self.victim.agree(self.terms))
        receipt = await attacker.send(forged)
        notice = await (told or self.victim).told(transaction_id(forged, attacker.chain_id))
        assert notice.receipt == receipt
        assert isinstance(receipt, TradeReceipt)
        return receipt

    def assert_caught(self, receipt: TradeReceipt) -> None:
        assert (receipt.code, receipt.stage) == (Decline.ALTERED_CONTRACT, TradeStage.EXECUTION)
        by_seller = self.attacker is self.seller
        assert (receipt.condition, receipt.alpha) == ((1, 1) if by_seller else (2, -1))

    async def assert_executed_once(self) -> None:
        paid = self.terms.amount_nano
        seller, buyer = await wallets(self.net, self.seller, self.buyer)
        assert (seller - self.wallets[0], self.wallets[1] - buyer) == (paid, paid)
        values = await self.net.households.values([keys.energy(self.buyer.participant_id)])
        (energy,) = values.values()
        assert decode_integer(energy) == self.terms.energy_wh


async def wallets(net: Net, *whose: Household) -> tuple[int, ...]:
    found = await net.households.values([keys.wallet(who.participant_id) for who in whose])
    return tuple(decode_integer(found[keys.wallet(who.participant_id)]) for who in whose)


async def score(net: Net, who: Household) -> int:
    (value,) = (await net.households.values([keys.score(who.participant_id)])).values()
    return decode_integer(value)


@pytest_asyncio.fixture(params=["malicious seller", "malicious buyer"], loop_scope="module")
async def scene(net: Net, request: pytest.FixtureRequest) -> Scene:
    """A fresh period in which both have agreed on something."""
    seller, buyer = net[5], net[6]
    period = next(net.periods)
    readings = seller.report(period, 0, 4 * ENERGY_WH), buyer.report(period, 4 * ENERGY_WH, 0)
    assert all(receipt.accepted for receipt in await asyncio.gather(*readings))
    terms = seller.terms_with(buyer, period, ENERGY_WH, PRICE)
    attacker = seller if request.param == "malicious seller" else buyer
    before = await wallets(net, seller, buyer)
    return Scene(net, seller, buyer, attacker, terms, (before[0], before[1]))


@pytest.mark.parametrize("what", ALTERED)
async def test_an_altered_contract_that_comes_first(scene: Scene, what: str) -> None:
    before = await score(scene.net, scene.attacker), await score(scene.net, scene.victim)
    scene.assert_caught(await scene.attack(ALTERED[what](scene.terms)))
    after = await score(scene.net, scene.attacker), await score(scene.net, scene.victim)
    assert after[0] < before[0]
    assert after[1] == before[1]
    # The victim, told of it, sends the genuine contract; then the attacker does so again.
    genuine = await scene.genuine(scene.victim)
    assert genuine.accepted
    assert await scene.victim.proven(genuine)
    again = await scene.genuine(scene.attacker)
    assert isinstance(again, TradeReceipt)
    assert again.code is Decline.TRADE_REPLAYED
    await scene.assert_executed_once()


async def test_an_altered_contract_that_comes_after_the_genuine_one(scene: Scene) -> None:
    assert (await scene.genuine(scene.attacker)).accepted
    scene.assert_caught(await scene.attack(ALTERED["more energy"](scene.terms)))
    await scene.assert_executed_once()


async def test_both_at_once(scene: Scene) -> None:
    genuine = scene.genuine(scene.victim)
    scene.assert_caught(await scene.attack(ALTERED["half the price"](scene.terms)))
    assert (await genuine).accepted
    await scene.assert_executed_once()


async def test_the_declined_one_again(scene: Scene) -> None:
    """The same bytes get the same answer; under a fresh nonce it is another attack, and caught likewise."""
    altered = ALTERED["half the energy"](scene.terms)
    forged = scene.attacker.contract(altered, scene.victim.agree(scene.terms))
    first = await scene.attacker.send(forged)
    assert isinstance(first, TradeReceipt)
    scene.assert_caught(first)
    at = scene.attacker.height
    assert await scene.attacker.send(forged) == first
    assert scene.attacker.height == at
    scene.assert_caught(await scene.attack(altered))
    assert (await scene.genuine(scene.victim)).accepted
    scene.assert_caught(await scene.attack(altered))
    await scene.assert_executed_once()


async def test_a_victim_that_sends_again_and_again(scene: Scene) -> None:
    scene.assert_caught(await scene.attack(ALTERED["half the energy"](scene.terms)))
    sent = [scene.genuine(who) for who in (scene.victim, scene.victim, scene.attacker, scene.victim)]
    receipts = await asyncio.gather(*sent)
    assert [receipt.accepted for receipt in receipts].count(True) == 1
    await scene.assert_executed_once()


async def test_another_party_in_the_victims_place(scene: Scene) -> None:
    """The attacker puts a bystander's name above the victim's signature: the bystander is told."""
    bystander = scene.net[7]
    field = "buyer" if scene.attacker is scene.seller else "seller"
    altered = replace(scene.terms, **{field: bystander.participant_id})
    scene.assert_caught(await scene.attack(altered, told=bystander))
    assert (await scene.genuine(scene.victim)).accepted
    await scene.assert_executed_once()


async def test_an_accomplice_in_the_attackers_place(scene: Scene) -> None:
    """Somebody else takes the attacker's part in what the victim signed, and answers for it."""
    accomplice = scene.net[8]
    field = "seller" if scene.attacker is scene.seller else "buyer"
    altered = replace(scene.terms, **{field: accomplice.participant_id})
    before = await score(scene.net, accomplice)
    scene.assert_caught(await scene.attack(altered, by=accomplice))
    assert await score(scene.net, accomplice) < before
    assert (await scene.genuine(scene.attacker)).accepted
    await scene.assert_executed_once()
