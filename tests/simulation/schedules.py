"""Whole fault schedules as Hypothesis strategies: what `plans` draws by seed, drawn as data that shrinks.

Every figure of a schedule is Hypothesis' own: which (slot, type, link) are dead, who ends at which boundary
of its work, which at most f members lie, lose their store or have a wrong clock. A schedule is a `Plan`, so
that it runs through the real world, and a shrunk one is short enough to read.
"""

from collections.abc import Callable

from hypothesis import strategies as st

from p2penergy.simulation import faults
from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import BEHAVIOURS, Corrupt
from p2penergy.simulation.faults import Atom
from p2penergy.simulation.plans import CRASH_ACTIONS, Plan, Profile
from p2penergy.simulation.settings import Settings

SLOTS = 6
"""Faults last so long; then the network heals and must make progress."""
ATOMS_MAX = 6
SEEDS = 8
"""What a schedule leaves open (delays, the liars' own choices) is one of so many draws."""
KINDS = ("PrePrepare", "Prepare", "Commit", "ViewChange", "Decided", "SyncRequest", "SyncResponse")
PROFILE = Profile("hypothesis", ())
EAGER = Profile("hypothesis, eager", (), eager=True)

Faults = st.SearchStrategy[Atom]
ALPHA_MS = Settings().alpha_ms
END_MS = (SLOTS + 1) * ALPHA_MS

moments = st.integers(0, END_MS)
chances = st.sampled_from([100_000, 300_000, 600_000, 1_000_000])


def _links(members: int) -> st.SearchStrategy[tuple[int, int]]:
    member = st.integers(0, members - 1)
    return st.tuples(member, member).filter(lambda link: link[0] != link[1])


def _windows(make: Callable[..., Atom], *more: st.SearchStrategy[object]) -> Faults:
    def build(start_ms: int, for_ms: int, *figures: object) -> Atom:
        return make(start_ms, min(END_MS, start_ms + for_ms), *figures)

    return st.builds(build, moments, st.sampled_from([50, 500, 1000, 3000, END_MS]), *more)


def masks(members: int) -> Faults:
    """Dead (type, link) pairs of one slot, chosen one by one."""

    def build(slot: int, kinds: set[str], links: set[tuple[int, int]]) -> Atom:
        pairs = tuple((kind, *link) for kind in sorted(kinds) for link in sorted(links))
        return faults.Mute(slot, pairs)

    some_kinds = st.sets(st.sampled_from(KINDS), min_size=1, max_size=3)
    some_links = st.sets(_links(members), min_size=1, max_size=members * (members - 1))
    return st.builds(build, st.integers(1, SLOTS), some_kinds, some_links)


def network(members: int) -> Faults:
    """What a network does, on data that Hypothesis chose."""
    numbers = st.integers(0, members - 1)
    noise = st.builds(faults.Noise, moments, numbers, numbers, st.integers(1, 16))
    if members == 1:
        return noise
    groups = st.lists(st.booleans(), min_size=members, max_size=members).map(
        lambda sides: tuple(tuple(i for i, side in enumerate(sides) if side is which) for which in (0, 1))
    )
    some_links = st.sets(_links(members), min_size=1).map(lambda links: tuple(sorted(links)))
    return st.one_of(
        masks(members),
        masks(members),
        st.builds(faults.Reset, moments, _links(members)),
        _windows(faults.Split, groups),
        _windows(faults.Deaf, some_links),
        _windows(faults.Slow, _links(members), st.sampled_from([80, 400, 1200])),
        _windows(faults.Lossy, chances),
        _windows(faults.Late, chances, st.sampled_from([100, 900, 3000])),
        _windows(faults.Doubled, chances, st.sampled_from([10, 1500, 4000])),
        st.builds(
            faults.IsolateDecider, st.integers(1, 3), st.sampled_from([100, 1000, END_MS]), st.booleans()
        ),
        noise,
    )


def crashes(members: int) -> Faults:
    """A process that ends at one boundary of its work, and comes back."""
    return st.builds(
        faults.Crash,
        st.integers(0, members - 1),
        moments,
        st.sampled_from(CRASH_ACTIONS),
        st.integers(1, 3),
        st.sampled_from([1, 20, 300, 1500, 4000]),
        st.booleans(),
    )


def processes(members: int) -> Faults:
    """What happens to correct members' processes, disks and clocks, within what all of them must bear."""
    member = st.integers(0, members - 1)
    return st.one_of(
        crashes(members),
        st.builds(faults.RestartAll, st.integers(100, END_MS), st.sampled_from([1, 50, 1200])),
        st.builds(faults.Pause, member, moments, st.sampled_from([60, 500, 1500, 3000])),
        st.builds(faults.DiskFails, member, moments, st.sampled_from([10, 500, 2500])),
        st.builds(faults.SlowDisk, member, st.sampled_from([1, 5, 30, 90])),
    )


def _faulty(member: int) -> Faults:
    """What one of the at most f faulty members is faulty in."""
    lies = st.lists(st.sampled_from(BEHAVIOURS), max_size=3, unique=True).map(tuple)
    return st.one_of(
        st.builds(Corrupt, st.just(member), lies, st.booleans()),
        st.builds(
            faults.LoseStore, st.just(member), st.integers(100, END_MS), st.sampled_from([1, 200, 1500])
        ),
        st.builds(
            faults.ClockStep, st.just(member), moments, st.sampled_from([-3000, -200, 200, 1000, 6000])
        ),
        st.builds(faults.Drift, st.just(member), moments, st.sampled_from([0, 700_000, 1_600_000])),
    )


def skews(members: int) -> st.SearchStrategy[tuple[Atom, ...]]:
    """Every member's clock somewhere within the bound."""
    half_ms = Settings().eps_ms // 2
    offsets = st.lists(st.integers(-half_ms, half_ms), min_size=members, max_size=members)
    return offsets.map(
        lambda each: tuple(faults.Skew(member, by_ms) for member, by_ms in enumerate(each) if by_ms)
    )


def restarts(members: int) -> Faults:
    """Processes that end and come back, in views that fail one by one."""
    return st.one_of(crashes(members), crashes(members), masks(members))


@st.composite
def schedules(draw: st.DrawFn, members: int, faults_of: Callable[[int], Faults] | None = None) -> Plan:
    """A run of `members`, of whom at most f are faulty; `faults_of` draws what else goes wrong."""
    settings = Settings(members=members)
    numbers = st.integers(0, members - 1)
    faulty = draw(st.lists(numbers, max_size=faulty_max(members), unique=True))
    atoms = [draw(_faulty(member)) for member in faulty]
    other = st.one_of(network(members), processes(members)) if faults_of is None else faults_of(members)
    drawn = draw(st.lists(other, max_size=ATOMS_MAX))
    # A wrong clock is wrong by itself; another's is within the bound.
    clocks = [skew for skew in draw(skews(members)) if skew.member not in faulty]  # type: ignore[attr-defined]
    profile = draw(st.sampled_from([PROFILE, EAGER]))
    seed = draw(st.integers(0, SEEDS - 1))
    return Plan(seed, profile, settings, (*atoms, *drawn, *clocks), SLOTS)
