"""Which panel decides a height, drawn a second time from the specification.

Lives here: pools, clusters, strikes, fill-up and order of a committee, for the audit alone. Never here:
anything imported from `committees` or the consensus core: two programs that agree are better evidence than
one that agrees with itself. Implements CONSENSUS section 9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Protocol

from p2penergy import beacon
from p2penergy.audit.leaders import Panel, mix_up, words_of
from p2penergy.digests import TAG_CLUSTERS, TAG_ORDER, digest
from p2penergy.genesis import Genesis
from p2penergy.messages import Stage

BeaconOf = Callable[[int], bytes]


class Members(Protocol):
    """What the audited ledger's own state says of its members."""

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """The pool after a block."""

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Who is below the bar after a block, best first."""

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """Of who is a member after a block."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A stage at a height, and the last verification block below it."""

    stage: Stage
    height: int
    last_verification: int


def panel_of(genesis: Genesis, members: Members, beacon_of: BeaconOf, seat: Seat) -> Panel:
    """The committee of a seat; `beacon_of` knows R_k for k <= 0, too."""
    rules = genesis.consensus
    lag = rules.lag_blocks
    # A verification committee is drawn once: for the first height after its block at which it serves.
    draw = seat.height if seat.stage is Stage.VALIDATION else seat.last_verification + lag
    epoch = draw // rules.epoch_blocks * rules.epoch_blocks if seat.stage is Stage.VALIDATION else draw

    def seed(height: int) -> bytes:
        return beacon.seed(genesis.chain_id, height, seat.stage, beacon_of(height - lag))

    pool_height = max(0, draw - lag - max(rules.settle_blocks, 1))
    drawn = pool = list(members.volunteers(seat.stage, pool_height))
    others: list[bytes] = []
    if len(pool) > rules.committee_size_max:
        by_clusters = mix_up(pool, words_of(digest(TAG_CLUSTERS, seed(epoch))))
        drawn = _sampled(seed(draw), by_clusters, rules.committee_size_max)
        others = [who for who in by_clusters if who not in drawn]
    others.extend(members.reserves(seat.stage, pool_height))
    # Who left in the block that names the committee, or later, still counts: its proposer knew R.
    known_at = max(0, seat.height - lag - 1)
    keys: dict[bytes, bytes] = {}
    # Where nobody is left of all these, whoever volunteers by then.
    last = (*members.volunteers(seat.stage, known_at), *members.reserves(seat.stage, known_at))
    for who in drawn:
        key = members.member_key(who, known_at)
        if key is not None:
            keys[who] = key
    for who in others:
        if len(keys) >= rules.committee_size_min:
            break
        key = members.member_key(who, known_at)
        if key is not None:
            keys[who] = key
    if not keys:
        told = {who: members.member_key(who, known_at) for who in last}
        known = [(who, key) for who, key in told.items() if key is not None]
        keys = dict(known[: rules.committee_size_min])
    order = mix_up(sorted(keys), words_of(digest(TAG_ORDER, seed(draw))))
    return Panel(tuple(order), keys)


def _sampled(seed: bytes, mixed: list[bytes], places: int) -> list[bytes]:
    """Of a pool that the epoch mixed: clusters, and members in them, by the draw's seed."""
    clusters = isqrt(len(mixed))
    left = {number: mixed[number::clusters] for number in range(clusters)}
    numbers, words = list(left), words_of(seed)
    drawn: list[list[bytes]] = []
    while numbers and sum(map(len, drawn)) < 2 * places:
        number = numbers.pop(words.below(len(numbers)))
        drawn.append(mix_up(left[number], words))
    # One of each in turns, from the end of each cluster's order.
    turns = [
        cluster[-1 - turn] for turn in range(max(map(len, drawn))) for cluster in drawn if turn < len(cluster)
    ]
    return turns[:places]
