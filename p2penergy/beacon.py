"""The beacon: hash chains that proposers reveal one preimage of per block.

Lives here: making and walking a chain, mixing reveals, committee seeds. Never here: who reveals when
(`ledger`), the draw itself (`consensus.committee`). Owns the invariant that exactly one reveal is
valid for one proposer at one state. Implements CONSENSUS section 9.
"""

from hashlib import sha256

from p2penergy.digests import TAG_BEACON, TAG_SEED, digest
from p2penergy.messages import Stage

CHAIN_LINKS = 1 << 17
_CHECKPOINT_EVERY = 1 << 9


class HashChain:
    """A member's secret chain: `tip` is registered, then revealed backwards link by link."""

    def __init__(self, secret: bytes, links: int = CHAIN_LINKS) -> None:
        self._links = links
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
        position = self._position.get(tip)
        if position is None:
            position = self._find(tip)
        if not position:
            return None
        below = self._at(position - 1)
        # Only the neighbourhood of the current tip is ever asked for again.
        self._position = {tip: position, below: position - 1}
        return below

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
            for position in range(first, min(first + _CHECKPOINT_EVERY, self._links + 1)):
                if link == tip:
                    return position
                link = sha256(link).digest()
        return None


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
