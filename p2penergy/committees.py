"""Who votes at a height: the draw of both stages' committees from a registry of members.

Lives here: which heights a committee is read at, the selection, its keys, its root, its order. Never here:
who is eligible and who is gone (`ledger`), votes, proposing. Owns the invariants that a committee is a
function of the chain before the block that names it, and that a draw is integers, SHA-256 and rejection
sampling, no floating point. Implements CONSENSUS sections 1 and 9.

Three steps, each by itself: `selected` picks members from the pool, `Roll.read` strikes who is gone and notes
the others' keys (the root covers that set), and `ordered` puts the set into the order of leaders. So whoever
knows a set needs nothing but the beacon to know its order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from math import isqrt
from typing import Protocol

from p2penergy import beacon
from p2penergy.digests import TAG_CLUSTERS, TAG_COMMITTEE, TAG_ORDER, digest
from p2penergy.genesis import ConsensusRules, Genesis
from p2penergy.messages import Stage

_WORD_BYTES = 8
_WORDS = 2 ** (8 * _WORD_BYTES)
_DRAWS_REMEMBERED = 128
CLUSTER_SPARE = 2
"""The clusters drawn first hold at least so many times the places there are to fill."""


class Registry(Protocol):
    """What is known of members at the heights that committees depend on."""

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Eligible members of a stage's pool in the state after block `height`, ascending."""

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Volunteers below the bar in the state after block `height`, best scored first, then ascending."""

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """33-byte key in the state after block `height`; None for who was no member then."""

    def last_verification(self, height: int) -> int:
        """Height of the last verification block at or below `height`; 0: there is none."""

    def beacon(self, height: int) -> bytes:
        """R_height, for every height that a committee still depends on."""


class CommitteeRules:
    """The arithmetic of committees; `consensus.rules.Rules` adds the rest."""

    def faulty_max(self, n: int) -> int:
        """f: how many of n members may be faulty."""
        return (n - 1) // 3

    def quorum(self, n: int) -> int:
        """Q: any two sets of Q members share a correct one, for every n."""
        return (n + self.faulty_max(n)) // 2 + 1

    def weak(self, n: int) -> int:
        """f + 1: at least one of so many members is correct."""
        return self.faulty_max(n) + 1

    def beacon_height(self, height: int, lag_blocks: int) -> int:
        """Which R draws the committee of `height`."""
        return height - lag_blocks

    def pool_height(self, height: int, lag_blocks: int, settle_blocks: int) -> int:
        """After which block the pool of the committee of `height` is read.

        The header of h names the committee of h + L before the state after h is permanent: so the
        pool is at least one block older than that header, even where D = 0.
        """
        return max(0, height - lag_blocks - max(settle_blocks, 1))

    def keys_height(self, height: int, lag_blocks: int) -> int:
        """After which block the keys of the committee of `height` are read, and who is gone is struck.

        One block before the header that names the committee: its proposer knows R_{h-L} already, and
        must not choose the order by letting somebody leave.
        """
        return max(0, height - lag_blocks - 1)

    def serves(self, height: int, last_verification: int, lag_blocks: int) -> bool:
        """Whether a verification committee serves at `height`, the last verification block being that."""
        return last_verification == 0 or height >= last_verification + lag_blocks


@dataclass(frozen=True, slots=True)
class Reading:
    """At which heights one committee is read."""

    stage: Stage
    height: int
    """Names the draw in its seed: the height itself, or g + L of a verification committee."""
    beacon_height: int
    epoch_height: int
    """The first height whose committee uses the same clusters; names them in their seed."""
    epoch_beacon_height: int
    pool_height: int
    keys_height: int

    @classmethod
    def of(
        cls,
        timing: ConsensusRules,
        stage: Stage,
        height: int,
        last_verification: int,
        rules: CommitteeRules,
    ) -> "Reading":
        """Of the stage's committee at `height`, given the last verification block below it."""
        lag, settle = timing.lag_blocks, timing.settle_blocks
        drawn = epoch = last_verification + lag
        if stage is Stage.VALIDATION:
            drawn, epoch = height, height - height % timing.epoch_blocks
        return cls(
            stage=stage,
            height=drawn,
            beacon_height=rules.beacon_height(drawn, lag),
            epoch_height=epoch,
            epoch_beacon_height=rules.beacon_height(epoch, lag),
            pool_height=rules.pool_height(drawn, lag, settle),
            keys_height=rules.keys_height(height, lag),
        )


@dataclass(frozen=True, slots=True)
class Roll:
    """The set of a committee: who, with which key."""

    members: tuple[bytes, ...]
    """Ascending."""
    keys: Mapping[bytes, bytes] = field(repr=False)
    root: bytes

    @classmethod
    def of(cls, keys: Mapping[bytes, bytes]) -> "Roll":
        """A set of members by their keys."""
        listed = tuple(sorted(keys.items()))
        return _roll(listed)

    @classmethod
    def read(
        cls,
        registry: Registry,
        timing: ConsensusRules,
        chain_id: bytes,
        reading: Reading,
        beacon_of: Callable[[int], bytes],
    ) -> "Roll":
        """The set of one committee; `beacon_of` answers for the block under way, too."""
        stage, height = reading.stage, reading.keys_height
        drawn = pool = registry.volunteers(stage, reading.pool_height)
        if len(pool) > timing.committee_size_max:
            clusters_seed = _clusters_seed(chain_id, reading, beacon_of)
            seed = _seed(chain_id, reading, beacon_of)
            drawn = selected(seed, clusters_seed, pool, timing.committee_size_max)

        def present(candidates: Iterable[bytes], most: int) -> dict[bytes, bytes]:
            known = ((who, registry.member_key(who, height)) for who in candidates)
            return dict(islice(((who, key) for who, key in known if key is not None), most))

        keys = present(drawn, len(drawn))
        if len(keys) < timing.committee_size_min:
            rest = () if drawn is pool else shuffled(clusters_seed, pool)
            others = (*rest, *registry.reserves(stage, reading.pool_height))
            keys |= present(
                (who for who in others if who not in drawn), timing.committee_size_min - len(keys)
            )
        if not keys:
            # All of them left within D blocks: the chain must not end for want of an old enough pool.
            late = (*registry.volunteers(stage, height), *registry.reserves(stage, height))
            keys = present(late, timing.committee_size_min)
        return cls.of(keys)


@lru_cache(maxsize=_DRAWS_REMEMBERED)
def _roll(listed: tuple[tuple[bytes, bytes], ...]) -> Roll:
    keys = dict(listed)
    return Roll(tuple(keys), keys, root_of(listed))


def root_of(listed: Sequence[tuple[bytes, bytes]]) -> bytes:
    """What headers hold of a committee: over its members, ascending, with their keys."""
    return digest(TAG_COMMITTEE, len(listed).to_bytes(4, "big"), *(who + key for who, key in listed))


def _seed(chain_id: bytes, reading: Reading, beacon_of: Callable[[int], bytes]) -> bytes:
    return beacon.seed(chain_id, reading.height, reading.stage, beacon_of(reading.beacon_height))


def _clusters_seed(chain_id: bytes, reading: Reading, beacon_of: Callable[[int], bytes]) -> bytes:
    value = beacon_of(reading.epoch_beacon_height)
    return digest(TAG_CLUSTERS, beacon.seed(chain_id, reading.epoch_height, reading.stage, value))


def ordered(
    chain_id: bytes, reading: Reading, roll: Roll, beacon_of: Callable[[int], bytes]
) -> tuple[bytes, ...]:
    """The members in the order of Equation (1)."""
    return shuffled(digest(TAG_ORDER, _seed(chain_id, reading, beacon_of)), roll.members)


def _words(seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        block = sha256(seed + counter.to_bytes(8, "big")).digest()
        counter += 1
        for i in range(0, len(block), _WORD_BYTES):
            yield int.from_bytes(block[i : i + _WORD_BYTES], "big")


def _below(bound: int, words: Iterator[int]) -> int:
    # Words at or above the largest multiple of `bound` would favour small numbers.
    limit = _WORDS - _WORDS % bound
    return next(word for word in words if word < limit) % bound


def _shuffle(order: list[bytes], words: Iterator[int]) -> list[bytes]:
    for i in range(len(order) - 1, 0, -1):
        j = _below(i + 1, words)
        order[i], order[j] = order[j], order[i]
    return order


@lru_cache(maxsize=_DRAWS_REMEMBERED)
def shuffled(seed: bytes, members: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Fisher-Yates over a SHA-256 counter stream; every order is equally likely."""
    return tuple(_shuffle(list(members), _words(seed)))


@lru_cache(maxsize=_DRAWS_REMEMBERED)
def selected(seed: bytes, clusters_seed: bytes, pool: tuple[bytes, ...], size: int) -> tuple[bytes, ...]:
    """`size` of a larger pool, ascending, by two-stage cluster sampling.

    Over both seeds every set is equally likely; within an epoch, those that its clusters allow. The pool,
    shuffled by the epoch's seed, is cut into about as many clusters as each has members. First clusters are
    drawn until they hold `CLUSTER_SPARE * size` members, then members in each of them, one by one in turns.
    """
    mixed = shuffled(clusters_seed, pool)
    count = isqrt(len(mixed))
    clusters = [list(mixed[i::count]) for i in range(count)]
    words, chosen, room = _words(seed), list[list[bytes]](), 0
    while clusters and room < CLUSTER_SPARE * size:
        cluster = _shuffle(clusters.pop(_below(len(clusters), words)), words)
        chosen.append(cluster)
        room += len(cluster)
    turns = (cluster.pop() for _ in mixed for cluster in chosen if cluster)
    return tuple(sorted(islice(turns, size)))


class Founders:
    """The registry as genesis alone knows it: the state after block 0, and R_k of no block."""

    def __init__(self, genesis: Genesis) -> None:
        self._origin = beacon.origin(genesis.chain_id)
        ids = {bytes.fromhex(each.participant_id): each for each in genesis.members}
        self._keys = {who: bytes.fromhex(each.public_key) for who, each in ids.items()}
        scores = genesis.market.scores
        self._qualified = scores.volunteer_start_ppm >= scores.committee_bar_ppm
        self._flagged = {
            Stage.VALIDATION: tuple(sorted(who for who, each in ids.items() if each.validator)),
            Stage.VERIFICATION: tuple(sorted(who for who, each in ids.items() if each.verifier)),
        }

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """All that genesis names, at every height."""
        return self._flagged[stage] if self._qualified else ()

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """All founders have one score: where it is below the bar, they are all reserves."""
        return () if self._qualified else self._flagged[stage]

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """As genesis registers it."""
        return self._keys.get(participant_id)

    def last_verification(self, height: int) -> int:
        """None yet."""
        return 0

    def beacon(self, height: int) -> bytes:
        """R_k for k <= 0."""
        return self._origin
