"""The virtual network: bytes from seat to seat, late, doubled, reordered or never.

Lives here: the way of one frame under the faults that hold at that moment. Never here: what the bytes
mean, beyond the type that masks go by. Implements the network faults of CONSENSUS section 11.

A seat is one process; two seats can hold one member's key (twins).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from p2penergy.simulation.dice import Dice


@dataclass(frozen=True, slots=True)
class Hop:
    """One frame about to leave: who to whom, what type, in which true slot."""

    source: int
    target: int
    kind: str
    slot: int


class Disturbance(Protocol):
    """Something wrong with the network for a while."""

    def apply(self, hop: Hop, delays_ms: list[int]) -> list[int]:
        """The delays of the copies that will arrive; an empty list when none does."""


class VirtualNetwork:
    """Knows the delays; the world knows the time."""

    def __init__(self, dice: Dice, delay_ms_max: int, post: Callable[[int, int, int, bytes], None]) -> None:
        self._dice = dice
        self._delay_ms_max = delay_ms_max
        self._post = post
        self._disturbances: list[Disturbance] = []
        self.sent_frames = 0
        self.lost_frames = 0

    def disturb(self, disturbance: Disturbance) -> None:
        """From now on."""
        self._disturbances.append(disturbance)

    def calm(self, disturbance: Disturbance) -> None:
        """No longer; harmless when it was never on."""
        if disturbance in self._disturbances:
            self._disturbances.remove(disturbance)

    def calm_all(self) -> None:
        """The network heals."""
        self._disturbances.clear()

    def send(self, source: int, target: int, kind: str, slot: int, raw: bytes, extra_ms: int = 0) -> None:
        """Give a frame to the network; `extra_ms` is the sender's own slowness."""
        self.sent_frames += 1
        delays_ms = [self._dice.between(1, self._delay_ms_max)]
        if self._disturbances:
            hop = Hop(source, target, kind, slot)
            for disturbance in self._disturbances:
                delays_ms = disturbance.apply(hop, delays_ms)
        if not delays_ms:
            self.lost_frames += 1
        for delay_ms in delays_ms:
            self._post(source, target, max(1, delay_ms + extra_ms), raw)
