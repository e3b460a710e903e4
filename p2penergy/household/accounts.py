"""What a household has: energy, money, score, and its bill over any settlement periods.

Lives here: the keys to ask for and the arithmetic on their values. Never here: how they look, whom to
believe (`reach`). Implements LEDGER sections 3, 4.6 and 6 as a household reads them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger import keys, qscore, query
from p2penergy.ledger.records import BillRecord, decode_record
from p2penergy.ledger.scores import score_on
from p2penergy.market.bill import Bill

BILL_PERIODS_MAX = 9_600
"""A hundred days in one bill."""
_VERSIONS_OF_A_BILL = 2
"""Written once, and ended when the current state no longer needs it."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a participant holds."""

    participant_id: bytes
    wallet_nano: int
    energy_wh: int
    period: int
    """The ledger's."""


@dataclass(frozen=True, slots=True)
class Score:
    """A standing, and what it allows."""

    participant_id: bytes
    q_ppm: int
    may_trade: bool
    may_validate: bool
    order_wh_max: int


@dataclass(frozen=True, slots=True)
class BillLine:
    """One settled period."""

    period: int
    record: BillRecord


def _require_member(who: bytes, values: dict[bytes, bytes | None]) -> None:
    if values[keys.member(who)] is None:
        raise HouseholdError(f"nobody in this community has the id {who.hex()}")


async def wallet(network: Network, who: bytes) -> Wallet:
    """Money and energy now; raises `HouseholdError` for strangers."""
    wanted = (keys.wallet(who), keys.energy(who), keys.member(who), keys.TIP)
    values = await network.values(wanted)
    _require_member(who, values)
    held = query.balance(values.get, who)
    return Wallet(who, held.wallet_nano, held.energy_wh, query.tip(values.get).period)


async def score(network: Network, who: bytes) -> Score:
    """The score now, drift included; raises `HouseholdError` for strangers."""
    wanted = (keys.score(who), keys.standing(who), keys.gone(who), keys.member(who), keys.TIP)
    values = await network.values(wanted)
    _require_member(who, values)
    rules = network.device.genesis.market.scores
    q_ppm = score_on(values.get, rules, who, query.tip(values.get).period)
    return Score(
        who,
        q_ppm,
        qscore.may_trade(rules, q_ppm),
        qscore.may_validate(rules, q_ppm),
        qscore.order_wh_max(rules, q_ppm),
    )


async def scores(network: Network, members: Iterable[bytes]) -> dict[bytes, int]:
    """The scores of many now, in ppm, drift included; 0 for who is no member any more."""
    rules = network.device.genesis.market.scores
    asked = tuple(members)
    kinds = (keys.score, keys.standing, keys.gone, keys.member)
    values = await network.values([*(kind(who) for who in asked for kind in kinds), keys.TIP])
    period = query.tip(values.get).period
    return {
        who: 0 if values[keys.member(who)] is None else score_on(values.get, rules, who, period)
        for who in asked
    }


async def period_now(network: Network) -> int:
    """The ledger's settlement period."""
    return query.tip((await network.values([keys.TIP])).get).period


async def bill_lines(network: Network, who: bytes, periods: Iterable[int]) -> list[BillLine]:
    """The settled ones among these periods, ascending; raises `HouseholdError` for too many."""
    by_key = {keys.bill(who, period): period for period in periods}
    if len(by_key) > BILL_PERIODS_MAX:
        raise HouseholdError(f"a bill covers at most {BILL_PERIODS_MAX} periods, not {len(by_key)}")
    found = []
    for key, versions in (await network.histories(tuple(by_key), _VERSIONS_OF_A_BILL)).items():
        written = [each.value for each in versions if each.value is not None]
        found += [BillLine(by_key[key], decode_record(BillRecord, value)) for value in written[-1:]]
    return found


def total(lines: Iterable[BillLine], currency: str, retail: int, feed_in: int) -> Bill:
    """The three lines over all periods; the tariffs, millionths per kWh, say what it were without."""
    records = [line.record for line in lines]
    return Bill(
        currency,
        paid_to_community_nano=sum(r.bought_nano for r in records),
        received_from_community_nano=sum(r.sold_nano for r in records),
        paid_to_grid_nano=sum(r.grid_import_nano for r in records),
        received_from_grid_nano=sum(r.grid_export_nano for r in records),
        without_community_nano=sum(r.import_wh * retail - r.export_wh * feed_in for r in records),
    )
