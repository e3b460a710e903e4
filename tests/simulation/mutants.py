"""Wrong rules (CONSENSUS section 12), each a small change that a tired programmer could make.

They live in the tests: nothing in the package can name them. `hunt` runs seeds until an invariant falls.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from p2penergy.consensus.effects import VoteRecord
from p2penergy.consensus.replica import Replica
from p2penergy.consensus.rules import Rules
from p2penergy.messages import Block, ViewChange
from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.counter import hash_chain
from p2penergy.simulation.node import SimNode
from p2penergy.simulation.oracle import SimulatedApplication
from p2penergy.simulation.plans import Plan, draw_plan, profile_named
from p2penergy.simulation.runner import Result, Run
from p2penergy.simulation.world import ReplicaFactory


class QuorumOfTwoFPlusOne(Rules):
    def quorum(self, n: int) -> int:
        return 2 * self.faulty_max(n) + 1


class QuorumLessOne(Rules):
    def quorum(self, n: int) -> int:
        return super().quorum(n) - 1


class StrictlyMore(Rules):
    def reaches(self, count: int, needed: int) -> bool:
        return count > needed


class NoCertificateInViewChange(Rules):
    def view_change_needs_certificate(self) -> bool:
        return False


class FirstInsteadOfHighest(Rules):
    def highest_prepared(self, changes: Iterable[ViewChange]) -> ViewChange | None:
        prepared = [change for change in changes if change.prepared_view is not None]
        return min(prepared, key=lambda change: change.prepared_view or 0, default=None)


class ViewChangesOfOtherViews(Rules):
    def view_change_counts(self, change: ViewChange, height: int, view: int) -> bool:
        prepared = change.prepared_view
        return change.height == height and (prepared is None or prepared < view)


class ViewChangeQuorumLessOne(Rules):
    def view_change_quorum(self, n: int) -> int:
        return self.quorum(n) - 1


class DuplicateSignersInJustification(Rules):
    def view_change_signers_count(self, changes: Sequence[ViewChange]) -> int:
        return len(changes)


class DuplicateSignersInCertificate(Rules):
    def distinct(self, members: Sequence[bytes]) -> bool:
        return True


class NotMonotone(Rules):
    def may_vote(self, view: int, current_view: int) -> bool:
        return True


class VotesAgainAfterRestart(Rules):
    def remembered(self, votes: Sequence[VoteRecord]) -> Sequence[VoteRecord]:
        return ()


class FirstFromLocalCommit(Rules):
    def first_slot(self, parent_slot: int, commit_slot: int) -> int:
        return max(parent_slot, commit_slot) + 1


class CommitsMixedOverViews(Rules):
    def commit_group(self, view: int, digest: bytes) -> tuple[int, bytes]:
        return (0, digest)


class NoJustificationAtAnyView(Rules):
    def needs_no_justification(self, view: int, first: int) -> bool:
        return True


class NoTimeliness(Rules):
    def timely(self, now_ms: int, start_ms: int, end_ms: int, eps_ms: int) -> bool:
        return True


class TimelinessOnSync(Rules):
    def timely_for_sync(self, now_ms: int, start_ms: int) -> bool:
        return start_ms <= now_ms < start_ms + 1000


class LeaderByStartSlot(Rules):
    def leader_index(self, view: int, start_slot: int, n: int) -> int:
        return start_slot % n


class NoStretch(Rules):
    def view_slots(self, attempt: int, n: int, view_slots_max: int) -> int:
        return 1


class NoSecondLook(Rules):
    def looks_again_on_entry(self) -> bool:
        return False


class NoParentCertificate(Rules):
    def parent_certificate_needed(self) -> bool:
        return False


class LivePool(Rules):
    def pool_height(self, height: int, lag_blocks: int, settle_blocks: int) -> int:
        return super().pool_height(height, lag_blocks, 0)


class RewrittenBlock(Rules):
    def reproposed(self, block: Block, slot: int, proposer: bytes) -> Block:
        header = msgspec.structs.replace(block.header, slot=slot, proposer=proposer)
        return msgspec.structs.replace(block, header=header)


class WeakIsF(Rules):
    def weak(self, n: int) -> int:
        return max(1, self.faulty_max(n))


class CommitteeFromTheBlockItself(Rules):
    def beacon_height(self, height: int, lag_blocks: int) -> int:
        return height


class NoChainInSignatures(Rules):
    def signed_chain(self, chain_id: bytes) -> bytes:
        return bytes(32)


def factory(rules: type[Rules]) -> ReplicaFactory:
    """Makes cores with wrong rules."""

    def make(node: SimNode, application: SimulatedApplication) -> Replica:
        world = node.world
        return Replica(
            world.signer(node.member),
            world.genesis,
            application,
            hash_chain(node.member),
            world.ring.checker,
            node.disk.restored(),
            rules=rules(),
        )

    return make


@dataclass(frozen=True)
class Catch:
    """How a mutant was caught."""

    schedules: int
    result: Result


def hunt(
    rules: type[Rules],
    members: int,
    profile: str,
    schedules_max: int,
    judges_votes: bool = True,
    change: Callable[[Plan], Plan] = lambda plan: plan,
) -> Catch | None:
    """The first seed whose run breaks an invariant under the wrong rules; None: none did.

    Without `judges_votes` only decisions and progress count: the wrong rule must do real harm.
    """
    for seed in range(schedules_max):
        run = Run(change(draw_plan(seed, members, profile_named(profile))), factory(rules))
        run.world.watch.judges_votes = judges_votes
        result = run.execute()
        if not result.ok:
            return Catch(seed + 1, result)
    return None


def lying(*lies: str) -> Callable[[Plan], Plan]:
    """Plans whose Byzantine members tell just these lies, without a twin."""

    def change(plan: Plan) -> Plan:
        atoms = tuple(Corrupt(a.member, lies) if isinstance(a, Corrupt) else a for a in plan.atoms)
        return replace(plan, atoms=atoms)

    return change
