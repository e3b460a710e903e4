"""How large a proposal may be so that it is decided within its slot.

Lives here: one leader's own measurement of how long its proposals took, and the limit drawn from it.
Never here: clocks (times are arguments), blocks. Owns the invariant that overload makes blocks smaller
and never slots longer: a network that is offered too much saturates instead of collapsing. Implements
"filled only as far as the leader's own measurements say" of CONSENSUS section 4.
"""

BYTES_MIN = 16 * 1024
"""Below this the fixed cost of a block decides, not its size."""
PACED_PERCENT = 75
"""How much of what a slot has to give is planned with: a block that takes longer than the last one did must
not cost the slot after it, too. Measured: decision 0403."""
GROWTH_PERCENT = 25
WEIGHT_PERCENT = 30
"""How much the newest measurement counts against all before."""


class Pacer:
    """Limits proposals to what was decided within `budget_ms` before; integers only.

    Args:
        bytes_max: the node's own limit, never exceeded.
        budget_ms: time from proposing to deciding that a full block may take.
    """

    def __init__(self, bytes_max: int, budget_ms: int) -> None:
        self._bytes_max = max(bytes_max, BYTES_MIN)
        self._budget_us = max(budget_ms, 1) * 1000
        self._ns_per_byte: int | None = None
        self._limit_bytes = self._bytes_max
        self._proposed: tuple[bytes, int, int] | None = None

    @property
    def limit_bytes(self) -> int:
        """What the next proposal may hold."""
        return self._limit_bytes

    def proposed(self, digest: bytes, size_bytes: int, now_us: int) -> None:
        """This node proposed a fresh block."""
        self._proposed = (digest, size_bytes, now_us)

    def decided(self, digest: bytes, now_us: int) -> None:
        """A block of the height was decided: the own proposal, or another in its place."""
        if self._proposed is None:
            return
        proposed, size_bytes, began_us = self._proposed
        self._proposed = None
        took_us = now_us - began_us
        if digest != proposed or took_us < 0:
            # The slot was over before the own block was through; a clock step says nothing.
            self._limit_bytes = max(BYTES_MIN, min(self._limit_bytes, size_bytes) // 2)
            return
        if size_bytes < BYTES_MIN and took_us <= self._budget_us:
            # A small block measures the fixed cost; all it says is that there was no trouble.
            self._grow()
            return
        measured = took_us * 1000 // max(size_bytes, 1)
        known = measured if self._ns_per_byte is None else self._ns_per_byte
        self._ns_per_byte = (known * (100 - WEIGHT_PERCENT) + measured * WEIGHT_PERCENT) // 100
        fits_bytes = self._budget_us * 1000 // max(self._ns_per_byte, 1)
        if fits_bytes < self._limit_bytes:
            self._limit_bytes = max(BYTES_MIN, fits_bytes)
        else:
            self._grow()

    def _grow(self) -> None:
        grown = self._limit_bytes + self._limit_bytes * GROWTH_PERCENT // 100
        self._limit_bytes = min(self._bytes_max, grown)
