"""What a node says at its start about a network whose figures promise little: sentences for people.

Lives here: which figures of genesis deserve a warning. Never here: refusing them (`genesis`), the arithmetic
(`risk`). Implements the warning of CONSENSUS section 9: small committees are allowed, and said to be small.
"""

from fractions import Fraction

from p2penergy.committees import CommitteeRules
from p2penergy.consensus import risk
from p2penergy.genesis import ConsensusRules

BAD_SHARE = Fraction(1, 5)
"""Of the volunteers, for the figure that is told."""
CAPTURED_MAX = Fraction(1, 1_000_000)
"""Committees captured more often than that are worth a warning."""


def about(timing: ConsensusRules, volunteers: int) -> list[str]:
    """Sentences about the committees of so many volunteers; [] where there is nothing to say."""
    size = min(volunteers, timing.committee_size_max)
    said = []
    if CommitteeRules().faulty_max(size) == 0:
        said.append(
            f"A committee of {size} withstands no faulty member: with 4 volunteers or more one may fail."
        )
    if volunteers > size:
        said.extend(_about_samples(timing, volunteers, size))
    return said


def _about_samples(timing: ConsensusRules, volunteers: int, size: int) -> list[str]:
    said = []
    if volunteers <= risk.MEMBERS_MAX:
        bad = risk.bad_members(volunteers, BAD_SHARE)
        if risk.capture_probability(volunteers, bad, size) > CAPTURED_MAX:
            blocks = risk.expected_blocks_to_capture(volunteers, bad, size) or 0
            enough = risk.smallest_size(volunteers, bad, CAPTURED_MAX)
            said.append(
                f"Committees of {size} are drawn from {volunteers} volunteers: if {float(BAD_SHARE):.0%} of "
                f"them are bad, one committee in {round(blocks):,} is captured; a committee_size_max of "
                f"{enough} would make that one in a million. See `p2penergy committee risk`."
            )
    if timing.settle_blocks < size:
        said.append(
            f"settle_blocks = {timing.settle_blocks} is below the committee's size of {size}: whoever "
            "proposes several blocks in turn could choose identities that suit the draw."
        )
    return said
