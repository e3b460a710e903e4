"""From a seed to a run: which network, which faults, for how long.

Lives here: profiles (families of faults) and the draw. Never here: running. The same seed, size and
profile always give the same plan, and a plan without some of its atoms is a plan again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from p2penergy.simulation.arbiter import faulty_max
from p2penergy.simulation.byzantine import BEHAVIOURS, Corrupt
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.faults import (
    Atom,
    ClockStep,
    Crash,
    Deaf,
    DiskFails,
    Doubled,
    Drift,
    IsolateDecider,
    Late,
    LoseStore,
    Lossy,
    Masked,
    Noise,
    Pause,
    Reset,
    RestartAll,
    Skew,
    Slow,
    SlowDisk,
    Split,
    Storm,
)
from p2penergy.simulation.settings import Settings

ATOMS_MAX = 6
LIES_MAX = 3
SHARP_LIES = ("two-faced", "yes", "false-view-change", "omitted-highest")
"""The lies that aim at a fork; half of all drawn lies are of these."""
CRASH_ACTIONS = ("commit", "durable", "send", "sent", "decided")


class UnknownProfileError(ValueError):
    """There is no profile of that name."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Families of faults, by their names in `_FAMILIES`; `byzantine_ppm`: chance of corrupt members."""

    name: str
    families: tuple[str, ...]
    always: tuple[str, ...] = ()
    """Families of which every plan has one, besides those drawn."""
    sharp: bool = False
    """Whether liars tell only the lies that aim at a fork."""
    eager: bool = False
    """Whether clients ask everybody before every slot, so that no view is idle."""
    byzantine_ppm: int = 0
    safety_slots_min: int = 3
    safety_slots_max: int = 5
    settings: Settings = field(default_factory=Settings)


_NETWORK = (
    "storm",
    "mask",
    "mask",
    "loss",
    "late",
    "double",
    "split",
    "deaf",
    "slow",
    "isolate",
    "noise",
    "reset",
)
_PROCESS = ("crash", "crash", "restart_all", "pause", "lose_store", "disk_fails", "slow_disk")
_CLOCK = ("skew", "skew", "clock_step", "drift", "freeze")

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("calm", ()),
        Profile("network", _NETWORK),
        Profile("mask", ("storm", "mask"), safety_slots_max=7),
        Profile(
            "fork",
            ("mask",),
            always=("storm", "hide_decider"),
            sharp=True,
            eager=True,
            byzantine_ppm=1_000_000,
            safety_slots_max=8,
        ),
        Profile("process", _PROCESS),
        Profile("restart", ("crash", "crash", "crash", "mask"), byzantine_ppm=700_000),
        Profile("clock", (*_CLOCK, "mask")),
        Profile("byzantine", ("mask", "split", "late"), byzantine_ppm=1_000_000),
        Profile("chaos", (*_NETWORK, *_PROCESS, *_CLOCK), byzantine_ppm=500_000),
        Profile(
            "relayed",
            (*_NETWORK, *_PROCESS, *_CLOCK),
            byzantine_ppm=500_000,
            settings=Settings(outsiders=1, relayed=True),
        ),
        Profile(
            "membership",
            (*_NETWORK, "crash"),
            byzantine_ppm=250_000,
            eager=True,
            safety_slots_min=7,
            safety_slots_max=11,
            settings=Settings(outsiders=2, membership=True, settle_blocks=2, verification=True),
        ),
        Profile(
            "turnover",
            (*_NETWORK, "crash"),
            byzantine_ppm=500_000,
            eager=True,
            safety_slots_min=7,
            safety_slots_max=11,
            settings=Settings(outsiders=2, turnover=True),
        ),
        Profile(
            "sampling",
            (*_NETWORK, "crash"),
            byzantine_ppm=500_000,
            eager=True,
            safety_slots_min=7,
            safety_slots_max=11,
            settings=Settings(
                outsiders=3,
                membership=True,
                settle_blocks=3,
                epoch_blocks=3,
                committee_max=4,
                verification=True,
            ),
        ),
        Profile(
            "stages",
            (*_NETWORK, "crash"),
            byzantine_ppm=250_000,
            safety_slots_max=9,
            settings=Settings(verification=True),
        ),
        Profile("stretch", ("blackout",), byzantine_ppm=300_000, safety_slots_max=24),
        Profile(
            "ecdsa", (*_NETWORK, "crash"), byzantine_ppm=300_000, settings=Settings(real_signatures=True)
        ),
        Profile(
            "ledger",
            (*_NETWORK, *_PROCESS),
            byzantine_ppm=300_000,
            settings=Settings(application="ledger", real_store=True),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, completely."""

    seed: int
    profile: Profile
    settings: Settings
    atoms: tuple[Atom, ...]
    safety_slots: int
    without: tuple[int, ...] = ()
    """Numbers of the drawn atoms that were left out while shrinking."""

    @property
    def corrupt(self) -> dict[int, Corrupt]:
        """The Byzantine members."""
        return {atom.member: atom for atom in self.atoms if isinstance(atom, Corrupt)}

    @property
    def safety_ms(self) -> int:
        """How long faults last."""
        return self.safety_slots * self.settings.alpha_ms

    def leave_out(self, numbers: tuple[int, ...]) -> "Plan":
        """The same run without the atoms of these numbers (as first drawn)."""
        kept = tuple(atom for number, atom in enumerate(self.atoms) if number not in numbers)
        return replace(self, atoms=kept, without=numbers)


def profile_named(name: str) -> Profile:
    """A profile.

    Raises:
        UnknownProfileError: the sentence lists those there are.
    """
    if name not in PROFILES:
        raise UnknownProfileError(f"no profile {name!r}; there are {', '.join(sorted(PROFILES))}")
    return PROFILES[name]


def draw_plan(seed: int, members: int, profile: Profile) -> Plan:
    """The plan of a seed."""
    dice = Dice(seed, members, profile.name)
    settings = replace(profile.settings, members=members)
    safety_slots = dice.between(profile.safety_slots_min, profile.safety_slots_max)
    draw = _Draw(dice, settings, profile, safety_slots)
    atoms: list[Atom] = []
    if dice.chance(profile.byzantine_ppm):
        atoms.extend(draw.corrupt())
    families = list(profile.always)
    if profile.families:
        families.extend(dice.pick(profile.families) for _ in range(dice.between(1, ATOMS_MAX)))
    for family in families:
        atom = _FAMILIES[family](draw)
        if atom is not None:
            atoms.append(atom)
    return Plan(seed, profile, settings, tuple(atoms), safety_slots)


class _Draw:
    """The state of one draw: who is faulty already, so that never more than f are."""

    def __init__(self, dice: Dice, settings: Settings, profile: Profile, safety_slots: int) -> None:
        self.dice = dice
        self.settings = settings
        self.sharp = profile.sharp
        self.members = range(settings.members)
        self.end_ms = (safety_slots + 1) * settings.alpha_ms
        self.faulty: set[int] = set()
        """Only asked for membership and size, never walked."""
        self.wrong_clocks: set[int] = set()
        """Only asked for membership, never walked."""

    def member(self) -> int:
        return self.dice.pick(self.members)

    def window(self) -> tuple[int, int]:
        start_ms = self.dice.between(0, self.end_ms - 1)
        return start_ms, min(self.end_ms, start_ms + self.dice.between(50, self.end_ms))

    def spend(self, member: int) -> bool:
        """Count a member among the f faulty ones; False when there are f others."""
        if member not in self.faulty and len(self.faulty) >= faulty_max(self.settings.committee_min):
            return False
        self.faulty.add(member)
        return True

    def corrupt(self) -> list[Atom]:
        most = faulty_max(self.settings.committee_min)
        if most == 0:
            return []
        chosen = self.dice.sample(self.members, self.dice.between(1, most))
        self.faulty.update(chosen)
        return [Corrupt(member, self.lies(), twin=self.dice.chance(350_000)) for member in sorted(chosen)]

    def lies(self) -> tuple[str, ...]:
        """Up to three different lies."""
        drawn = [
            self.dice.pick(SHARP_LIES if self.sharp or self.dice.chance(500_000) else BEHAVIOURS)
            for _ in range(self.dice.between(1, LIES_MAX))
        ]
        return tuple(dict.fromkeys(drawn))


def _mask(draw: _Draw) -> Atom:
    slot = draw.dice.between(1, draw.end_ms // draw.settings.alpha_ms)
    return Masked(slot, draw.dice.pick((100_000, 250_000, 400_000, 600_000)))


def _storm(draw: _Draw) -> Atom:
    dice, slots = draw.dice, draw.end_ms // draw.settings.alpha_ms
    first = dice.between(1, 2)
    return Storm(first, dice.between(2, slots - first), dice.pick((100_000, 200_000, 300_000, 400_000)))


def _loss(draw: _Draw) -> Atom:
    return Lossy(*draw.window(), draw.dice.pick((30_000, 100_000, 300_000)))


def _late(draw: _Draw) -> Atom:
    return Late(*draw.window(), draw.dice.pick((50_000, 300_000)), draw.dice.pick((100, 900, 3000)))


def _double(draw: _Draw) -> Atom:
    return Doubled(*draw.window(), draw.dice.pick((100_000, 500_000)), draw.dice.pick((10, 1500, 4000)))


def _split(draw: _Draw) -> Atom:
    sides: tuple[list[int], list[int]] = ([], [])
    for member in draw.members:
        draw.dice.pick(sides).append(member)
    return Split(*draw.window(), (tuple(sides[0]), tuple(sides[1])))


def _deaf(draw: _Draw) -> Atom:
    links = [(a, b) for a in draw.members for b in draw.members if a != b]
    return Deaf(*draw.window(), draw.dice.subset(links, 250_000))


def _slow(draw: _Draw) -> Atom | None:
    if len(draw.members) < 2:
        return None
    one, other = draw.dice.sample(draw.members, 2)
    return Slow(*draw.window(), (one, other), draw.dice.pick((80, 400, 1200)))


def _reset(draw: _Draw) -> Atom | None:
    if len(draw.members) < 2:
        return None
    one, other = draw.dice.sample(draw.members, 2)
    return Reset(draw.dice.between(1, draw.end_ms), (one, other))


def _isolate(draw: _Draw) -> Atom:
    return IsolateDecider(draw.dice.between(1, 3), draw.dice.between(100, 3000), draw.dice.chance(500_000))


def _hide_decider(draw: _Draw) -> Atom:
    """For long enough that the others may decide something else."""
    return IsolateDecider(draw.dice.between(1, 2), draw.end_ms, hears=False)


def _noise(draw: _Draw) -> Atom:
    return Noise(draw.dice.between(0, draw.end_ms), draw.member(), draw.member(), draw.dice.between(1, 16))


def _crash(draw: _Draw) -> Atom:
    dice = draw.dice
    action = dice.pick(CRASH_ACTIONS)
    return Crash(
        draw.member(),
        dice.between(0, draw.end_ms),
        action,
        dice.between(1, 3),
        dice.pick((1, 20, 300, 1500, 4000)),
        dice.chance(500_000),
    )


def _restart_all(draw: _Draw) -> Atom:
    return RestartAll(draw.dice.between(100, draw.end_ms), draw.dice.pick((1, 50, 1200)))


def _pause(draw: _Draw) -> Atom:
    return Pause(draw.member(), draw.dice.between(0, draw.end_ms), draw.dice.pick((60, 500, 1500, 3000)))


def _lose_store(draw: _Draw) -> Atom | None:
    member = draw.member()
    if member in draw.wrong_clocks or not draw.spend(member):
        return None
    draw.wrong_clocks.add(member)
    return LoseStore(member, draw.dice.between(100, draw.end_ms), draw.dice.pick((1, 200, 1500)))


def _disk_fails(draw: _Draw) -> Atom:
    return DiskFails(draw.member(), draw.dice.between(0, draw.end_ms), draw.dice.pick((10, 500, 2500)))


def _slow_disk(draw: _Draw) -> Atom:
    return SlowDisk(draw.member(), draw.dice.pick((1, 5, 30, 90)))


def _skew(draw: _Draw) -> Atom | None:
    member = draw.member()
    if member in draw.wrong_clocks:
        return None
    half_ms = draw.settings.eps_ms // 2
    return Skew(member, draw.dice.pick((-half_ms, -1, 1, half_ms)))


def _wrong_clock(draw: _Draw) -> int | None:
    """A member whose clock may be off by more than eps: a fast one may name future slots."""
    member = draw.member()
    if member in draw.wrong_clocks or not draw.spend(member):
        return None
    draw.wrong_clocks.add(member)
    return member


def _clock_step(draw: _Draw) -> Atom | None:
    member = _wrong_clock(draw)
    if member is None:
        return None
    by_ms = draw.dice.pick((-3000, -1000, -200, 200, 1000, 2500, 6000))
    return ClockStep(member, draw.dice.between(0, draw.end_ms), by_ms)


def _drift(draw: _Draw) -> Atom | None:
    member = _wrong_clock(draw)
    if member is None:
        return None
    return Drift(
        member, draw.dice.between(0, draw.end_ms), draw.dice.pick((700_000, 950_000, 1_050_000, 1_600_000))
    )


def _freeze(draw: _Draw) -> Atom | None:
    member = _wrong_clock(draw)
    return None if member is None else Drift(member, draw.dice.between(0, draw.end_ms), 0)


def _blackout(draw: _Draw) -> Atom:
    """Nobody hears anybody for most of the run, so that views lengthen."""
    links = tuple((a, b) for a in draw.members for b in draw.members if a != b)
    return Deaf(0, draw.end_ms - draw.dice.between(0, 3000), links)


_FAMILIES: dict[str, Callable[[_Draw], Atom | None]] = {
    "mask": _mask,
    "storm": _storm,
    "loss": _loss,
    "late": _late,
    "double": _double,
    "split": _split,
    "deaf": _deaf,
    "slow": _slow,
    "reset": _reset,
    "isolate": _isolate,
    "hide_decider": _hide_decider,
    "noise": _noise,
    "crash": _crash,
    "restart_all": _restart_all,
    "pause": _pause,
    "lose_store": _lose_store,
    "disk_fails": _disk_fails,
    "slow_disk": _slow_disk,
    "skew": _skew,
    "clock_step": _clock_step,
    "drift": _drift,
    "freeze": _freeze,
    "blackout": _blackout,
}
