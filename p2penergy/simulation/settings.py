"""What kind of network a run simulates, and its genesis.

Lives here: the figures of a simulated network and the genesis made of them. Never here: chance, faults.
"""

from dataclasses import dataclass
from functools import lru_cache

from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member, check
from p2penergy.simulation.counter import hash_chain
from p2penergy.simulation.signatures import KeyRing, ecdsa_ring, participant_id, stand_in_ring

T0_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """One network; equal settings give equal chain ids."""

    members: int = 4
    outsiders: int = 0
    """Members that are not in the committee's pool at first, but may join it."""
    application: str = "counter"
    """`counter` or `ledger`."""
    real_signatures: bool = False
    real_store: bool = False
    """Whether disks are the real node's store, in memory; for the ledger only, whose outcomes it keeps."""
    alpha_ms: int = 1000
    eps_ms: int = 40
    delta_ms: int = 100
    delay_ms_max: int = 30
    empty_block_slots: int | None = None
    view_slots_max: int = 8
    lag_blocks: int = 2
    settle_blocks: int = 0
    epoch_blocks: int = 1
    committee_max: int = 100
    """With more volunteers than that, committees are sampled."""
    membership: bool = False
    """Whether clients let members join and leave; never fewer than `members` stay."""
    turnover: bool = False
    """Whether every transaction lets a member join or leave, in turns; for networks with outsiders."""
    verification: bool = False
    """Whether some proposers name the verification stage."""
    relayed: bool = False
    """Whether decided blocks are told as real nodes tell them, and not by everybody to everybody."""
    community: str = "simulated"

    @property
    def everybody(self) -> int:
        """Members and outsiders."""
        return self.members + self.outsiders

    @property
    def committee_min(self) -> int:
        """The least committee that there ever is: what bounds the faulty members of a run."""
        return min(self.members, self.committee_max)

    def ring(self) -> KeyRing:
        """Everybody's keys."""
        return ecdsa_ring(self.everybody) if self.real_signatures else stand_in_ring(self.everybody)


@lru_cache(maxsize=256)
def make_genesis(settings: Settings) -> Genesis:
    """The genesis of a network.

    Raises:
        GenesisError: the figures do not fit together.
    """
    ring = settings.ring()
    genesis = Genesis(
        community=settings.community,
        consensus=ConsensusRules(
            t0_ms=T0_MS,
            alpha_ms=settings.alpha_ms,
            eps_ms=settings.eps_ms,
            delta_ms=settings.delta_ms,
            empty_block_slots=settings.empty_block_slots,
            view_slots_max=settings.view_slots_max,
            lag_blocks=settings.lag_blocks,
            settle_blocks=settings.settle_blocks,
            epoch_blocks=settings.epoch_blocks,
            committee_size_min=settings.committee_min,
            committee_size_max=settings.committee_max,
        ),
        market=MarketRules(replay=settings.application == "ledger"),
        members=tuple(
            Member(
                participant_id=participant_id(member).hex(),
                public_key=ring.public_keys[member].hex(),
                validator=member < settings.members,
                verifier=member < settings.members,
                rated_w=10_000,
                wallet_nano=1_000_000_000_000,
                beacon_tip=hash_chain(member).tip.hex(),
            )
            for member in range(settings.everybody)
        ),
    )
    check(genesis)
    return genesis
