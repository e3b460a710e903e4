"""A committee as consensus works with it: ordered, counted, with keys.

Lives here: C_h with n, f, Q and f + 1. Never here: the draw (`p2penergy.committees`), which of them serves
when (`drawing`). Implements CONSENSUS section 1.
"""

from collections.abc import Mapping, Sequence

from p2penergy.committees import Roll
from p2penergy.consensus.rules import Rules


class Committee:
    """C_h: a set of members in the order of Equation (1)."""

    def __init__(self, order: Sequence[bytes], roll: Roll, rules: Rules) -> None:
        self.members = tuple(order)
        self.roll = roll
        self.keys: Mapping[bytes, bytes] = roll.keys
        """With which votes of this height are signed, whatever a member's key is by now."""
        self.n = len(self.members)
        self.f = rules.faulty_max(self.n)
        self.quorum = rules.quorum(self.n)
        self.weak = rules.weak(self.n)
        self.root = roll.root

    def __contains__(self, participant_id: object) -> bool:
        return participant_id in self.keys
