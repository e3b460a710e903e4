"""Committees as lots: uniform at a stated significance, and out of reach of those who draw them.

All seeds are fixed, so that a test either always passes or never. Chi-square tests reject at 0.1 %: of right
programs with other seeds one in a thousand would fail one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, hypergeom

from p2penergy import beacon
from p2penergy.committees import CommitteeRules, Reading, Roll, ordered, selected, shuffled
from p2penergy.genesis import ConsensusRules
from p2penergy.messages import Stage

SIGNIFICANCE = 0.001
CHAIN = b"c" * 32


def seed(*about: object) -> bytes:
    return sha256(repr(about).encode()).digest()


def pool_of(count: int) -> tuple[bytes, ...]:
    return tuple(sorted(seed("member", number)[:20] for number in range(count)))


def is_uniform(counts: Sequence[int]) -> bool:
    return bool(chisquare(counts).pvalue > SIGNIFICANCE)


def test_every_order_of_four_is_equally_likely() -> None:
    pool = pool_of(4)
    orders = Counter(shuffled(seed("order", draw), pool) for draw in range(24 * 200))
    assert len(orders) == 24
    assert is_uniform(list(orders.values()))


def test_every_set_of_a_small_pool_is_equally_likely_over_epochs() -> None:
    pool = pool_of(7)
    sets = Counter(selected(seed("draw", n), seed("epoch", n), pool, 3) for n in range(35 * 200))
    assert set(sets) == set(combinations(pool, 3))
    assert is_uniform(list(sets.values()))


@pytest.mark.parametrize(("members", "size"), [(60, 7), (200, 31), (110, 100)])
def test_everybody_serves_equally_often(members: int, size: int) -> None:
    """With one draw in each epoch; the counts of one committee are tied, which the variance takes in."""
    pool, draws = pool_of(members), 2000
    served = Counter(m for n in range(draws) for m in selected(seed("d", n), seed("e", n), pool, size))
    share = size / members
    # Counts of a simple random sample without replacement have covariance; the statistic below is chi-square.
    deviation = sum((served[member] - draws * share) ** 2 for member in pool)
    statistic = deviation / (draws * share * (1 - share)) * (members - 1) / members
    assert statistic < chi2.ppf(1 - SIGNIFICANCE, members - 1)


def test_bad_members_sit_in_committees_as_the_hypergeometric_law_says() -> None:
    """What `risk` computes is what the draw does: 60 members, 12 of them bad, committees of 10."""
    pool, bad, size, draws = pool_of(60), 12, 10, 4000
    marked = set(pool[:bad])
    seen = Counter(len(marked & set(selected(seed("b", n), seed("f", n), pool, size))) for n in range(draws))
    expected = hypergeom.pmf(np.arange(size + 1), 60, bad, size) * draws
    # Rare outcomes together, so that each class has enough.
    observed = [seen[0], seen[1], seen[2], seen[3], sum(seen[k] for k in range(4, size + 1))]
    classes = [*expected[:4], expected[4:].sum()]
    assert chisquare(observed, classes).pvalue > SIGNIFICANCE


def test_first_leaders_are_uniform_and_the_next_ones_do_not_follow_from_them() -> None:
    pool = pool_of(6)
    orders = [shuffled(seed("lead", draw), pool) for draw in range(30 * 150)]
    assert is_uniform([Counter(order[0] for order in orders)[member] for member in pool])
    pairs = Counter(order[:2] for order in orders)
    assert len(pairs) == 30
    assert is_uniform(list(pairs.values()))


# ---- who proposes ------------------------------------------------------------------------------------


class Fixed:
    """One pool at every height, and a beacon in the test's hands."""

    def __init__(self, values: dict[int, bytes]) -> None:
        self.values = values
        self.pool = pool_of(40)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return self.pool

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return ()

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        return b"\x02" + sha256(participant_id).digest()

    def last_verification(self, height: int) -> int:
        return 0

    def beacon(self, height: int) -> bytes:
        return self.values[height]


TIMING = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=0, delta_ms=0, committee_size_max=7)


def committee(known: Fixed, height: int) -> tuple[bytes, ...]:
    reading = Reading.of(TIMING, Stage.VALIDATION, height, 0, CommitteeRules())
    roll = Roll.read(known, TIMING, CHAIN, reading, known.beacon)
    return ordered(CHAIN, reading, roll, known.beacon)


def test_a_proposer_has_one_reveal_and_knows_nothing_of_what_it_skips() -> None:
    """It may publish the one link that validates or skip its slot; then another's link decides.

    Of two committees (its own reveal's, the next leader's) it sees the first only: the second needs a
    preimage that it does not have. Both are uniform, so that skipping exchanges one lot for another.
    """
    chain = beacon.HashChain(b"secret", 64)
    link = chain.preimage(chain.tip)
    assert link is not None
    false = [sha256(link).digest(), bytes(32), chain.preimage(link) or b""]
    assert beacon.reveals(link, chain.tip)
    assert not any(beacon.reveals(each, chain.tip) for each in false)

    mine, others = Counter[bytes](), Counter[bytes]()
    for block in range(1500):
        before = seed("R", block)
        for reveal, firsts in ((seed("mine", block), mine), (seed("another's", block), others)):
            firsts[committee(Fixed({10: beacon.mix(before, reveal)}), 12)[0]] += 1
    assert is_uniform([mine[member] for member in pool_of(40)])
    assert is_uniform([others[member] for member in pool_of(40)])


def test_what_a_proposer_puts_into_its_block_moves_no_committee_that_its_reveal_draws() -> None:
    """Everything but R is read before the block with that reveal: no heights but those are asked for."""
    for stage in Stage:
        for height in range(1, 60):
            for last in range(max(0, height - 9), height):
                reading = Reading.of(TIMING, stage, height, last, CommitteeRules())
                if reading.beacon_height > 0 and stage is Stage.VALIDATION:
                    assert reading.pool_height < reading.beacon_height
                    assert reading.keys_height < reading.beacon_height
                if stage is Stage.VERIFICATION and last:
                    assert reading.pool_height < reading.beacon_height == last
