"""One run: a safety phase under faults, then a healed network that must make progress.

Lives here: the course of a run, its end conditions (the liveness part of CONSENSUS section 10) and its
result. Never here: drawing plans, printing.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from p2penergy.consensus.errors import InvariantError
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.coverage import Coverage
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.oracle import ViolationError
from p2penergy.simulation.plans import Plan
from p2penergy.simulation.settings import T0_MS
from p2penergy.simulation.world import ReplicaFactory, World

EXTRA_VIEWS = 2
"""On top of the (f+1) views within which a healed network decides."""
MEASURED_SLOTS = 4
"""Slots over which the rate of blocks is measured once the network decides again."""
SPARE_BLOCKS = 2
ASKED_AGAIN_MAX = 8
MEASURED_PPM = 125_000
"""Measuring takes half as long as all the rest: one run in eight does."""
STILL_VIEWS = 12
"""How many views more a laggard may take to catch up, and a pending transaction to be decided."""


@dataclass(slots=True)
class Result:
    """What came of a run."""

    plan: Plan
    trace_hash: str
    height: int
    events: int
    frames: int
    coverage: Coverage
    refusals: Counter[str]
    evidence: int
    views_to_decide: int | None = None
    """How many views after the present one the healed network took for its next block."""
    violation: str | None = None
    """The name of the broken invariant."""
    sentence: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        return self.violation is None

    def command(self) -> str:
        """What reproduces this run."""
        plan = self.plan
        parts = [
            f"p2penergy simulate --seeds {plan.seed}..{plan.seed}",
            f"--members {plan.settings.members} --profile {plan.profile.name}",
        ]
        if plan.without:
            parts.append("--without " + ",".join(str(number) for number in plan.without))
        return " ".join(parts) + " --trace"


class Run:
    """Drives one world through one plan."""

    def __init__(
        self, plan: Plan, replica_factory: ReplicaFactory | None = None, readable: bool = False
    ) -> None:
        self.plan = plan
        corrupt = {member: atom.seats() for member, atom in plan.corrupt.items()}
        self.world = World(plan.seed, plan.settings, corrupt, replica_factory, readable)
        self._dice = Dice(plan.seed, "clients")
        self._views_to_decide: int | None = None

    def execute(self) -> Result:
        """Run it to its end; never raises for a broken invariant, the result says it."""
        violation, sentence = None, ""
        try:
            self._safety()
            self._liveness()
        except ViolationError as error:
            violation, sentence = error.name, str(error)
        except InvariantError as error:
            violation, sentence = "core invariant", f"core invariant: {error}"
        world = self.world
        if violation is not None:
            world.trace.note(world.now_ms, "!", sentence)
        return Result(
            plan=self.plan,
            trace_hash=world.trace.digest(),
            height=world.watch.oracle.height,
            events=world.rounds_done,
            frames=world.network.sent_frames,
            coverage=world.watch.coverage,
            refusals=world.watch.refusals,
            evidence=world.watch.evidence_seen,
            views_to_decide=self._views_to_decide,
            violation=violation,
            sentence=sentence,
            lines=world.trace.lines,
        )

    # ---- the two phases -----------------------------------------------------------------------

    def _safety(self) -> None:
        world, alpha_ms = self.world, self.plan.settings.alpha_ms
        world.now_ms = T0_MS
        for atom in self.plan.atoms:
            atom.install(world)
        # Slot 1 is the first in which anybody may propose.
        world.now_ms = T0_MS + alpha_ms - alpha_ms // 4
        world.start()
        moment_ms = T0_MS + alpha_ms
        end_ms = moment_ms + self.plan.safety_ms
        while moment_ms < end_ms:
            # Now and then exactly on a slot's boundary.
            offset_ms = 0 if self._dice.chance(200_000) else self._dice.below(alpha_ms)
            if self.plan.profile.eager:
                offset_ms = -(alpha_ms // 8)
            world.at(moment_ms + offset_ms, self._client)
            moment_ms += alpha_ms
        world.run_until(end_ms)

    def _client(self) -> None:
        world = self.world
        eager = self.plan.profile.eager
        for raw in [*world.undecided()[:ASKED_AGAIN_MAX], world.load.next()]:
            world.submit(raw, world.everybody if eager else world.some_seats())

    def _heal(self) -> None:
        world, eps_ms = self.world, self.plan.settings.eps_ms
        world.trace.note(world.now_ms, "-", "the network heals")
        world.network.calm_all()
        world.decision_hooks.clear()
        for node in world.nodes:
            node.disk.failing = False
            node.crash_order = None
            node.disk_ms = 0
            node.paused_until_ms = 0
            node.clock.set_right(world.now_ms, self._dice.between(-(eps_ms // 2), eps_ms // 2))
            node.start()

    def _liveness(self) -> None:
        self._heal()
        world = self.world
        for raw in [*world.undecided(), self.world.load.next()]:
            world.submit(raw, world.everybody)
        before = world.watch.oracle.height
        view = self._view_now()
        end_ms = self._views_from_now(EXTRA_VIEWS + faulty_max(self._committee_size()) + 1)
        self._expect(
            "progress", "no block within (f+1) views + 2", end_ms, lambda: world.watch.oracle.height > before
        )
        self._views_to_decide = self._view_decided(before + 1) - view
        if self._dice.chance(MEASURED_PPM):
            self._rate()
        end_ms = self._views_from_now(STILL_VIEWS)
        self._expect("inclusion", "a valid transaction is not decided", end_ms, lambda: not world.undecided())
        self._expect("catch-up", "correct nodes stay behind", end_ms, self._level)

    def _rate(self) -> None:
        """As many blocks as slots led by correct members, less two, while something is pending."""
        world, alpha_ms = self.world, self.plan.settings.alpha_ms
        start = world.slot + 1
        oracle = world.watch.oracle
        before = oracle.height
        for slot in range(start, start + MEASURED_SLOTS):
            world.at(world.timetable.starts_ms(slot) - alpha_ms // 4, self._feed)
        world.run_until(world.timetable.starts_ms(start + MEASURED_SLOTS))
        led = sum(world.watch.led_by_correct(slot) for slot in range(start, start + MEASURED_SLOTS))
        gained = oracle.height - before
        if gained < led - SPARE_BLOCKS:
            raise ViolationError(
                "rate", f"{gained} blocks in {MEASURED_SLOTS} slots, {led} of them led by correct members"
            )

    def _feed(self) -> None:
        self.world.submit(self.world.load.next(), self.world.everybody)

    def _committee_size(self) -> int:
        oracle = self.world.watch.oracle
        return len(oracle.committee(oracle.height + 1))

    def _views_from_now(self, views: int) -> int:
        """The moment at which the `views`-th view after the present one ends, at the working height."""
        oracle, table = self.world.watch.oracle, self.world.timetable
        first = oracle.first_slot(oracle.height + 1)
        end = table.start_slot(first, self._view_now() + views + 1, self._committee_size())
        return table.starts_ms(end) + self.plan.settings.eps_ms

    def _view_now(self) -> int:
        """The view of the working height by true time."""
        oracle, table = self.world.watch.oracle, self.world.timetable
        first = oracle.first_slot(oracle.height + 1)
        return table.view_at(first, max(first, self.world.slot), self._committee_size())

    def _view_decided(self, height: int) -> int:
        """The view of a decided height that true time had reached at its first decision."""
        oracle, table = self.world.watch.oracle, self.world.timetable
        first, slot = oracle.first_slot(height), table.slot(oracle.chain[height - 1].moment_ms)
        return table.view_at(first, max(first, slot), len(oracle.committee(height)))

    def _expect(self, name: str, sentence: str, end_ms: int, holds: Callable[[], bool]) -> None:
        if holds():
            return
        self.world.run_until(end_ms, holds)
        if not holds():
            raise ViolationError(name, f"{sentence}; heights {self._heights()}")

    def _heights(self) -> str:
        return " ".join(
            f"{node.name}:{len(node.disk.decided)}{'' if node.up else ' down'}" for node in self.world.nodes
        )

    def _level(self) -> bool:
        heights = [len(node.disk.decided) for node in self.world.correct_nodes()]
        return max(heights) - min(heights) <= 1 and all(node.up for node in self.world.correct_nodes())


def run_plan(plan: Plan, replica_factory: ReplicaFactory | None = None, readable: bool = False) -> Result:
    """Run a plan from start to end."""
    return Run(plan, replica_factory, readable).execute()
