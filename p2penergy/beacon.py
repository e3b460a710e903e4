"""The beacon: hash chains that proposers reveal one preimage of per block.

Lives here: making and walking a chain, mixing reveals, committee seeds. Never here: who reveals when
(`ledger`), the draw itself (`consensus.committee`). Owns the invariant that exactly one reveal is
valid for one proposer at one state. Implements CONSENSUS section 9.
"""

from collections.abc import Callable
from hashlib import sha256

from p2penergy.digests import TAG_BEACON, TAG_SEED, digest
from p2penergy.messages import Stage

CHAIN_LINKS = 1 << 17
_CHECKPOINT_EVERY = 1 << 9
LOW_SHARE = 8
"""A chain runs low when less than this part of it is left."""
CHAINS_AHEAD_MAX = 64
"""So many chains later than the last known one a link is looked for: each takes the time to make it."""


class HashChain:
    """A member's secret chain: `tip` is registered, then revealed backwards link by link."""

    def __init__(self, secret: bytes, links: int = CHAIN_LINKS) -> None:
        self.links = links
        link = sha256(b"p2penergy/hash-chain/1\0" + secret).digest()
        self._checkpoints = [link]
        for i in range(1, links + 1):
            link = sha256(link).digest()
            if i % _CHECKPOINT_EVERY == 0:
                self._checkpoints.append(link)
        self.tip = link
        self._position: dict[bytes, int] = {self.tip: links}

    def preimage(self, tip: bytes) -> bytes | None:
        """The link below `tip`: the next reveal after `tip` was revealed or registered.

        None when `tip` is no link of this chain, or the chain's last.
        """
        position = self.left(tip)
        if not position:
            return None
        below = self._at(position - 1)
        # Only the neighbourhood of the current tip is ever asked for again.
        self._position = {tip: position, below: position - 1}
        return below

    def left(self, tip: bytes) -> int | None:
        """How many reveals there are below `tip`; None when it is no link of this chain."""
        position = self._position.get(tip)
        return self._find(tip) if position is None else position

    def _at(self, position: int) -> bytes:
        start = position // _CHECKPOINT_EVERY
        link = self._checkpoints[start]
        for _ in range(position - start * _CHECKPOINT_EVERY):
            link = sha256(link).digest()
        return link

    def _find(self, tip: bytes) -> int | None:
        for start in range(len(self._checkpoints) - 1, -1, -1):
            link = self._checkpoints[start]
            first = start * _CHECKPOINT_EVERY
            for position in range(first, min(first + _CHECKPOINT_EVERY, self.links + 1)):
                if link == tip:
                    return position
                link = sha256(link).digest()
        return None


class ChainSeries:
    """A member's chains one after the other, all from one secret: the first is `HashChain(secret)`.

    Which of them is in use, the ledger tells by the link that it asks for; so nothing but the secret is kept.
    """

    def __init__(self, secret: bytes, make: Callable[[bytes], HashChain] = HashChain) -> None:
        self._secret = secret
        self._make = make
        self._number = 0
        self._chain = make(secret)
        self._stranger = b""
        """The last link that was in none of them: it is not looked for again."""

    def preimage(self, tip: bytes) -> bytes | None:
        """The link below `tip`; None when it is in none of the next chains, or the last of its own."""
        return self._chain.preimage(tip) if self._turn_to(tip) else None

    def next_tip(self, tip: bytes) -> bytes | None:
        """What to register now: the tip of the next chain, when the one with `tip` runs low; else None."""
        if not self._turn_to(tip):
            return None
        left = self._chain.left(tip) or 0
        is_low = left * LOW_SHARE < self._chain.links
        return self._made(self._number + 1).tip if is_low else None

    def _made(self, number: int) -> HashChain:
        return self._make(self._secret + number.to_bytes(4, "big") if number else self._secret)

    def _turn_to(self, tip: bytes) -> bool:
        """Have the chain at hand in which `tip` is a link."""
        if tip == self._stranger:
            return False
        if self._chain.left(tip) is not None:
            return True
        for number in range(self._number + 1, self._number + 1 + CHAINS_AHEAD_MAX):
            chain = self._made(number)
            if chain.left(tip) is not None:
                self._number, self._chain = number, chain
                return True
        self._stranger = tip
        return False


def reveals(reveal: bytes, tip: bytes) -> bool:
    """Whether `reveal` is the preimage of `tip`."""
    return sha256(reveal).digest() == tip


def origin(chain_id: bytes) -> bytes:
    """R_k for k <= 0."""
    return digest(TAG_BEACON, chain_id)


def mix(previous: bytes, reveal: bytes) -> bytes:
    """R_k from R_{k-1} and the reveal of block k."""
    return digest(TAG_BEACON, previous, reveal)


def seed(chain_id: bytes, height: int, stage: Stage, beacon: bytes) -> bytes:
    """Seed_h for the stage's committee at `height`, from R_{h-L}."""
    return digest(TAG_SEED, chain_id, height.to_bytes(8, "big"), bytes([stage]), beacon)
