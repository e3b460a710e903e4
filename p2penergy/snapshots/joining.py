"""Loading a snapshot before the node starts: the driver of `fetching` over a mesh.

Lives here: when it is worth trying, the mesh of that time, the clock. Never here: what is believed. Owns the
invariant that a node starts whatever happens here: without a snapshot it asks for blocks. Implements
CONSENSUS section 7.

Only a ledger without any block is filled like that: one that holds some keeps its whole history, and asks for
the blocks in between.
"""

import asyncio
import logging
from collections.abc import Mapping

from p2penergy.consensus.headers import HeaderChain
from p2penergy.genesis import Genesis
from p2penergy.messages import MalformedMessageError, decode_message, encode
from p2penergy.signing import EcdsaChecker
from p2penergy.snapshots.fetching import Fetching, Loaded
from transport import Mesh

PATIENCE_MS_MIN = 3_000
"""For a peer to be dialled, or to answer."""
POLL_MS = 200

log = logging.getLogger(__name__)


def may_be_far_behind(tip: int, far_behind_blocks: int, slot: int) -> bool:
    """Whether a ledger at height `tip` can be so far behind: a slot decides one block at most."""
    return tip == 0 and far_behind_blocks > 0 and slot >= far_behind_blocks


class _Driver:
    """The mesh's handler: what happens wakes the loop."""

    def __init__(self, fetching: Fetching) -> None:
        self.fetching = fetching
        self.happened = asyncio.Event()

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """A message, most often one that nobody asked for: the network does not wait for this node."""
        try:
            message = decode_message(payload)
        except MalformedMessageError:
            self.fetching.on_malformed(peer)
        else:
            self.fetching.on_message(peer, message)
        self.happened.set()

    def on_peer_up(self, peer: bytes) -> None:
        """A peer can be asked."""
        self.fetching.on_up(peer)
        self.happened.set()

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        """A peer is gone."""
        self.fetching.on_down(peer)
        self.happened.set()


async def load(
    genesis: Genesis,
    mesh: Mesh,
    addresses: Mapping[bytes, tuple[str, int]],
    far_behind_blocks: int,
) -> Loaded | None:
    """A snapshot from the peers at these addresses; None where there is none, or none that proves itself.

    The mesh is used for this alone, and stopped at the end.
    """
    rules, loop = genesis.consensus, asyncio.get_running_loop()
    patience_ms = max(PATIENCE_MS_MIN, rules.alpha_ms, 4 * rules.delta_ms)
    peers = {peer: address for peer, address in addresses.items() if peer != mesh.name}
    headers = HeaderChain(genesis, EcdsaChecker())
    fetching = Fetching(headers, len(peers), far_behind_blocks, patience_ms)
    driver = _Driver(fetching)
    try:
        await mesh.start(driver)
        for peer, address in peers.items():
            mesh.set_address(peer, *address)
        while True:
            for peer, message in fetching.poll(int(loop.time() * 1000)):
                mesh.send(peer, encode(message))
            if fetching.ended:
                break
            driver.happened.clear()
            try:
                async with asyncio.timeout(POLL_MS / 1000):
                    await driver.happened.wait()
            except TimeoutError:
                continue
    finally:
        await mesh.stop()
    told = {"headers": fetching.height, "refused": dict(fetching.refused)}
    if fetching.loaded is None:
        log.info("no snapshot, blocks it is", extra={"reason": fetching.reason} | told)
    else:
        log.info("snapshot loaded", extra={"height": fetching.loaded.height} | told)
    return fetching.loaded
