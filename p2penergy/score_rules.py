"""Parameters of the Q-score: a section of genesis.

Lives here: their names, units, limits and defaults. Never here: the arithmetic (`ledger.qscore`). Owns
the invariant that every figure of LEDGER section 6 is agreed on before the first block.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

PpmShare = Annotated[int, Meta(ge=0, le=1_000_000)]
Days = Annotated[int, Meta(ge=1, le=3650)]
Number = Annotated[int, Meta(ge=1, le=1000)]
OrderWh = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class ScoreRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """LEDGER section 6; shares in ppm."""

    start_ppm: PpmShare = 300_000
    """A newcomer's score, and where idle scores drift."""
    volunteer_start_ppm: PpmShare = 600_000
    """The score of genesis' volunteers."""
    trading_bar_ppm: PpmShare = 150_000
    committee_bar_ppm: PpmShare = 400_000
    order_full_wh: OrderWh = 100_000
    """The largest order at a score of 1; at a lower score that share of it."""

    full_delivery_ppm: PpmShare = 950_000
    """From this share of the contract on, a trade is fulfilled."""
    part_delivery_ppm: PpmShare = 500_000
    """Below this share the trade is a default."""
    trade_gain_ppm: PpmShare = 100_000
    """eta."""
    default_loss_ppm: PpmShare = 300_000
    full_weight_wh: OrderWh = 500
    """Energy from which on a trade counts wholly."""
    breadth_days: Days = 7
    breadth_counterparties: Annotated[int, Meta(ge=1, le=32)] = 12
    """Distinct counterparties that make a full breadth."""
    chosen_share_ppm: PpmShare = 250_000
    """What a pair that chose each other earns of what an auction match earns."""
    trade_day_max_ppm: PpmShare = 50_000
    """The most that a day's trades bring, at full breadth."""

    proposer_gain_ppm: PpmShare = 20_000
    signer_gain_ppm: PpmShare = 10_000
    verifier_gain_ppm: PpmShare = 10_000
    vote_day_max_ppm: PpmShare = 50_000
    """The most that a day's work on committees brings."""

    quality_validators_ppm: PpmShare = 600_000
    """v_(i-1) of Equation (2) for every transaction's total."""
    quality_leader_ppm: PpmShare = 600_000
    """L_(i-1), likewise."""

    idle_half_life_days: Days = 90
    stake_ppm: PpmShare = 50_000
    """Share of its score that a verifier stakes on a newcomer."""
    stake_bonus_ppm: PpmShare = 100_000
    """What a stake comes back with on top, as a share of it."""
    stake_trades: Number = 20
    stake_days: Days = 14
