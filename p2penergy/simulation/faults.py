"""Faults as values: one atom is one thing that goes wrong, and a run is a handful of them.

Lives here: the network, process and clock atoms of CONSENSUS section 11. Never here: drawing them
(`plans`), Byzantine members (`byzantine`). Atoms are independent of each other, so a failing run can be
shrunk by leaving them out one at a time.

Moments are milliseconds after the start of slot 0.
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from p2penergy.simulation.dice import Dice
from p2penergy.simulation.disturbances import Delay, Duplicate, Loss, Mask, Muted, OneWay, Partition, SlowLink
from p2penergy.simulation.network import Disturbance
from p2penergy.simulation.node import FRAME_BYTES_MAX, CrashOrder, SimNode
from p2penergy.simulation.settings import T0_MS
from p2penergy.simulation.world import World


class Atom(Protocol):
    """One thing that goes wrong."""

    def install(self, world: World) -> None:
        """Put it on the world's schedule."""


def _during(world: World, start_ms: int, end_ms: int, disturbance: Disturbance) -> None:
    world.at(T0_MS + start_ms, lambda: world.network.disturb(disturbance))
    world.at(T0_MS + end_ms, lambda: world.network.calm(disturbance))


# ---- network ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lossy:
    """Frames are lost at random."""

    start_ms: int
    end_ms: int
    chance_ppm: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        _during(world, self.start_ms, self.end_ms, Loss(Dice(world.seed, self), self.chance_ppm))


@dataclass(frozen=True, slots=True)
class Late:
    """Frames are late at random, and overtake each other."""

    start_ms: int
    end_ms: int
    chance_ppm: int
    extra_ms_max: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        delay = Delay(Dice(world.seed, self), self.chance_ppm, self.extra_ms_max)
        _during(world, self.start_ms, self.end_ms, delay)


@dataclass(frozen=True, slots=True)
class Doubled:
    """Frames arrive twice at random."""

    start_ms: int
    end_ms: int
    chance_ppm: int
    later_ms_max: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        copies = Duplicate(Dice(world.seed, self), self.chance_ppm, self.later_ms_max)
        _during(world, self.start_ms, self.end_ms, copies)


@dataclass(frozen=True, slots=True)
class Masked:
    """In one slot, some (type, link) pairs are dead."""

    slot: int
    density_ppm: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        alpha_ms = world.settings.alpha_ms
        mask = Mask(Dice(world.seed, self), self.slot, self.density_ppm)
        _during(world, self.slot * alpha_ms, (self.slot + 1) * alpha_ms, mask)


@dataclass(frozen=True, slots=True)
class Mute:
    """In one slot, exactly these (type, from, to) are dead."""

    slot: int
    pairs: tuple[tuple[str, int, int], ...]

    def install(self, world: World) -> None:
        """See `Atom`."""
        alpha_ms = world.settings.alpha_ms
        muted = Muted(self.slot, frozenset(self.pairs))
        _during(world, self.slot * alpha_ms, (self.slot + 1) * alpha_ms, muted)


@dataclass(frozen=True, slots=True)
class Storm:
    """Masks in several slots in a row: the views of one height fail in different ways."""

    first_slot: int
    slots: int
    density_ppm: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        for slot in range(self.first_slot, self.first_slot + self.slots):
            Masked(slot, self.density_ppm).install(world)


@dataclass(frozen=True, slots=True)
class Split:
    """The seats fall into groups that do not reach each other."""

    start_ms: int
    end_ms: int
    groups: tuple[tuple[int, ...], ...]

    def install(self, world: World) -> None:
        """See `Atom`."""
        _during(world, self.start_ms, self.end_ms, Partition(self.groups))


@dataclass(frozen=True, slots=True)
class Deaf:
    """Some links are dead in one direction."""

    start_ms: int
    end_ms: int
    links: tuple[tuple[int, int], ...]

    def install(self, world: World) -> None:
        """See `Atom`."""
        _during(world, self.start_ms, self.end_ms, OneWay(frozenset(self.links)))


@dataclass(frozen=True, slots=True)
class Slow:
    """One link is slow."""

    start_ms: int
    end_ms: int
    seats: tuple[int, int]
    extra_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        _during(world, self.start_ms, self.end_ms, SlowLink(frozenset(self.seats), self.extra_ms))


@dataclass(frozen=True, slots=True)
class Reset:
    """One connection breaks, in the middle of a frame perhaps: what was on its way either way is lost.

    A broken frame is no frame, so that nothing of it arrives; the next ones go over a new connection.
    """

    at_ms: int
    seats: tuple[int, int]

    def install(self, world: World) -> None:
        """See `Atom`."""
        one, other = self.seats
        in_flight_ms = world.settings.delay_ms_max
        cut = OneWay(frozenset({(one, other), (other, one)}))
        _during(world, max(0, self.at_ms - in_flight_ms), self.at_ms, cut)


@dataclass(frozen=True, slots=True)
class IsolateDecider:
    """Whoever is the first to decide a height is cut off in that very moment."""

    height: int
    for_ms: int
    hears: bool
    """Whether it can still receive."""

    def install(self, world: World) -> None:
        """See `Atom`."""
        world.decision_hooks.append(lambda node, height: self._on_decision(world, node, height))

    def _on_decision(self, world: World, node: SimNode, height: int) -> None:
        first = sum(len(other.disk.decided) >= height for other in world.correct_nodes()) == 1
        if height != self.height or not first:
            return
        links = {(node.seat, seat) for seat in world.everybody if seat != node.seat}
        if not self.hears:
            links |= {(seat, node.seat) for seat in world.everybody if seat != node.seat}
        cut = OneWay(frozenset(links))
        world.trace.note(world.now_ms, node.name, f"is cut off for {self.for_ms} ms")
        world.network.disturb(cut)
        world.after(self.for_ms, lambda: world.network.calm(cut))


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no message reach a member in another's name, some larger than any frame."""

    start_ms: int
    target: int
    source: int
    frames: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        dice = Dice(world.seed, self)
        for number in range(self.frames):
            raw = bytes(dice.below(256) for _ in range(dice.between(0, 60)))
            if number % 8 == 7:
                raw = raw[:1].ljust(1, b"\0") * (FRAME_BYTES_MAX + 1)
            world.at(T0_MS + self.start_ms + number * 7, partial(self._arrive, world, raw))

    def _arrive(self, world: World, raw: bytes) -> None:
        world.nodes[self.target].deliver(world.nodes[self.source], raw)


# ---- processes ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crash:
    """A member's process ends at one boundary of its work, and comes up again.

    `action`: `commit` (in the middle of it; `survives` says whether the disk has it), `durable` (after
    the commit, before anything is sent), `send` (before a send), `sent` (after the last one), `decided`.
    """

    member: int
    from_ms: int
    action: str
    count: int
    down_ms: int
    survives: bool = True

    def install(self, world: World) -> None:
        """See `Atom`."""
        node = world.nodes[self.member]
        order = CrashOrder(self.action, self.count, self.down_ms, self.survives)

        def arm() -> None:
            node.crash_order = order

        world.at(T0_MS + self.from_ms, arm)


@dataclass(frozen=True, slots=True)
class RestartAll:
    """Power cut: every process ends at once."""

    at_ms: int
    down_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""

        def cut() -> None:
            for node in world.nodes:
                node.crash(self.down_ms)

        world.at(T0_MS + self.at_ms, cut)


@dataclass(frozen=True, slots=True)
class Pause:
    """A process stands still; what arrives waits for it."""

    member: int
    start_ms: int
    for_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""

        def pause() -> None:
            world.nodes[self.member].paused_until_ms = world.now_ms + self.for_ms

        world.at(T0_MS + self.start_ms, pause)


@dataclass(frozen=True, slots=True)
class LoseStore:
    """A member's disk is gone (or corrupt, which it refuses to start from); its operator says so."""

    member: int
    at_ms: int
    down_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        node = world.nodes[self.member]

        def lose() -> None:
            node.crash(None)
            world.after(self.down_ms, begin)

        def begin() -> None:
            world.trace.note(world.now_ms, node.name, "lost its store")
            node.crash(None)
            node.disk = world.new_disk(amnesia_slot=world.timetable.slot(node.now_ms()))
            node.start()

        world.at(T0_MS + self.at_ms, lose)


@dataclass(frozen=True, slots=True)
class DiskFails:
    """A member's disk is full, or its fsync fails, for a while."""

    member: int
    start_ms: int
    for_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        node = world.nodes[self.member]

        def fail() -> None:
            node.disk.failing = True
            world.after(self.for_ms, mend)

        def mend() -> None:
            node.disk.failing = False
            node.start()

        world.at(T0_MS + self.start_ms, fail)


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """A member's commits take a while; the core goes on meanwhile."""

    member: int
    commit_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        world.nodes[self.member].disk_ms = self.commit_ms


# ---- clocks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Skew:
    """A member's clock is off by a fixed amount within the bound."""

    member: int
    offset_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        world.nodes[self.member].clock.set_right(world.now_ms, self.offset_ms)


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A member's clock jumps."""

    member: int
    at_ms: int
    by_ms: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        node = world.nodes[self.member]
        world.at(T0_MS + self.at_ms, lambda: node.clock.step(world.now_ms, self.by_ms))


@dataclass(frozen=True, slots=True)
class Drift:
    """A member's clock runs at a wrong rate; at 0 it is frozen."""

    member: int
    from_ms: int
    rate_ppm: int

    def install(self, world: World) -> None:
        """See `Atom`."""
        node = world.nodes[self.member]
        world.at(T0_MS + self.from_ms, lambda: node.clock.drift(world.now_ms, self.rate_ppm))
