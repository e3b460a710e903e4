"""What the user asked of a demo, checked before anything starts."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from p2penergy.demo.misconduct import AUCTION_KINDS, Kind, Misconduct, choose
from p2penergy.grid.neighbourhood import Neighbourhood

VALIDATORS_MIN = 1
VALIDATORS_MAX = 31
HONEST_MIN = 2
"""Somebody to be wronged, and to try the paper's attacks with."""
EPS_MS = 5
DELTA_MS_PER_VALIDATOR = 10
"""All validators share this machine's cores: a message's way grows with their number."""


class Market(StrEnum):
    """How neighbours find each other."""

    BILATERAL = "bilateral"
    """By offers that one accepts."""
    AUCTION = "auction"
    """By orders that the ledger matches."""


class DemoError(Exception):
    """The demo can't do what was asked; the sentence says why and what would work."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """One demo."""

    neighbourhood: Neighbourhood
    first_day: date
    days: int = 1
    validators: int = 4
    crashes: int = 0
    market: Market = Market.BILATERAL
    bad_actors: int = 0
    """Households that do not keep what they promise."""
    base_port: int | None = None
    """First of the validators' ports; None: the system chooses free ones."""
    keep: Path | None = None
    stay: bool = False
    """Leave the network running after the summary."""

    @property
    def faults_tolerated(self) -> int:
        """f of the validators' committee."""
        return (self.validators - 1) // 3

    @property
    def delta_ms(self) -> int:
        """Bound on one message's way among so many processes on one machine."""
        return DELTA_MS_PER_VALIDATOR * max(4, self.validators)

    @property
    def alpha_ms(self) -> int:
        """Length of a slot: the shortest that CONSENSUS section 1 allows."""
        return 2 * EPS_MS + 4 * self.delta_ms

    def misconduct(self) -> Misconduct:
        """What the bad ones do, always the same.

        None of them validates: a low score ends that, too, and the demo is to end with the validators it
        began with. `p2penergy simulate` has bad validators.
        """
        kinds = AUCTION_KINDS if self.market is Market.AUCTION else tuple(Kind)
        actors = choose(self.neighbourhood.households[self.validators :], self.bad_actors, kinds=kinds)
        return Misconduct(self.neighbourhood, actors, self.periods()[-1])

    def all_days(self) -> tuple[date, ...]:
        """The local days to replay."""
        return tuple(self.first_day + timedelta(days=i) for i in range(self.days))

    def periods(self) -> tuple[int, ...]:
        """Every settlement period to replay, ascending."""
        return tuple(p for day in self.all_days() for p in self.neighbourhood.periods_of_day(day))


def check(options: DemoOptions) -> None:
    """Refuse what can't work.

    Raises:
        DemoError: with a sentence that names the option.
    """
    neighbourhood = options.neighbourhood
    known = neighbourhood.days()
    for day in options.all_days():
        if day not in known:
            span = f"{known[0]} to {known[-1]}" if known else "no whole day"
            raise DemoError(f"the data of {neighbourhood.name} have no day {day}: they cover {span}")
    households = len(neighbourhood.households)
    if not VALIDATORS_MIN <= options.validators <= min(VALIDATORS_MAX, households):
        most = min(VALIDATORS_MAX, households)
        raise DemoError(
            f"--validators {options.validators}: from {VALIDATORS_MIN} to {most} are possible here"
        )
    if options.crashes > options.faults_tolerated:
        raise DemoError(
            f"--crash {options.crashes}: {options.validators} validators tolerate "
            f"{options.faults_tolerated}; {3 * options.crashes + 1} would tolerate {options.crashes}"
        )
    _check_bad_actors(options)
    if options.base_port is not None and not 1 <= options.base_port <= 65536 - options.validators:
        raise DemoError(f"--base-port {options.base_port}: ports go from 1 to 65535")
    if options.keep is not None and options.keep.exists() and any(options.keep.iterdir()):
        raise DemoError(f"--keep {options.keep}: the folder is not empty, name a new one")


def _check_bad_actors(options: DemoOptions) -> None:
    most = max(len(options.neighbourhood.households) - max(HONEST_MIN, options.validators), 0)
    if options.bad_actors > most:
        raise DemoError(
            f"--bad-actors {options.bad_actors}: from 0 to {most} are possible here; "
            "validators are not among them"
        )
