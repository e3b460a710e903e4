"""Clients' requests: into the pool once their signatures hold, and once on to the committee.

Lives here: admission of transactions, and relaying them when `request_relay` says so. Never here: what a
transaction means (the ledger's pool decides), replies. Owns the invariant that a transaction enters the
pool only with a valid signature of its submitter. Implements CONSENSUS section 8 on the member's side.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from p2penergy.application import NodeApplication
from p2penergy.beat import Beat
from p2penergy.ledger import PoolResult
from p2penergy.messages import TEXT_CHARACTERS_MAX, Message, Refused, Request, encode
from p2penergy.peers import participant_of
from p2penergy.request_frames import request_frames
from p2penergy.request_relay import RelayBook, turn_of
from p2penergy.verifier import Verifier
from p2penergy.waiting_requests import WaitingRequest, WaitingRequests
from transport import Mesh

RELAY_TRANSACTIONS_MAX = 2_000
BEAT_S = 0.025
"""What comes in this time under load is relayed together."""
SLICE_S = 0.004
"""Requests are looked at for so long at a time; then whatever else came has its turn, votes above all."""
PENDING_ENOUGH = 1_000
BLOCKS_ENOUGH = 4
"""While so many wait for the next blocks, or as many as in so many blocks, no more are looked at."""
HOLD_S = 0.02
"""How often to see whether requests may be looked at again."""
LOOK_S = 0.05
"""How often to look whose turn it is, while something waits for its turn."""


class Requests:
    """Admits transactions of one node."""

    def __init__(
        self,
        name: bytes,
        ledger: NodeApplication,
        verifier: Verifier,
        mesh: Mesh,
        committee: Callable[[], Iterable[bytes]],
        audience: Callable[[], Iterable[bytes]],
        pending: Callable[[], None],
        answer_again: Callable[[bytes, bytes, int], bool],
        is_deciding: Callable[[], bool] = lambda: False,
    ) -> None:
        """`name` is this node's own.

        `committee` decides the next block, this node left out; `audience` are both stages' committees
        of the next heights. While `is_deciding`, no request is looked at: see decision 0403.
        """
        self._name = name
        self._ledger = ledger
        self._verifier = verifier
        self._mesh = mesh
        self._committee = committee
        self._audience = audience
        self._pending = pending
        self._answer_again = answer_again
        self._is_deciding = is_deciding
        self._book = RelayBook()
        self._look: asyncio.TimerHandle | None = None
        self._to_relay: list[bytes] = []
        self._waiting = WaitingRequests()
        self._slice: asyncio.Handle | None = None
        self._hold: asyncio.TimerHandle | None = None
        self._checking = 0
        """How many are with the verifier."""
        self._block_transactions = 0
        self._beat = Beat(BEAT_S, self._flush)
        self._being_written: set[bytes] = set()
        self.refused: Counter[str] = Counter()

    def decided(self, transactions: Sequence[bytes], transaction_ids: Iterable[bytes]) -> None:
        """These are decided, but not durable yet: their replies come when they are."""
        self._being_written.update(transaction_ids)
        self._waiting.decided(transactions)
        self._block_transactions = max(len(transactions), self._block_transactions * 7 // 8)

    def published(self, transaction_ids: Iterable[bytes]) -> None:
        """These are durable: whoever asks again is answered from the store."""
        self._being_written.difference_update(transaction_ids)

    def on_request(self, peer: bytes, message: Message) -> None:
        """A REQUEST from a client, or relayed by another member."""
        assert isinstance(message, Request)
        from_member = message.relayed and peer in self._committee()
        height = self._ledger.height
        for transaction in message.transactions:
            if from_member:
                self._book.heard(transaction)
                if self._waiting.heard(transaction) or self._ledger.pool.holds(transaction):
                    continue
            if not self._waiting.put(WaitingRequest(peer, transaction, from_member, height)):
                self.refused["overload"] += 1
        self.go_on()

    def go_on(self) -> None:
        """Look at what waits, in this turn of the loop or a later one, if it is time for it."""
        if self._slice is not None or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._is_deciding():
            if self._hold is None:
                self._hold = loop.call_later(HOLD_S, self._held)
        elif self._room() > 0:
            self._slice = loop.call_soon(self._look_at_some)

    def _held(self) -> None:
        self._hold = None
        self.go_on()

    def _room(self) -> int:
        enough = max(PENDING_ENOUGH, BLOCKS_ENOUGH * self._block_transactions)
        return enough - self._ledger.pool.ready - self._checking

    def _look_at_some(self) -> None:
        end_s = time.monotonic() + SLICE_S
        for _ in range(self._room()):
            request = self._waiting.take()
            if request is None:
                break
            self._consider(request)
            if time.monotonic() > end_s:
                break
        self._slice = None
        self.go_on()

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
                self._refuse(WaitingRequest(peer, transaction, False, self._ledger.height), result)
            else:
                self.refused[result.code] += 1
        for payload in request_frames(told, relayed=True):
            self._mesh.broadcast(self._audience(), payload)
        if told:
            self._beat.ask()

    def submit(self, transaction: bytes) -> bool:
        """A transaction of this node itself, in and on to the committee; False when the pool refuses it."""
        result = self._ledger.pool.add(transaction)
        if result.accepted:
            self._to_relay.append(transaction)
            self._beat.ask()
        else:
            self.refused[result.code] += 1
        return result.accepted

    def stop(self) -> None:
        """What waits for its turn waits no more."""
        self._waiting.clear()
        self._beat.stop()
        for timer in (self._look, self._hold):
            if timer is not None:
                timer.cancel()

    def _consider(self, request: WaitingRequest) -> None:
        # What needs no signature is refused before one is looked at.
        pool, transaction = self._ledger.pool, request.transaction
        result = pool.check(transaction)
        if not result.accepted:
            self._refuse(request, result)
            return
        items = pool.signature_items(transaction)
        if not items:
            self._admit(request)
            return
        submitter, *others = items

        def checked(good: bool) -> None:
            self._checking -= 1
            if good:
                self._admit(request)
            else:
                self.refused["bad_signature"] += 1
            self.go_on()

        # A wrong signature of the counterparty is no reason to refuse: the ledger declines the
        # contract and says so to both (LEDGER section 5). Looked at early, it is known by then.
        if others:
            self._verifier.submit(others, _known)
        self._checking += 1
        if not self._verifier.submit([submitter], checked):
            self._checking -= 1
            self.refused["overload"] += 1

    def _admit(self, request: WaitingRequest) -> None:
        result = self._ledger.pool.add(request.transaction)
        if not result.accepted:
            self._refuse(request, result)
            return
        if not request.relayed:
            self._relay_in_turn(request)
        self._beat.ask()

    def _relay_in_turn(self, request: WaitingRequest) -> None:
        loop = asyncio.get_running_loop()
        turn = turn_of(self._name, participant_of(request.peer), tuple(self._committee()))
        if self._book.given(request.transaction, turn, int(loop.time() * 1000), heard=request.heard):
            self._to_relay.append(request.transaction)
        elif self._look is None:
            self._look = loop.call_later(LOOK_S, self._look_again)

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        pool = self._ledger.pool
        self._to_relay += filter(pool.holds, self._book.due(int(loop.time() * 1000)))
        if self._to_relay:
            self._beat.ask()
        self._look = loop.call_later(LOOK_S, self._look_again) if self._book.waiting else None

    def _refuse(self, request: WaitingRequest, result: PoolResult) -> None:
        self.refused[result.code] += 1
        if request.relayed or result.code == "pending":
            # The same transaction came another way; its reply will come from the block.
            return
        key = self._ledger.transaction_id(request.transaction)
        if key is None or key in self._being_written:
            # Decided an instant ago, it is in the state and not in the store yet: that is no refusal.
            return
        if not self._answer_again(request.peer, key, request.height):
            refused = Refused(key, result.code, result.sentence[:TEXT_CHARACTERS_MAX])
            self._mesh.send(request.peer, encode(refused))

    def _flush(self) -> None:
        # One relay and one step of the core for everything that came since the last.
        waiting, self._to_relay = self._to_relay, []
        for payload in request_frames(waiting, relayed=True, transactions_max=RELAY_TRANSACTIONS_MAX):
            self._mesh.broadcast(self._committee(), payload)
        self._pending()


def _known(_good: bool) -> None:
    """The result is in the checker's cache."""
