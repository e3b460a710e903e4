"""The audit's second writing of the draw agrees with the one that nodes use."""

from dataclasses import dataclass
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from p2penergy.audit.panels import Seat, panel_of
from p2penergy.committees import CommitteeRules, Reading, Roll, ordered
from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.messages import Stage

FOUNDER = Member(participant_id="00" * 20, public_key="02" + "00" * 32, validator=True, beacon_tip="00" * 32)


@dataclass(frozen=True)
class Registry:
    """Anything may be so at any height: it follows from a seed and the height alone."""

    seed: int
    members: int

    def _chance(self, *about: object) -> float:
        return int.from_bytes(sha256(repr((self.seed, about)).encode()).digest()[:4], "big") / 2**32

    def _all(self) -> list[bytes]:
        return sorted(sha256(b"%d" % number).digest()[:20] for number in range(self.members))

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        return tuple(who for who in self._all() if self._chance(stage, height, who) < 0.7)

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        rest = [who for who in self._all() if who not in self.volunteers(stage, height)]
        return tuple(sorted(rest, key=lambda who: self._chance("score", who)))

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        chance = self._chance("key", participant_id, height)
        return None if chance < 0.1 else b"\x02" + sha256(b"%d" % (chance < 0.2) + participant_id).digest()

    def last_verification(self, height: int) -> int:
        return 0

    def beacon(self, height: int) -> bytes:
        return sha256(b"R%d" % max(height, 0)).digest()


@given(
    registry=st.builds(Registry, st.integers(0, 10**9), st.integers(1, 60)),
    stage=st.sampled_from(Stage),
    height=st.integers(1, 90),
    last=st.integers(0, 60),
    lag=st.integers(1, 4),
    settle=st.integers(0, 12),
    epoch=st.integers(1, 12),
    sizes=st.tuples(st.integers(1, 30), st.integers(0, 30)),
)
def test_the_draw_is_the_same(
    registry: Registry,
    stage: Stage,
    height: int,
    last: int,
    lag: int,
    settle: int,
    epoch: int,
    sizes: tuple[int, int],
) -> None:
    rules = ConsensusRules(
        t0_ms=0,
        alpha_ms=1000,
        eps_ms=0,
        delta_ms=0,
        lag_blocks=lag,
        settle_blocks=settle,
        epoch_blocks=min(epoch, max(settle, 1)),
        committee_size_min=sizes[0],
        committee_size_max=sum(sizes),
    )
    genesis = Genesis(community="x", consensus=rules, members=(FOUNDER,))
    mine = panel_of(genesis, registry, registry.beacon, Seat(stage, height, last))
    reading = Reading.of(rules, stage, height, last, CommitteeRules())
    roll = Roll.read(registry, rules, genesis.chain_id, reading, registry.beacon)
    assert mine.members == ordered(genesis.chain_id, reading, roll, registry.beacon)
    assert (dict(mine.keys), mine.root) == (dict(roll.keys), roll.root)
    assert mine.quorum == CommitteeRules().quorum(len(roll.members))
