"""The clock of one simulated node: true time plus everything that can be wrong with a clock.

Lives here: offset, drift, steps and freezing, in integers. Never here: the true time itself (`world`).
Implements the clock faults of CONSENSUS section 11.
"""

PPM = 1_000_000


class NodeClock:
    """Maps true time (ms) to what this node's clock shows (ms)."""

    def __init__(self, offset_ms: int = 0) -> None:
        self._true_ms = 0
        self._shown_ms = offset_ms
        self._rate_ppm = PPM

    def shows_ms(self, true_ms: int) -> int:
        """The reading at the true time."""
        return self._shown_ms + (true_ms - self._true_ms) * self._rate_ppm // PPM

    def _rebase(self, true_ms: int) -> None:
        self._shown_ms = self.shows_ms(true_ms)
        self._true_ms = true_ms

    def step(self, true_ms: int, by_ms: int) -> None:
        """Jump by `by_ms`, either way."""
        self._rebase(true_ms)
        self._shown_ms += by_ms

    def drift(self, true_ms: int, rate_ppm: int) -> None:
        """Run at `rate_ppm` of the true rate from now on; 0 freezes it."""
        self._rebase(true_ms)
        self._rate_ppm = rate_ppm

    def set_right(self, true_ms: int, offset_ms: int) -> None:
        """Show the true time plus `offset_ms` and run at the true rate."""
        self._true_ms, self._shown_ms, self._rate_ppm = true_ms, true_ms + offset_ms, PPM
