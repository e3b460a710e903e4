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


class NobodyIsStruck(Rules):
    """Who is gone is read with the pool, and stays in the committee until the pool knows it."""

    def keys_height(self, height: int, lag_blocks: int) -> int:
        return super().keys_height(height, lag_blocks + 2)


class VerifiersServeAtOnce(Rules):
    def serves(self, height: int, last_verification: int, lag_blocks: int) -> bool:
        return True


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


def _as_drawn(plan: Plan) -> Plan:
    return plan


@dataclass(frozen=True, eq=False)
class Case:
    """A wrong rule, where to look for its harm, and the invariants that may fall."""

    rules: type[Rules]
    members: int
    profile: str
    change: Callable[[Plan], Plan]
    invariants: set[str]

    def hunt(self, schedules_max: int) -> Catch | None:
        """See `hunt`."""
        return hunt(self.rules, self.members, self.profile, schedules_max, change=self.change)


FALSE_CHANGES = lying("false-view-change", "omitted-highest")
FALSE_SIGNERS = lying("double-signers", "early-decision")
CASES = [
    Case(
        QuorumOfTwoFPlusOne,
        6,
        "chaos",
        _as_drawn,
        {"unjustified vote", "commit after PC", "certificate"},
    ),
    Case(
        QuorumLessOne,
        4,
        "chaos",
        _as_drawn,
        {"unjustified vote", "commit after PC", "certificate"},
    ),
    Case(StrictlyMore, 4, "chaos", _as_drawn, {"justified", "progress"}),
    Case(NoCertificateInViewChange, 4, "fork", FALSE_CHANGES, {"unjustified vote"}),
    Case(FirstInsteadOfHighest, 4, "fork", _as_drawn, {"unjustified vote"}),
    Case(ViewChangesOfOtherViews, 4, "fork", _as_drawn, {"unjustified vote"}),
    # VIEW-CHANGEs of other heights have views of their own, so that chance hardly ever finds one that
    # fits: the directed test in tests/consensus/test_justify.py catches that rule.
    Case(ViewChangeQuorumLessOne, 4, "fork", _as_drawn, {"unjustified vote"}),
    Case(DuplicateSignersInJustification, 4, "fork", lying("omitted-highest"), {"unjustified vote"}),
    Case(DuplicateSignersInCertificate, 4, "byzantine", FALSE_SIGNERS, {"certificate"}),
    Case(NotMonotone, 4, "chaos", _as_drawn, {"monotone"}),
    Case(
        VotesAgainAfterRestart,
        4,
        "restart",
        _as_drawn,
        {"equivocation", "one proposal", "monotone"},
    ),
    Case(FirstFromLocalCommit, 4, "chaos", _as_drawn, {"leader"}),
    Case(CommitsMixedOverViews, 4, "mask", _as_drawn, {"certificate"}),
    Case(NoJustificationAtAnyView, 4, "fork", _as_drawn, {"unjustified vote"}),
    Case(NoTimeliness, 4, "clock", _as_drawn, {"unjustified vote", "slots"}),
    Case(TimelinessOnSync, 4, "process", _as_drawn, {"catch-up"}),
    Case(LeaderByStartSlot, 4, "stretch", _as_drawn, {"leader"}),
    Case(NoStretch, 4, "stretch", _as_drawn, {"unjustified vote", "one proposal"}),
    Case(NoParentCertificate, 4, "byzantine", lying("orphan"), {"one chain"}),
    Case(CommitteeFromTheBlockItself, 4, "calm", _as_drawn, {"core invariant"}),
    Case(CommitteeFromTheBlockItself, 4, "membership", _as_drawn, {"core invariant"}),
    Case(LivePool, 4, "membership", _as_drawn, {"committee"}),
    Case(LivePool, 5, "sampling", _as_drawn, {"committee"}),
    Case(NobodyIsStruck, 4, "membership", _as_drawn, {"committee"}),
    Case(NobodyIsStruck, 5, "sampling", _as_drawn, {"committee"}),
    Case(VerifiersServeAtOnce, 4, "membership", _as_drawn, {"committee", "core invariant"}),
    Case(RewrittenBlock, 4, "mask", _as_drawn, {"unjustified vote", "justified"}),
    Case(WeakIsF, 4, "chaos", _as_drawn, {"progress"}),
]


def main() -> None:
    """Print the table of docs/simulation.md: how many schedules each wrong rule survives."""
    for case in CASES:
        catch = case.hunt(4000)
        found = "not caught" if catch is None else f"{catch.schedules} ({catch.result.violation})"
        print(f"{case.rules.__name__}, n = {case.members}, {case.profile}: {found}", flush=True)


if __name__ == "__main__":
    main()
