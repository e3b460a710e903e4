"""The sample week with bad households on one ledger: no network, and signatures that cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "ledger"))

from village import QuickChecker, Village

from p2penergy.demo.census import Census
from p2penergy.demo.misconduct import Attempt, BadActor, Misconduct, penniless
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.ledger import Ledger
from p2penergy.ledger.qscore import may_trade
from p2penergy.ledger.receipts import decode_receipt
from p2penergy.ledger.scores import score_on
from p2penergy.market.bilateral import agreements, fair_price_micro_per_kwh
from p2penergy.market.tariffs import Tariffs
from p2penergy.messages import encode
from p2penergy.score_rules import ScoreRules

WALLET_NANO = 100 * 10**9
RULES = ScoreRules()


class Week:
    """A neighbourhood on a ledger, period by period, as `demo.replay` does it over the network."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        actors: Sequence[BadActor],
        periods: Sequence[int],
        validators: int,
    ) -> None:
        self.neighbourhood = neighbourhood
        self.actors = actors
        self.periods = periods
        self.misconduct = Misconduct(neighbourhood, actors, periods[-1])
        self.names = [h.name for h in neighbourhood.households]
        self.number = {name: number for number, name in enumerate(self.names)}
        self.census = Census(RULES.trading_bar_ppm)
        self.tariffs = Tariffs()
        self.village = self._village(validators)
        self.turn = 0
        self.validators = validators
        self.trades = 0
        get = self.village.ledger.get
        self.census.scores = {who: score_on(get, RULES, who, periods[0] - 1) for who in self.village.ids}

    def _village(self, validators: int) -> Village:
        market = {"first_period": self.periods[0] - 1, "scores": RULES}
        village = Village(len(self.names), validators, market, member={"wallet_nano": WALLET_NANO})
        poor = penniless(self.actors)
        members = tuple(
            msgspec.structs.replace(member, wallet_nano=0) if name in poor else member
            for name, member in zip(self.names, village.genesis.members, strict=True)
        )
        village.genesis = msgspec.structs.replace(village.genesis, members=members)
        village.chain_id = village.genesis.chain_id
        village.ledger = Ledger(village.genesis, QuickChecker())
        return village

    def block(self, transactions: Sequence[bytes], period: int) -> list[Any]:
        self.turn += 1
        proposer = self.turn % self.validators
        outcome = self.village.run(self.village.draft(*transactions, period=period, proposer=proposer))
        self.census.block(period, outcome.receipts, outcome.versions)
        return [decode_receipt(receipt) for receipt in outcome.receipts]

    def suspended(self, period: int) -> frozenset[str]:
        get = self.village.ledger.get
        ids = zip(self.names, self.village.ids, strict=True)
        return frozenset(name for name, who in ids if not may_trade(RULES, score_on(get, RULES, who, period)))

    def run(self) -> None:
        for period in self.periods:
            readings = self.neighbourhood.readings(period)
            sent = [
                self.village.reading(self.number[r.household], r.import_wh, r.export_wh, period)
                for r in readings
            ]
            assert all(receipt.accepted for receipt in self.block(sent, period))
            attempts = list(self.misconduct.attempts(period, self.suspended(period)))
            if attempts:
                receipts = self.block([self.promise(each, period) for each in attempts], period)
                for attempt, receipt in zip(attempts, receipts, strict=True):
                    if receipt.accepted:
                        self.misconduct.promised(attempt)
            agreed = agreements(*self.misconduct.left(period, self.suspended(period)), self.tariffs)
            if agreed:
                sent = [
                    self.contract(a.seller, a.buyer, a.energy_wh, a.price_micro_per_kwh, period, period + 4)
                    for a in agreed
                ]
                receipts = self.block(sent, period)
                assert all(receipt.accepted for receipt in receipts), receipts
        self.block([], self.periods[-1] + 1)

    def promise(self, attempt: Attempt, period: int) -> bytes:
        price = fair_price_micro_per_kwh(1, 1, self.tariffs)
        expires = period + 4 if attempt.period == period else period
        return self.contract(attempt.seller, attempt.buyer, attempt.energy_wh, price, attempt.period, expires)

    def contract(
        self, seller: str, buyer: str, energy_wh: int, price: int, period: int, expires: int
    ) -> bytes:
        self.trades += 1
        one, two = self.number[seller], self.number[buyer]
        terms = self.village.terms(
            one, two, energy_wh, period=period, price_micro_per_kwh=price, number=self.trades
        )
        signature = self.village.signed_by(two, terms)
        return encode(self.village.submit(one, terms, signature, expires_period=expires))
