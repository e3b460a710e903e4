"""Members that break the rules, at most f of n.

Lives here: a seat that runs the real core and then lies about it, and how liars are seated (twins are
several seats with one key). Never here: the single lies (`lies`), anything a correct node imports.
Implements the Byzantine faults of CONSENSUS section 11.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2penergy.consensus.effects import Send
from p2penergy.messages import Message, encode
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.lies import LIES, Lie, Parcel
from p2penergy.simulation.node import SimNode

if TYPE_CHECKING:
    from p2penergy.simulation.world import NodeFactory, World

BEHAVIOURS: tuple[str, ...] = tuple(LIES)
SCHEME_MS = 230
"""How often a liar thinks of something on its own."""


class ByzantineNode(SimNode):
    """The real core inside; its messages go through the member's lies before they leave."""

    def __init__(self, world: "World", seat: int, member: int, name: str, lies: Sequence[str]) -> None:
        super().__init__(world, seat, member, name)
        self.dice = Dice(world.seed, "liar", name)
        self.lies: list[Lie] = [LIES[lie](self) for lie in lies]

    def start(self) -> None:
        """Come up, and begin to scheme."""
        super().start()
        self.world.after(self.dice.below(SCHEME_MS), self._scheme)

    def _take(self, message: Message, raw: bytes, source: SimNode) -> None:
        for lie in self.lies:
            lie.hears(message, raw)
        super()._take(message, raw, source)

    def transmit(self, send: Send) -> None:
        """What the core wants to send, as the lies leave it."""
        targets = [seat for seat in self.targets(send) if seat != self.seat]
        parcels = [Parcel(seat, send.message) for seat in targets]
        for lie in self.lies:
            parcels = lie.twist(send.message, parcels)
        self.ship(parcels)

    def ship(self, parcels: Sequence[Parcel]) -> None:
        """Encode and send."""
        for parcel in parcels:
            raw = encode(parcel.message)
            if self.world.trace.readable:
                name = self.world.nodes[parcel.seat].name
                self.world.trace.say(self.world.now_ms, self.name, parcel.message, "to (lying)", name)
            self.world.send(self.seat, parcel.seat, type(parcel.message).__name__, raw, parcel.extra_ms)

    def _scheme(self) -> None:
        if self.replica is not None:
            for lie in self.lies:
                self.ship(lie.schemes())
        self.world.after(SCHEME_MS, self._scheme)


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A Byzantine member: its lies, and whether a second process holds its key."""

    member: int
    lies: tuple[str, ...]
    twin: bool = False

    def install(self, world: "World") -> None:
        """See `Atom`; its seats were made with the world."""

    def seats(self) -> "list[NodeFactory]":
        """One seat that lies; with a twin, one more that runs the plain core on a store of its own."""

        def liar(world: "World", seat: int, member: int, name: str) -> SimNode:
            return ByzantineNode(world, seat, member, name, self.lies)

        return [liar, SimNode] if self.twin else [liar]
