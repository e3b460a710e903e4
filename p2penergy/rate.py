"""Token buckets: how much one peer may send or ask for (CONSENSUS section 5)."""

PARTICIPANTS_REMEMBERED_MAX = 8_192


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


class Allowances:
    """A bucket for each participant, however many links it holds: a new link is no new allowance."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[bytes, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, participant_id: bytes, now_ms: int, tokens: int = 1) -> bool:
        """Take tokens of this participant if there are enough; the oldest bucket makes room for a new one."""
        bucket = self._buckets.get(participant_id)
        if bucket is None:
            while len(self._buckets) >= PARTICIPANTS_REMEMBERED_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[participant_id] = TokenBucket(self._per_s, self._burst, now_ms)
        return bucket.take(now_ms, tokens)
