"""Registering a validator's next hash chain before the present one ends.

Lives here: when the node does so by itself. Never here: chains (`p2penergy.beacon`), the rules (`ledger`).
Owns the invariant that a node asks at most once in `ASK_AGAIN_BLOCKS`, however long its request is not
decided. Implements the hash chains of CONSENSUS section 9.
"""

from collections.abc import Callable

from p2penergy.application import NodeApplication
from p2penergy.beacon import ChainSeries
from p2penergy.genesis import Genesis
from p2penergy.ledger import query, sign_chain
from p2penergy.messages import encode
from p2penergy.signing import Signer

ASK_AGAIN_BLOCKS = 200


class ChainKeeper:
    """One member's chains, watched block by block."""

    def __init__(
        self,
        signer: Signer,
        genesis: Genesis,
        ledger: NodeApplication,
        chains: ChainSeries,
        submit: Callable[[bytes], bool],
        now_ms: Callable[[], int],
    ) -> None:
        """`submit` takes a transaction of the node's own; False: the pool refuses it."""
        self._signer = signer
        self._genesis = genesis
        self._ledger = ledger
        self._chains = chains
        self._submit = submit
        self._now_ms = now_ms
        self._asked_at: int | None = None

    def on_decided(self, height: int) -> None:
        """Block `height` is durable: have the next chain registered if it is time to."""
        if self._asked_at is not None and height < self._asked_at + ASK_AGAIN_BLOCKS:
            return
        who = self._signer.participant_id
        link = self._ledger.reveal_tip(who)
        if link is None or query.next_chain(self._ledger.get, who) is not None:
            return
        tip = self._chains.next_tip(link)
        if tip is None:
            return
        self._asked_at = height
        expires = query.tip(self._ledger.get).period + self._genesis.market.transaction_life_periods
        chosen = sign_chain(self._signer, self._genesis.chain_id, tip, self._now_ms(), expires)
        self._submit(encode(chosen))
