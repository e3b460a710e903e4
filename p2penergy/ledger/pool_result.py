"""What a pool says of a transaction that it was given.

Lives here: the value. Never here: why (`pool`, `membership_pool`). Owns the invariant that every refusal has
a code and a sentence. Implements the client side of CONSENSUS section 8.
"""

import msgspec


class PoolResult(msgspec.Struct, frozen=True):
    """Whether a transaction was taken; if not, which rule it broke, and a sentence for its sender."""

    accepted: bool
    code: str = ""
    sentence: str = ""


TAKEN = PoolResult(True)
