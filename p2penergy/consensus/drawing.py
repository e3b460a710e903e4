"""Which committees serve around the tip: of the tip, of the working height, and those that it names.

Lives here: when a stage's committee is drawn, when it serves, and the roots that a header holds of both.
Never here: the draw itself (`p2penergy.committees`), validity of blocks (`chain`). Owns the invariant that
whatever a header names was fixed before its proposer could know the reveal in it. Implements CONSENSUS
section 9.
"""

from p2penergy import beacon, committees
from p2penergy.committees import Reading, Roll
from p2penergy.consensus.committee import Committee
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.ports import Application
from p2penergy.consensus.rules import Rules
from p2penergy.genesis import Genesis
from p2penergy.messages import Stage

COMMITTEES_REMEMBERED_MAX = 16


class Drawing:
    """The committees that one tip leads to."""

    def __init__(self, genesis: Genesis, application: Application, rules: Rules) -> None:
        self._chain_id = genesis.chain_id
        self._timing = genesis.consensus
        self._application = application
        self._rules = rules
        self._drawn: dict[tuple[int, Stage], Committee] = {}
        self._tip, self._stage = 0, genesis.consensus.first_stage

    @property
    def remembered(self) -> int:
        """How many committees are held."""
        return len(self._drawn)

    def open(self, tip_height: int, stage: Stage) -> None:
        """The height after the tip is worked on, in this stage."""
        self._tip, self._stage = tip_height, stage

    def _beacon(self, height: int, next_value: bytes | None) -> bytes:
        if height <= 0:
            return beacon.origin(self._chain_id)
        if height <= self._tip:
            return self._application.beacon(height)
        if height > self._tip + 1 or next_value is None:
            raise InvariantError(f"R_{height} is not known above height {self._tip}")
        return next_value

    def next_beacon(self, reveal: bytes) -> bytes:
        """R of the working height, in a block with this reveal."""
        return beacon.mix(self._beacon(self._tip, None), reveal)

    def _last_verification(self, height: int) -> int:
        """The last verification block below `height`; above the working height none is foreseen."""
        if self._stage is Stage.VERIFICATION and height > self._tip + 1:
            return self._tip + 1
        return self._application.last_verification(min(height - 1, self._tip))

    def _read(self, height: int, stage: Stage, next_value: bytes | None) -> tuple[Reading, Roll]:
        last = self._last_verification(height)
        reading = Reading.of(self._timing, stage, height, last, self._rules)
        return reading, Roll.read(
            self._application,
            self._timing,
            self._chain_id,
            reading,
            lambda at: self._beacon(at, next_value),
        )

    def committee(self, height: int, stage: Stage) -> Committee:
        """The stage's committee at the tip, the working height or, where L > 1, the one after."""
        known = self._drawn.get((height, stage))
        if known is None:
            reading, roll = self._read(height, stage, None)
            order = committees.ordered(self._chain_id, reading, roll, lambda at: self._beacon(at, None))
            known = self._drawn[(height, stage)] = Committee(order, roll, self._rules)
            while len(self._drawn) > COMMITTEES_REMEMBERED_MAX:
                del self._drawn[min(self._drawn)]
        return known

    def after_next(self) -> list[Committee]:
        """Those that can serve at the height after the working one; [] while R for them is not known."""
        height = self._tip + 2
        if self._rules.beacon_height(height, self._timing.lag_blocks) > self._tip:
            return []
        return [self.committee(height, stage) for stage in Stage if self._serves(height, stage)]

    def named(self, stage: Stage) -> tuple[Roll, ...]:
        """The stage's committees from the working height on, as far as decided headers name them."""
        heights = range(self._tip + 1, self._tip + self._timing.lag_blocks + 1)
        return tuple(self._read(height, stage, None)[1] for height in heights if self._serves(height, stage))

    def roots(self, reveal: bytes) -> tuple[bytes, bytes]:
        """Roots of both stages' committees at height + L, in a block of the working height."""
        value = self.next_beacon(reveal)
        height = self._tip + 1 + self._timing.lag_blocks
        verification = self._read(height, Stage.VERIFICATION, value)[1].root
        return verification, self._read(height, Stage.VALIDATION, value)[1].root

    def _serves(self, height: int, stage: Stage) -> bool:
        last = self._last_verification(height)
        return stage is Stage.VALIDATION or self._rules.serves(height, last, self._timing.lag_blocks)

    def may_follow(self, stage: Stage, reveal: bytes) -> bool:
        """Whether somebody serves this stage at the height after the working one."""
        height = self._tip + 2
        if not self._serves(height, stage):
            return False
        return len(self._read(height, stage, self.next_beacon(reveal))[1].members) > 0
