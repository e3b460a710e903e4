"""Members' scores: where they start, the bar for trading, and what a default costs.

Lives here: integer arithmetic on scores in ppm. Never here: when somebody is at fault (`contracts`).
Owns the invariant that a score stays within 0..1,000,000. Implements LEDGER sections 5 and 6 as far
as declined contracts go.
"""

from p2penergy.genesis import PPM

START_PPM = 300_000
VOLUNTEER_START_PPM = 600_000
TRADING_BAR_PPM = 150_000
DEFAULT_LOSS_PPM = 300_000
NOTHING_DELIVERED_PPM = -PPM
"""x of a contract that was altered: nothing of it can be delivered."""


def product(a_ppm: int, b_ppm: int) -> int:
    """a * b in ppm, rounded toward zero; both are 0 or more."""
    return a_ppm * b_ppm // PPM


def after_default(q_ppm: int, x_ppm: int) -> int:
    """The score of the party at fault: it loses 0.30 |x|^5 of its own."""
    x = abs(x_ppm)
    square = product(x, x)
    fifth = product(product(square, square), x)
    return q_ppm - product(q_ppm, product(DEFAULT_LOSS_PPM, fifth))
