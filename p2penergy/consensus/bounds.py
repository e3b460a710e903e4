"""Every buffer of the core, how full it is, and the bound that its owner keeps.

Lives here: one list for whoever watches memory (the simulator, floods over TCP). Never here: enforcing a
bound: each buffer does that itself, where it grows. Owns the claim of CONSENSUS section 5 that nothing a
peer sends makes a node hold more than this; a buffer that is not in the list is not accounted for.
"""

from dataclasses import dataclass

from p2penergy.consensus.admission import VIEWS_AHEAD_MAX
from p2penergy.consensus.catch_up import ASKED_MAX, CLAIMS_MAX, FAILURES_MAX
from p2penergy.consensus.chain import FAULTS_REMEMBERED_MAX
from p2penergy.consensus.drawing import COMMITTEES_REMEMBERED_MAX
from p2penergy.consensus.fetch import WANTED_MAX
from p2penergy.consensus.instance import KNOWN_BLOCKS_MAX
from p2penergy.consensus.votes import (
    EARLY_BYTES_PER_SENDER_MAX,
    EARLY_COPIES_MAX,
    EARLY_SENDERS_MAX,
    VIEWS_PER_SENDER_MAX,
)
from p2penergy.consensus.work import PEERS_ANSWERED_MAX, PROPOSED_SLOTS_REMEMBERED, Work
from p2penergy.messages import VoteKind

PROPOSALS_MAX = VIEWS_AHEAD_MAX + 1
"""Proposals held: one for the present view and each of those ahead."""
_VIEWED_KINDS = len(VoteKind) - 1
"""Types of which several views are held; of VIEW-CHANGE the highest only."""
EARLY_PER_SENDER_MAX = (_VIEWED_KINDS * VIEWS_PER_SENDER_MAX + 1) * EARLY_COPIES_MAX
"""Messages of the height that comes next."""


@dataclass(frozen=True, slots=True)
class Held:
    """One buffer: what it holds now, and the most it ever may; entries, or bytes where its name says so."""

    name: str
    now: int
    most: int

    @property
    def is_within(self) -> bool:
        """Whether the bound holds."""
        return self.now <= self.most


def held(work: Work) -> tuple[Held, ...]:
    """All of them; `n` below is the size of the working height's committee."""
    instance, chain, catch_up = work.instance, work.chain, work.catch_up
    votes, n = instance.votes, len(chain.committee.members)
    early_count_max, early_bytes_max = work.early.largest_share()
    return (
        Held("proposals", len(votes.proposals), PROPOSALS_MAX),
        Held("prepares", len(votes.prepares), VIEWS_PER_SENDER_MAX * n),
        Held("commits", len(votes.commits), VIEWS_PER_SENDER_MAX * n),
        Held("view_changes", len(votes.view_changes), n),
        Held("statements", len(instance.watch), len(VoteKind) * VIEWS_PER_SENDER_MAX * n),
        Held("own_votes", len(instance.signed.all()), len(VoteKind) * VIEWS_PER_SENDER_MAX),
        Held("known_blocks", len(instance.blocks), KNOWN_BLOCKS_MAX),
        Held("untimely_views", len(instance.untimely), PROPOSALS_MAX),
        Held("early_senders", work.early.senders, EARLY_SENDERS_MAX),
        Held("early_of_one_sender", early_count_max, EARLY_PER_SENDER_MAX),
        Held("early_of_one_sender_bytes", early_bytes_max, EARLY_BYTES_PER_SENDER_MAX),
        Held("wanted_blocks", len(work.fetch), WANTED_MAX),
        Held("claims", catch_up.claims, CLAIMS_MAX),
        Held("failed_claims", catch_up.failures, FAILURES_MAX),
        Held("asked_peers", catch_up.asked, ASKED_MAX),
        Held("peers_answered", len(work.answered_ms), PEERS_ANSWERED_MAX),
        Held("proposed_slots", len(work.proposed_slots), PROPOSED_SLOTS_REMEMBERED),
        Held("drawn_committees", chain.drawn_committees, COMMITTEES_REMEMBERED_MAX),
        Held("invalid_blocks", chain.faulty_blocks, FAULTS_REMEMBERED_MAX),
    )
