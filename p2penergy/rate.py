"""A token bucket: how much one peer may send (CONSENSUS section 5)."""


class TokenBucket:
    """Fills with `per_s` tokens a second up to `burst`; time is an argument, integer milliseconds."""

    __slots__ = ("_burst_milli", "_filled_at_ms", "_milli", "_per_s")

    def __init__(self, per_s: int, burst: int, now_ms: int) -> None:
        self._per_s = per_s
        self._burst_milli = burst * 1000
        self._milli = self._burst_milli
        self._filled_at_ms = now_ms

    def take(self, now_ms: int, tokens: int = 1) -> bool:
        """Take tokens if there are enough; a clock that went back neither fills nor empties."""
        if now_ms > self._filled_at_ms:
            gained = (now_ms - self._filled_at_ms) * self._per_s
            self._milli = min(self._burst_milli, self._milli + gained)
        self._filled_at_ms = now_ms
        if self._milli < tokens * 1000:
            return False
        self._milli -= tokens * 1000
        return True
