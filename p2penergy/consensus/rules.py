"""Every rule of the protocol that a small change would break, each as one pure function.

Lives here: the arithmetic and the yes/no questions of CONSENSUS sections 1 to 9; those of committees it
inherits from `p2penergy.committees`, which the ledger uses as well. Never here: state,
messages being built. The core asks an instance of `Rules` and nothing else, so a test can substitute a
subclass with one wrong rule (CONSENSUS section 12) and must then see an invariant fall. A node's
configuration can't reach this: there is no way to name another class outside of code.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from p2penergy.committees import CommitteeRules
from p2penergy.consensus.effects import VoteRecord
from p2penergy.messages import Block, Certificate, ViewChange

ORDINARY_VIEWS_PER_MEMBER = 2
"""W = 2n: so many views per member have the length of one slot before views lengthen."""


class Rules(CommitteeRules):
    """The right rules; `tests` derive wrong ones."""

    # ---- section 1: counting -------------------------------------------------------------------

    def reaches(self, count: int, needed: int) -> bool:
        """Whether `count` votes are enough."""
        return count >= needed

    def distinct(self, members: Sequence[bytes]) -> bool:
        """Whether a certificate's signers are in canonical order, hence nobody is counted twice."""
        return all(a < b for a, b in pairwise(members))

    # ---- section 2: slots, views, leaders ------------------------------------------------------

    def first_slot(self, parent_slot: int, _commit_slot: int) -> int:
        """first(h): from the parent's header, never from the slot in which this node decided it."""
        return parent_slot + 1

    def view_slots(self, attempt: int, n: int, view_slots_max: int) -> int:
        """Length in slots of the attempt's view: 1 for W views, then doubling per n views."""
        beyond = attempt - ORDINARY_VIEWS_PER_MEMBER * n
        if beyond < 0:
            return 1
        return int(min(2 ** min(beyond // n + 1, 16), view_slots_max))

    def leader_index(self, view: int, _start_slot: int, n: int) -> int:
        """Equation (1): for the first W views the view is the slot; later it is the attempt."""
        return view % n

    def may_propose_empty(self, slots_passed: int, n: int, empty_block_slots: int | None) -> bool:
        """Idle rule; at most W - n, so that idleness never stretches views."""
        idle_max = (ORDINARY_VIEWS_PER_MEMBER - 1) * n
        return slots_passed >= min(empty_block_slots or n, idle_max)

    # ---- section 4: votes ----------------------------------------------------------------------

    def timely(self, now_ms: int, start_ms: int, end_ms: int, eps_ms: int) -> bool:
        """Whether a fresh block may be voted for now (the paper's Condition 1)."""
        return start_ms - eps_ms <= now_ms <= end_ms + eps_ms

    def timely_for_sync(self, _now_ms: int, _start_ms: int) -> bool:
        """A decided block is adopted whenever it comes."""
        return True

    def may_vote(self, view: int, current_view: int) -> bool:
        """MONOTONE: never PREPARE or COMMIT below a view that was entered."""
        return view >= current_view

    def needs_no_justification(self, view: int, first: int) -> bool:
        """J0 is for the first view of a height only."""
        return view == first

    def view_change_counts(self, change: ViewChange, height: int, view: int) -> bool:
        """Only VIEW-CHANGEs for exactly (h, v), each prepared in a lower view or not at all."""
        if change.height != height or change.view != view:
            return False
        return change.prepared_view is None or change.prepared_view < view

    def view_change_quorum(self, n: int) -> int:
        """How many VIEW-CHANGEs a later view needs."""
        return self.quorum(n)

    def view_change_signers_count(self, changes: Sequence[ViewChange]) -> int:
        """How many distinct members signed them."""
        return len({change.sender for change in changes})

    def view_change_needs_certificate(self) -> bool:
        """Whether a claimed prepared view must be proved by its certificate."""
        return True

    def highest_prepared(self, changes: Iterable[ViewChange]) -> ViewChange | None:
        """The VIEW-CHANGE whose block a later view must propose again; None: all pv none."""
        prepared = [change for change in changes if change.prepared_view is not None]
        return max(prepared, key=lambda change: change.prepared_view or 0, default=None)

    def reproposed(self, block: Block, _slot: int, _proposer: bytes) -> Block:
        """A block never changes when it is proposed again."""
        return block

    def commit_group(self, view: int, digest: bytes) -> tuple[int, bytes]:
        """What COMMITs must share to be counted together."""
        return (view, digest)

    def looks_again_on_entry(self) -> bool:
        """Whether every buffered message of a view is looked at again on entering it."""
        return True

    # ---- sections 1, 3, 6, 9 -------------------------------------------------------------------

    def signed_chain(self, chain_id: bytes) -> bytes:
        """Which chain an own signature names."""
        return chain_id

    def parent_certificate_needed(self) -> bool:
        """Every block but the first carries the certificate of its parent."""
        return True

    def remembered(self, votes: Sequence[VoteRecord]) -> Sequence[VoteRecord]:
        """Which stored votes bind a node after its restart: all."""
        return votes

    def is_certified(self, certificate: Certificate, members: Collection[bytes]) -> bool:
        """Whether a certificate has a quorum of distinct members, in canonical order."""
        signers = certificate.members()
        if not self.distinct(signers) or not all(signer in members for signer in signers):
            return False
        return self.reaches(len(signers), self.quorum(len(members)))
