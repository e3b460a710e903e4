"""Who to ask for decided blocks, and when: the bookkeeping of catch-up.

Lives here: claims of peers that they are further ahead, the request under way, rotation. Never here:
checking or adopting blocks (`sync`). Owns the invariant that no single peer is waited for: a claim that
does not deliver in time is dropped and the next peer is asked. Implements CONSENSUS section 7.
"""

from dataclasses import dataclass

CLAIMS_MAX = 256
FAILURES_MAX = 1024
ASKED_MAX = 256


@dataclass(slots=True)
class Claim:
    """A peer says that height `tip` is decided; a claim, never proof."""

    tip: int
    since_ms: int


class CatchUp:
    """Claims in order of arrival, and at most one request under way."""

    def __init__(self, grace_ms: int, patience_ms: int) -> None:
        self._grace_ms = grace_ms
        self._patience_ms = patience_ms
        self._claims: dict[bytes, Claim] = {}
        self._failures: dict[bytes, int] = {}
        """Empty claims of peers since this node last made progress by catch-up."""
        self._asked: dict[bytes, None] = {}
        self._waiting_for: bytes | None = None
        self._asked_ms = 0
        self._delivering = False
        """The answer waited for comes block by block, and some have come."""
        self._pause_ms = patience_ms
        """How long the next of them is waited for."""

    @property
    def claims(self) -> int:
        """How many peers' claims are held."""
        return len(self._claims)

    @property
    def failures(self) -> int:
        """Of how many peers it is remembered that a claim was empty."""
        return len(self._failures)

    @property
    def asked(self) -> int:
        """How many peers' answers are welcome."""
        return len(self._asked)

    def note(self, peer: bytes, tip: int, height: int, now_ms: int) -> None:
        """A peer shows a message that it could only send when `tip` is decided."""
        if tip < height:
            return
        claim = self._claims.get(peer)
        if claim is not None:
            claim.tip = max(claim.tip, tip)
        elif self._has_room_for(peer):
            self._claims[peer] = Claim(tip, now_ms)

    def _has_room_for(self, peer: bytes) -> bool:
        """Whether there is room; a peer with a better record takes the place of the worst."""
        if len(self._claims) < CLAIMS_MAX:
            return True
        worst = max(self._claims, key=lambda held: self._failures.get(held, 0))
        if worst == self._waiting_for or self._failures.get(worst, 0) <= self._failures.get(peer, 0):
            return False
        del self._claims[worst]
        return True

    def is_news(self, peer: bytes, tip: int) -> bool:
        """Whether a claim of this peer adds anything."""
        claim = self._claims.get(peer)
        return claim is None or tip > claim.tip

    def was_asked(self, peer: bytes) -> bool:
        """Whether an answer of this peer is welcome, late or not."""
        return peer in self._asked

    def served(self, peer: bytes, progressed: bool) -> None:
        """An answer came; without progress the claim was empty."""
        self._asked.pop(peer, None)
        if self._waiting_for == peer:
            self._stop_waiting()
        if progressed:
            self._failures.clear()
        else:
            self._drop(peer)

    def delivered(self, peer: bytes, now_ms: int, remaining: int | None = None) -> None:
        """A single block of an answer was adopted; so many of it, or an unknown number, are to come."""
        if remaining == 0:
            self.served(peer, progressed=True)
            return
        self._failures.clear()
        if self._waiting_for == peer:
            self._asked_ms, self._delivering = now_ms, True
            # A slow machine may take long for each block that it has got: asking somebody else for the
            # same blocks would only give it more to do. Where nobody counts them, silence is the end.
            self._pause_ms = 2 * self._grace_ms if remaining is None else self._patience_ms

    def _stop_waiting(self) -> None:
        self._waiting_for, self._delivering = None, False

    def _waits_until_ms(self) -> int:
        return self._asked_ms + (self._pause_ms if self._delivering else self._patience_ms)

    def _drop(self, peer: bytes) -> None:
        """A claim that did not deliver; the peer comes after all others with its next one."""
        self._claims.pop(peer, None)
        if peer in self._failures or len(self._failures) < FAILURES_MAX:
            self._failures[peer] = self._failures.get(peer, 0) + 1

    def _due_ms(self, claim: Claim, height: int) -> int:
        # One block behind is the usual state of whoever still waits for a last COMMIT: a little
        # patience saves sending a block twice.
        return claim.since_ms + (self._grace_ms if claim.tip == height else 0)

    def next_peer(self, height: int, now_ms: int) -> bytes | None:
        """Whom to ask now for blocks from `height` on; None: nobody, or not yet."""
        for peer in [peer for peer, claim in self._claims.items() if claim.tip < height]:
            del self._claims[peer]
        if not self._claims:
            self._stop_waiting()
            return None
        if self._waiting_for is not None:
            if self._asked_ms <= now_ms < self._waits_until_ms():
                return None
            if not self._delivering:
                self._drop(self._waiting_for)
            self._stop_waiting()
        ranked = sorted(self._claims.items(), key=lambda item: self._failures.get(item[0], 0))
        for peer, claim in ranked:
            due_ms = self._due_ms(claim, height)
            # A clock that was set back must not postpone anything.
            if now_ms >= due_ms or now_ms < claim.since_ms:
                self._waiting_for, self._asked_ms = peer, now_ms
                self._remember_asked(peer)
                return peer
        return None

    def _remember_asked(self, peer: bytes) -> None:
        self._asked.pop(peer, None)
        self._asked[peer] = None
        if len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]

    def wake_ms(self, height: int) -> int | None:
        """When `next_peer` may have somebody to name."""
        if self._waiting_for is not None:
            return self._waits_until_ms()
        return min((self._due_ms(claim, height) for claim in self._claims.values()), default=None)
