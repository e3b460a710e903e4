"""Clients' requests: into the pool once their signatures hold, and once on to the committee.

Lives here: admission of transactions and their one relay. Never here: what a transaction means (the
ledger's pool decides), replies. Owns the invariant that a transaction enters the pool only with a valid
signature of its submitter. Implements CONSENSUS section 8 on the member's side.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from p2penergy.application import NodeApplication
from p2penergy.ledger import PoolResult
from p2penergy.messages import TEXT_CHARACTERS_MAX, Message, Refused, Request, encode
from p2penergy.verifier import Verifier
from transport import Mesh

RELAY_TRANSACTIONS_MAX = 2_000


class Requests:
    """Admits transactions of one node."""

    def __init__(
        self,
        ledger: NodeApplication,
        verifier: Verifier,
        mesh: Mesh,
        committee: Callable[[], Iterable[bytes]],
        audience: Callable[[], Iterable[bytes]],
        pending: Callable[[], None],
        answer_again: Callable[[bytes, bytes], bool],
    ) -> None:
        """`committee` decides the next block; `audience` are both stages' committees of the next heights."""
        self._ledger = ledger
        self._verifier = verifier
        self._mesh = mesh
        self._committee = committee
        self._audience = audience
        self._pending = pending
        self._answer_again = answer_again
        self._to_relay: list[bytes] = []
        self._flush_due = False
        self._being_written: set[bytes] = set()
        self.refused: Counter[str] = Counter()

    def decided(self, transaction_ids: Iterable[bytes]) -> None:
        """These are decided, but not durable yet: their replies come when they are."""
        self._being_written.update(transaction_ids)

    def published(self, transaction_ids: Iterable[bytes]) -> None:
        """These are durable: whoever asks again is answered from the store."""
        self._being_written.difference_update(transaction_ids)

    def on_request(self, peer: bytes, message: Message) -> None:
        """A REQUEST from a client, or relayed by another member."""
        assert isinstance(message, Request)
        for transaction in message.transactions:
            self._consider(peer, transaction, message.relayed)

    def gossip(self, transactions: tuple[bytes, ...], peer: bytes | None) -> None:
        """Take transactions whose signatures hold, and pass all on, those taken before as well.

        `peer` is told of a refusal. What is pending here already may be missing elsewhere, where it was
        lost: who calls this bounds how often.
        """
        told = []
        for transaction in transactions:
            result = self._ledger.pool.add(transaction)
            if result.accepted or result.code == "pending":
                told.append(transaction)
            elif peer is not None:
                self._refuse(peer, transaction, False, result)
            else:
                self.refused[result.code] += 1
        if told:
            self._mesh.broadcast(self._audience(), encode(Request(tuple(told), relayed=True)))
            self._wake()

    def submit(self, transaction: bytes) -> bool:
        """A transaction of this node itself, in and on to the committee; False when the pool refuses it."""
        result = self._ledger.pool.add(transaction)
        if result.accepted:
            self._taken(transaction, relayed=False)
        else:
            self.refused[result.code] += 1
        return result.accepted

    def _consider(self, peer: bytes, transaction: bytes, relayed: bool) -> None:
        # What needs no signature is refused before one is looked at.
        if not self._ledger.pool.check(transaction).accepted:
            self._admit(peer, transaction, relayed)
            return
        items = self._ledger.pool.signature_items(transaction)
        if not items:
            self._admit(peer, transaction, relayed)
            return
        submitter, *others = items

        def checked(good: bool) -> None:
            if good:
                self._admit(peer, transaction, relayed)
            else:
                self.refused["bad_signature"] += 1

        # A wrong signature of the counterparty is no reason to refuse: the ledger declines the
        # contract and says so to both (LEDGER section 5). Looked at early, it is known by then.
        if others:
            self._verifier.submit(others, _known)
        if not self._verifier.submit([submitter], checked):
            self.refused["overload"] += 1

    def _admit(self, peer: bytes, transaction: bytes, relayed: bool) -> None:
        result = self._ledger.pool.add(transaction)
        if not result.accepted:
            self._refuse(peer, transaction, relayed, result)
            return
        self._taken(transaction, relayed)

    def _taken(self, transaction: bytes, relayed: bool) -> None:
        if not relayed:
            self._to_relay.append(transaction)
        self._wake()

    def _wake(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _refuse(self, peer: bytes, transaction: bytes, relayed: bool, result: PoolResult) -> None:
        self.refused[result.code] += 1
        if relayed or result.code == "pending":
            # The same transaction came another way; its reply will come from the block.
            return
        key = self._ledger.transaction_id(transaction)
        if key is None or key in self._being_written:
            # Decided an instant ago, it is in the state and not in the store yet: that is no refusal.
            return
        if not self._answer_again(peer, key):
            self._mesh.send(peer, encode(Refused(key, result.code, result.sentence[:TEXT_CHARACTERS_MAX])))

    def _flush(self) -> None:
        # One relay frame and one step of the core for everything that the same turn admitted.
        self._flush_due = False
        waiting, self._to_relay = self._to_relay, []
        for start in range(0, len(waiting), RELAY_TRANSACTIONS_MAX):
            part = tuple(waiting[start : start + RELAY_TRANSACTIONS_MAX])
            self._mesh.broadcast(self._committee(), encode(Request(part, relayed=True)))
        self._pending()


def _known(_good: bool) -> None:
    """The result is in the checker's cache."""
