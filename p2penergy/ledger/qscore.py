"""The Q-score: Equation (2) to the letter, and the bounded reading that members' scores follow.

Lives here: arithmetic alone. Never here: whose score it is, what is remembered of a member
(`standing`), the parameters (`score_rules`). Owns the invariants that a gain never lifts a score
above 1 and a loss never takes more than the rule's share of it. Implements LEDGER section 6 (paper
2.2.3).

`equation_2` counts in exact fractions: the paper's x is any real number, so that its terms have
neither an upper bound nor a smallest step, and a rounding would be ours and not the paper's. The
bounded reading counts in ppm integers, which every machine multiplies alike; a product is
a * b // 1,000,000 of values that are 0 or more, and so rounds toward zero.
"""

from fractions import Fraction
from typing import NamedTuple

from p2penergy.genesis import PPM
from p2penergy.score_rules import ScoreRules

SELLER_AT_FAULT = 1
BUYER_AT_FAULT = -1
"""alpha of Equation (2)."""


# ---- the letter ------------------------------------------------------------------------------------


class Quality(NamedTuple):
    """Equation (2) of one transaction: the total, and the two terms that the next one starts from."""

    total: Fraction | int
    validators: Fraction | int
    """v_(i)."""
    leader: Fraction | int
    """L_(i)."""


def equation_2(
    v_previous: Fraction | int,
    leader_previous: Fraction | int,
    x: Fraction | int,
    seller: Fraction | int,
    buyer: Fraction | int,
    alpha: int,
) -> Quality:
    """The paper's Equation (2): v_(i-1) x + L_(i-1) x^3 + f(x, alpha), with S and B for both sides.

    `alpha` matters for x < 0 only. The paper leaves f at x = 0 open; it is 0 from both sides.

    Raises:
        ValueError: x < 0, and alpha is neither +1 (the seller failed) nor -1 (the buyer failed).
    """
    validators, leader = v_previous * x, leader_previous * x**3
    if x >= 0:
        sides = (seller + buyer) * x**5
    elif alpha == SELLER_AT_FAULT:
        sides = alpha * seller * x**5
    elif alpha == BUYER_AT_FAULT:
        sides = alpha * buyer * x**5
    else:
        raise ValueError(f"alpha is +1 or -1 in a declined transaction, not {alpha}")
    return Quality(validators + leader + sides, validators, leader)


def transaction_total(rules: ScoreRules, x_ppm: int, seller_ppm: int, buyer_ppm: int, alpha: int) -> int:
    """Equation (2) as the ledger records it for one transaction, ppm, rounded toward zero.

    v_(i-1) and L_(i-1) are the constants of genesis each time: carried on with x = 1 and x = -1 they
    would tell no more than whether the declines so far are even or odd. 0 when x is 0.
    """
    before = rules.quality_validators_ppm, rules.quality_leader_ppm
    x = x_ppm // PPM if x_ppm % PPM == 0 else Fraction(x_ppm, PPM)
    return int(equation_2(*before, x, seller_ppm, buyer_ppm, alpha).total)


# ---- the bounded reading ---------------------------------------------------------------------------


def product(a_ppm: int, b_ppm: int) -> int:
    """a * b in ppm, rounded toward zero; both are 0 or more."""
    return a_ppm * b_ppm // PPM


def fifth_power(x_ppm: int) -> int:
    """|x|^5: seller and buyer answer by the highest power."""
    x = abs(x_ppm)
    square = x * x // PPM
    return square * square // PPM * x // PPM


def outcome(rules: ScoreRules, delivered_wh: int, contracted_wh: int) -> int:
    """x of a trade by the share r that was delivered and paid.

    +1 for a full one, 2 r - 1 for a part, -1 for less: a default. `contracted_wh` is at least 1.
    """
    share = min(delivered_wh * PPM // contracted_wh, PPM)
    if share >= rules.full_delivery_ppm:
        return PPM
    if share >= rules.part_delivery_ppm:
        return max(2 * share - PPM, 0)
    return -PPM


def breadth(rules: ScoreRules, counterparties: int) -> int:
    """How widely a member trades: its distinct counterparties of the last days, 1 for enough."""
    enough = rules.breadth_counterparties
    return min(counterparties, enough) * PPM // enough


def weight(rules: ScoreRules, energy_wh: int, repeats: int, breadth_ppm: int, chosen: bool) -> int:
    """w of a trade: small ones, repeated pairs, narrow circles and chosen partners count less.

    `repeats` is how often the pair has traded today before.
    """
    full = rules.full_weight_wh
    energy = min(energy_wh, full) * PPM // full
    w = (energy >> repeats) * breadth_ppm // PPM
    return w * rules.chosen_share_ppm // PPM if chosen else w


def trade_gain(rules: ScoreRules, x_ppm: int, own_ppm: int, other_ppm: int, weight_ppm: int) -> int:
    """What a side gains by a trade with x >= 0: eta x^5 (other's score) (1 - own score) w."""
    by_outcome = rules.trade_gain_ppm * fifth_power(x_ppm) // PPM
    return by_outcome * other_ppm // PPM * (PPM - own_ppm) // PPM * weight_ppm // PPM


def default_loss(rules: ScoreRules, x_ppm: int, own_ppm: int) -> int:
    """What the side at fault loses: a share of its own score, by |x|^5."""
    return product(own_ppm, product(rules.default_loss_ppm, fifth_power(x_ppm)))


def vote_gain(rate_ppm: int, own_ppm: int) -> int:
    """What work on a committee brings: rate Q (1 - Q), the most in the middle."""
    return product(product(rate_ppm, own_ppm), PPM - own_ppm)


def within_day(gain_ppm: int, gained_today_ppm: int, day_max_ppm: int) -> int:
    """The part of a gain that the day's limit leaves."""
    return max(min(gain_ppm, day_max_ppm - gained_today_ppm), 0)


def drifted(rules: ScoreRules, own_ppm: int, idle_days: int) -> int:
    """An idle member's score: what sets it apart from a newcomer's halves every half-life.

    In between it shrinks along a straight line, so that every day has a whole number of ppm.
    """
    life = rules.idle_half_life_days
    halves, days = divmod(max(idle_days, 0), life)
    apart = abs(own_ppm - rules.start_ppm) >> halves
    apart -= apart * days // (2 * life)
    return rules.start_ppm + (apart if own_ppm >= rules.start_ppm else -apart)


# ---- what a score is good for ----------------------------------------------------------------------


def may_trade(rules: ScoreRules, own_ppm: int) -> bool:
    """Whether orders and contracts of the member are taken."""
    return own_ppm >= rules.trading_bar_ppm


def may_validate(rules: ScoreRules, own_ppm: int) -> bool:
    """Whether a volunteer is eligible for a committee."""
    return own_ppm >= rules.committee_bar_ppm


def order_wh_max(rules: ScoreRules, own_ppm: int) -> int:
    """The largest energy of one order or contract; 0 for whom may not trade."""
    return product(rules.order_full_wh, own_ppm) if may_trade(rules, own_ppm) else 0


def stake(rules: ScoreRules, own_ppm: int) -> int:
    """What a verifier stakes on a newcomer; it is taken off its score at once."""
    return product(own_ppm, rules.stake_ppm)


def stake_back(rules: ScoreRules, stake_ppm: int, own_ppm: int) -> int:
    """What a clean newcomer's verifier gets back: the stake and a bonus, never above a score of 1."""
    return min(stake_ppm + product(stake_ppm, rules.stake_bonus_ppm), PPM - own_ppm)


def is_stake_settled(rules: ScoreRules, trades: int, days: int) -> bool:
    """Whether a newcomer without default has traded often, or been there long, enough."""
    return trades >= rules.stake_trades or days >= rules.stake_days
