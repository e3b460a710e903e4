"""Households that do not keep what they promise: who they are, and what they try in a period.

Lives here: choosing them, and whom they try to sell to or buy from. Never here: sending it, what the ledger
makes of it. Owns the invariants that the same seed gives the same attempts, and that an honest household is
party to an attempt only with what it truly lacks or has. Implements the comparison of LEDGER section 6.

Their meters are sealed: what they report is true. What is false is what they sign.
"""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from p2penergy.genesis import PPM
from p2penergy.grid.households import Household
from p2penergy.grid.neighbourhood import Neighbourhood

SHARES_PPM = (1_000_000, 500_000, 200_000)
"""In how many periods they try, when there is somebody to try it on: a third of them each."""
SEED = 1


class Kind(StrEnum):
    """How somebody fails."""

    PHANTOM = "sells energy it does not have"
    NO_DELIVERY = "does not deliver what it sold ahead"
    NO_PAYMENT = "buys without money"


AUCTION_KINDS = (Kind.NO_DELIVERY,)
"""Orders are all placed ahead, and a bid's money is put aside: what is left is to sell and not to deliver."""


@dataclass(frozen=True, slots=True)
class BadActor:
    """One of them."""

    name: str
    kind: Kind
    share_ppm: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A contract that its bad side can't keep."""

    actor: BadActor
    seller: str
    buyer: str
    period: int
    """When the energy is due: the present period, or one to come."""
    energy_wh: int


def choose(
    households: Sequence[Household], count: int, seed: int = SEED, kinds: Sequence[Kind] = tuple(Kind)
) -> tuple[BadActor, ...]:
    """Draw the bad ones; kinds and shares go round, but whoever has panels earns money, and could pay."""
    chosen = random.Random(seed).sample(sorted(households, key=lambda h: h.name), count)
    actors = []
    for number, household in enumerate(chosen):
        kind = kinds[number % len(kinds)]
        if kind is Kind.NO_PAYMENT and household.pv_w:
            kind = Kind.PHANTOM
        actors.append(BadActor(household.name, kind, SHARES_PPM[number // len(kinds) % len(SHARES_PPM)]))
    return tuple(actors)


def penniless(actors: Sequence[BadActor]) -> frozenset[str]:
    """Those that have no money from the start, and so take no part in honest buying."""
    return frozenset(actor.name for actor in actors if actor.kind is Kind.NO_PAYMENT)


class Misconduct:
    """What the bad ones do, period by period."""

    def __init__(
        self, neighbourhood: Neighbourhood, actors: Sequence[BadActor], last: int, seed: int = SEED
    ) -> None:
        """`last` is the last period in which there is trade."""
        self.actors = actors
        self._neighbourhood = neighbourhood
        self._bad = frozenset(actor.name for actor in actors)
        self._penniless = penniless(actors)
        self._last = last
        self._seed = seed
        self._ahead: dict[int, set[str]] = {}

    def left(self, period: int, suspended: Collection[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Surpluses and deficits that are traded as usual.

        Left out are those who may not trade, those without money as buyers, and parties to contracts made
        ahead for this period: what these claim of a meter is not traded twice.
        """
        absent = {*suspended, *self._ahead.get(period, ())}
        surpluses = self._neighbourhood.surpluses(period)
        deficits = self._neighbourhood.deficits(period)
        return (
            {name: wh for name, wh in surpluses.items() if name not in absent},
            {name: wh for name, wh in deficits.items() if name not in absent | self._penniless},
        )

    def promised(self, attempt: Attempt) -> None:
        """Note a contract that the ledger took for a period to come."""
        self._ahead.setdefault(attempt.period, set()).update((attempt.seller, attempt.buyer))

    def attempts(self, period: int, suspended: Collection[str], ahead: int = 1) -> Iterator[Attempt]:
        """What they try now; nobody signs anything with a household that is suspended.

        What is sold ahead is due `ahead` periods later. Each victim is tried by one only, so that it
        promises nothing twice.
        """
        taken: set[str] = set()
        for actor in self.actors:
            if actor.name in suspended or not self._tries(actor, period):
                continue
            attempt = self._attempt(actor, period, taken, ahead)
            if attempt is not None:
                taken |= {attempt.seller, attempt.buyer}
                yield attempt

    def _tries(self, actor: BadActor, period: int) -> bool:
        said = sha256(f"{self._seed} {actor.name} {period}".encode()).digest()
        return int.from_bytes(said[:8], "big") % PPM < actor.share_ppm

    def _attempt(self, actor: BadActor, period: int, taken: Collection[str], ahead: int) -> Attempt | None:
        if actor.kind is Kind.NO_PAYMENT:
            sellers = self._honest(self._neighbourhood.surpluses(period), taken)
            wanted_wh = self._neighbourhood.deficits(period).get(actor.name, 0)
            if not sellers or not wanted_wh:
                return None
            energy_wh = min(wanted_wh, sellers[0][1])
            return Attempt(actor, sellers[0][0], actor.name, period, energy_wh)
        due = period + (ahead if actor.kind is Kind.NO_DELIVERY else 0)
        if due > self._last:
            return None
        buyers = self._honest(self._neighbourhood.deficits(due), taken)
        has_wh = self._neighbourhood.surpluses(due).get(actor.name, 0)
        # Less than half of it is there: with more it would be a part delivery, and no default.
        if not buyers or buyers[0][1] <= 2 * has_wh:
            return None
        return Attempt(actor, actor.name, buyers[0][0], due, buyers[0][1])

    def _honest(self, amounts_wh: Mapping[str, int], taken: Collection[str]) -> list[tuple[str, int]]:
        """Honest households with what they have or lack, the most first."""
        able = [
            (name, wh)
            for name, wh in amounts_wh.items()
            if wh and name not in self._bad and name not in taken
        ]
        return sorted(able, key=lambda item: (-item[1], item[0]))
