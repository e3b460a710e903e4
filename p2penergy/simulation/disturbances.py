"""What can be wrong with the way between two seats.

Lives here: one small class per network fault. Never here: when they hold (`faults`), the way itself
(`network`). Implements the network faults of CONSENSUS section 11.
"""

from dataclasses import dataclass, field

from p2penergy.simulation.dice import Dice
from p2penergy.simulation.network import Hop


@dataclass(eq=False)
class Loss:
    """Any frame is lost with a fixed chance."""

    dice: Dice
    chance_ppm: int

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        return [delay_ms for delay_ms in delays_ms if not self.dice.chance(self.chance_ppm)]


@dataclass(eq=False)
class Delay:
    """Any frame takes longer by a random time, so that frames overtake each other."""

    dice: Dice
    chance_ppm: int
    extra_ms_max: int

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        return [
            delay_ms + self.dice.between(0, self.extra_ms_max)
            if self.dice.chance(self.chance_ppm)
            else delay_ms
            for delay_ms in delays_ms
        ]


@dataclass(eq=False)
class Duplicate:
    """Any frame may arrive twice, the copy up to several slots later."""

    dice: Dice
    chance_ppm: int
    later_ms_max: int

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        if not delays_ms or not self.dice.chance(self.chance_ppm):
            return delays_ms
        return [*delays_ms, delays_ms[0] + self.dice.between(0, self.later_ms_max)]


@dataclass(eq=False)
class Mask:
    """Within one slot, whole (message type, link) pairs are dead: the fault that finds bugs.

    Types differ: some are spared altogether, some suffer twice as much, so that phases fail one by one.
    """

    dice: Dice
    slot: int
    density_ppm: int
    _dead: dict[tuple[str, int, int], bool] = field(default_factory=dict)
    _weights: dict[str, int] = field(default_factory=dict)

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        if hop.slot != self.slot:
            return delays_ms
        pair = (hop.kind, hop.source, hop.target)
        if pair not in self._dead:
            self._dead[pair] = self.dice.chance(self.density_ppm * self._weight(hop.kind))
        return [] if self._dead[pair] else delays_ms

    def _weight(self, kind: str) -> int:
        if kind not in self._weights:
            self._weights[kind] = self.dice.below(3)
        return self._weights[kind]


@dataclass(eq=False)
class Muted:
    """Within one slot, exactly these (message type, from, to) are dead: a mask as data."""

    slot: int
    pairs: frozenset[tuple[str, int, int]]

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        dead = hop.slot == self.slot and (hop.kind, hop.source, hop.target) in self.pairs
        return [] if dead else delays_ms


@dataclass(eq=False)
class Partition:
    """Seats reach only seats of their own group; a seat in no group reaches everybody."""

    groups: tuple[tuple[int, ...], ...]

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        for group in self.groups:
            if hop.source in group:
                return delays_ms if hop.target in group or not self._grouped(hop.target) else []
        return delays_ms

    def _grouped(self, seat: int) -> bool:
        return any(seat in group for group in self.groups)


@dataclass(eq=False)
class OneWay:
    """Links that are dead in one direction."""

    links: frozenset[tuple[int, int]]

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        return [] if (hop.source, hop.target) in self.links else delays_ms


@dataclass(eq=False)
class SlowLink:
    """One link takes its time, in both directions."""

    seats: frozenset[int]
    extra_ms: int

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """See `Disturbance`."""
        if hop.source in self.seats and hop.target in self.seats:
            return [delay_ms + self.extra_ms for delay_ms in delays_ms]
        return delays_ms
