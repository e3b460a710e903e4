"""Who sends a decided block to whom: two members of the committee for everybody who does not vote.

Lives here: one pure choice, by lot. Never here: sending, who follows the chain. Owns the property that nobody
needs another's list of followers: each follower's two relays follow from the block and the committee alone.
Implements the DECIDED of CONSENSUS sections 4 and 9.

So a validator sends a block to 2 (N - n) / n others, whoever decided it, and not to N. The lot falls anew
with every block: whom both relays of one block fail sees by the next that one is missing, and asks
(section 7).
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

RELAYS = 2
"""Copies of a block that a follower is sent."""
_WORD_BYTES = 8


def relays_of(follower: bytes, digest: bytes, order: Sequence[bytes]) -> tuple[bytes, ...]:
    """Which members of a committee send the block of this digest to a follower."""
    lot = sha256(digest + follower).digest()
    taken: list[int] = []
    for number in range(min(RELAYS, len(order))):
        word = int.from_bytes(lot[_WORD_BYTES * number : _WORD_BYTES * (number + 1)], "big")
        place = word % (len(order) - number)
        for other in sorted(taken):
            place += place >= other
        taken.append(place)
    return tuple(order[place] for place in taken)


def served_by(me: bytes, followers: Iterable[bytes], digest: bytes, order: Sequence[bytes]) -> list[bytes]:
    """To whom of the followers a member of the committee sends a block."""
    return [each for each in followers if me in relays_of(each, digest, order)]
