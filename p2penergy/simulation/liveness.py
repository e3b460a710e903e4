"""How soon a network decides: measured on the real core, in views and slots of virtual time.

Lives here: three measurements, each with the bound that CONSENSUS sections 2 and 10 promise for it: views
until a healed network decides, blocks while f members are silent, progress when alpha is too small. Never
here: drawing faults (`plans`), judging a single run (`runner`), printing.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from p2penergy.simulation.arbiter import Timetable, faulty_max
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.disturbances import SlowLink
from p2penergy.simulation.node import SimNode
from p2penergy.simulation.plans import draw_plan, profile_named
from p2penergy.simulation.runner import EXTRA_VIEWS, SPARE_BLOCKS, run_plan
from p2penergy.simulation.settings import T0_MS, Settings, make_genesis
from p2penergy.simulation.world import World

WAYS_PER_DECISION = 4
"""VIEW-CHANGE, PRE-PREPARE, PREPARE, COMMIT: what a view must leave time for."""
RATE_SLOTS = 24
BOUNDS_MEASURED = 4
"""A stretched network is watched for so many times the slots within which it must decide."""
FACTORS = (1, 2, 4, 8)
"""By which alpha is too small; views lengthen up to 8 slots."""


class NoDecisionError(Exception):
    """A measured run broke an invariant; the sentence says which, and how to repeat it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How many views after the present one a healed network took to decide its next block."""

    members: int
    views: Counter[int]
    """Views -> runs."""

    @property
    def runs(self) -> int:
        """How many runs were measured."""
        return self.views.total()

    @property
    def views_max(self) -> int:
        """The slowest."""
        return max(self.views)

    @property
    def bound(self) -> int:
        """(f+1) + 2."""
        return views_bound(self.members)

    def share_within(self, views: int) -> float:
        """The part of the runs that took at most so many views."""
        return sum(runs for took, runs in self.views.items() if took <= views) / self.runs


@dataclass(frozen=True, slots=True)
class Rate:
    """Blocks that a network decided in a row of slots with f members silent and work to do."""

    members: int
    silent: int
    slots: int
    led: int
    """Slots whose leader, at the height worked on when they began, is not silent."""
    blocks: int

    @property
    def missing(self) -> int:
        """Slots led by correct members that gave no block of their own; at most 2 by the bound."""
        return self.led - self.blocks

    @property
    def is_within(self) -> bool:
        """Whether the bound holds."""
        return self.missing <= SPARE_BLOCKS


@dataclass(frozen=True, slots=True)
class Stretched:
    """What a network decided whose alpha is too small by `factor`."""

    members: int
    factor: int
    slots: int
    blocks: int
    slots_per_block_max: int
    """The longest way from one block, or the beginning, to the next."""
    view_slots_max: int
    """The longest view in which a block was decided."""

    @property
    def slots_per_block_bound(self) -> int:
        """All shorter views fail; then f+1 views, and 2 more."""
        return slots_bound(self.members, self.factor)


def views_bound(members: int) -> int:
    """(f+1) + 2: a healed network has decided at the end of that many views after the present one."""
    return faulty_max(members) + 1 + EXTRA_VIEWS


def slots_bound(members: int, factor: int) -> int:
    """Slots until a view that is long enough has had its (f+1) + 2 turns; `factor` a power of two."""
    lengthenings = max(0, factor.bit_length() - 2)
    attempts = 2 * members + members * lengthenings + views_bound(members)
    table = Timetable(make_genesis(Settings(members=members)).consensus)
    return table.start_slot(0, attempts, members)


def recovery(members: int, seeds: Iterable[int], profile: str = "chaos") -> Recovery:
    """Runs of drawn faults, each healed at its end.

    Raises:
        NoDecisionError: an invariant broke in one of them.
    """
    views: Counter[int] = Counter()
    for seed in seeds:
        result = run_plan(draw_plan(seed, members, profile_named(profile)))
        if result.views_to_decide is None or not result.ok:
            raise NoDecisionError(f"{result.sentence}; reproduce: {result.command()}")
        views[result.views_to_decide] += 1
    return Recovery(members, views)


class _SilentNode(SimNode):
    """A member whose process never comes up."""

    def start(self) -> None:
        """Never."""


def rate(members: int, seed: int, slots: int = RATE_SLOTS) -> Rate:
    """f members are silent from the beginning; which ones, the seed says."""
    silent = Dice(seed, "silent").sample(range(members), faulty_max(members))
    world = World(seed, Settings(members=members), dict.fromkeys(silent, (_SilentNode,)))
    _run_busy(world, slots)
    led = sum(world.watch.led_by_correct(slot) for slot in range(1, slots + 1))
    return Rate(members, len(silent), slots, led, world.watch.oracle.height)


def stretched(members: int, factor: int, seed: int) -> Stretched:
    """Every message takes as long as fits an alpha `factor` times as large as the network's own.

    Long enough for several blocks, and short enough that no member's reveals run out.
    """
    slots = BOUNDS_MEASURED * slots_bound(members, factor)
    settings = Settings(members=members)
    world = World(seed, settings)
    way_ms = (factor * settings.alpha_ms - 2 * settings.eps_ms) // WAYS_PER_DECISION
    world.network.disturb(SlowLink(frozenset(world.everybody), way_ms - settings.delay_ms_max))
    _run_busy(world, slots)
    oracle, table = world.watch.oracle, world.timetable
    gaps, lengths, before = [], [], 0
    for height, decided in enumerate(oracle.chain, start=1):
        at = table.slot(decided.moment_ms)
        gaps.append(at - before)
        lengths.append(table.length(decided.view - oracle.first_slot(height), members))
        before = at
    return Stretched(members, factor, slots, oracle.height, max(gaps, default=slots), max(lengths, default=0))


def _run_busy(world: World, slots: int) -> None:
    """From slot 1 to the end of slot `slots`, with something new to decide before each of them."""
    alpha_ms = world.settings.alpha_ms
    for slot in range(1, slots + 1):
        world.at(world.timetable.starts_ms(slot) - alpha_ms // 8, lambda: _feed(world))
    world.now_ms = T0_MS + alpha_ms - alpha_ms // 4
    world.start()
    world.run_until(world.timetable.starts_ms(slots + 1) - 1)


def _feed(world: World) -> None:
    world.submit(world.load.next(), world.everybody)
