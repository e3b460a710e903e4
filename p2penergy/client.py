"""A client of the network: submits transactions and believes only f+1 equal replies.

Lives here: one household's side of CONSENSUS section 8. Never here: what a transaction means, the
ledger. Owns the invariant that a receipt is handed out only when f+1 members of the committee have
signed for it, or when a commit certificate and a Merkle path prove it.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p2penergy.digests import merkle_path_leads_to
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    Answer,
    MalformedMessageError,
    Query,
    Refused,
    Reply,
    Request,
    decode_message,
    encode,
)
from p2penergy.signing import RefusedSignatureError, SignatureChecker, check_message
from transport import Mesh

OPEN_REQUESTS_MAX = 100_000
OPEN_QUERIES_MAX = 10_000
NOTICES_MAX = 10_000
RESEND_MS = 2_000


class ClientError(Exception):
    """The network did not answer, or refused; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Result:
    """A receipt that the chain holds, as f+1 members say."""

    height: int
    digest: bytes
    index: int
    receipt: bytes


@dataclass(slots=True)
class _Open:
    """One transaction that waits for f+1 equal replies."""

    transaction: bytes
    future: "asyncio.Future[Result]"
    refusals: dict[bytes, Refused] = field(default_factory=dict)


class Client:
    """Talks to the validators over a mesh; one per household.

    `transaction_of` tells the transaction id of a receipt; it is the ledger's knowledge, not the
    client's. `notice` is called with every receipt that f+1 members sent without having been asked:
    that is how the victim of an altered contract learns of it (LEDGER section 5).
    """

    def __init__(
        self,
        mesh: Mesh,
        genesis: Genesis,
        checker: SignatureChecker,
        transaction_of: Callable[[bytes], bytes],
        notice: Callable[[Result], None] | None = None,
    ) -> None:
        self._mesh = mesh
        self._chain_id = genesis.chain_id
        self._keys = {
            bytes.fromhex(m.participant_id): bytes.fromhex(m.public_key)
            for m in genesis.members
            if m.validator
        }
        self.fault_limit = (len(self._keys) - 1) // 3
        self._checker = checker
        self._transaction_of = transaction_of
        self._notice = notice
        self._open: dict[bytes, _Open] = {}
        self._tally: dict[tuple[int, bytes, int, bytes], set[bytes]] = {}
        self._queries: dict[int, asyncio.Future[Answer]] = {}
        self._next_query = 0
        self._changed = asyncio.Event()
        self.refused_replies = 0

    # ---- life -------------------------------------------------------------------------------

    async def start(self, addresses: Mapping[bytes, tuple[str, int]]) -> None:
        """Dial the validators; returns at once, `connected` tells when."""
        await self._mesh.start(self)
        for name, (host, port) in addresses.items():
            self._mesh.set_address(name, host, port)

    async def stop(self) -> None:
        """Hang up; whatever is open fails with `ClientError`."""
        await self._mesh.stop()
        for open_request in self._open.values():
            if not open_request.future.done():
                open_request.future.set_exception(ClientError("the client was stopped"))
        for future in self._queries.values():
            future.cancel()

    async def connected(self, count: int) -> None:
        """Wait until at least `count` validators are connected."""
        while len(self._mesh.connected()) < count:
            self._changed.clear()
            await self._changed.wait()

    # ---- what a household does ----------------------------------------------------------------

    def submit(self, transactions: Sequence[tuple[bytes, bytes]]) -> "list[asyncio.Future[Result]]":
        """Send (transaction id, bytes) pairs to f+1 members; one future per transaction.

        A future fails with `ClientError` when f+1 members refuse the transaction.

        Raises:
            ClientError: too many are open already.
        """
        if len(self._open) + len(transactions) > OPEN_REQUESTS_MAX:
            raise ClientError(f"more than {OPEN_REQUESTS_MAX} transactions wait for their receipts")
        loop = asyncio.get_running_loop()
        futures = []
        for transaction_id, transaction in transactions:
            known = self._open.get(transaction_id)
            if known is None:
                known = _Open(transaction, loop.create_future())
                self._open[transaction_id] = known
            futures.append(known.future)
        self._send([transaction for _, transaction in transactions], self.fault_limit + 1)
        return futures

    async def results(self, transactions: Sequence[tuple[bytes, bytes]]) -> list[Result]:
        """Submit, and wait for all receipts; asks everybody again every `RESEND_MS`."""
        futures = self.submit(transactions)
        try:
            while True:
                _, waiting = await asyncio.wait(futures, timeout=RESEND_MS / 1000)
                if not waiting:
                    return [future.result() for future in futures]
                late = [
                    transaction
                    for (_, transaction), future in zip(transactions, futures, strict=True)
                    if not future.done()
                ]
                self._send(late, len(self._keys))
        finally:
            for transaction_id, _ in transactions:
                self._open.pop(transaction_id, None)

    async def query(self, peer: bytes, topic: str, argument: bytes = b"") -> bytes:
        """One node's word on a topic.

        Raises:
            ClientError: not connected, or the node's own sentence why not.
        """
        if len(self._queries) >= OPEN_QUERIES_MAX:
            raise ClientError("too many questions are open")
        self._next_query += 1
        number = self._next_query
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queries[number] = future
        try:
            if not self._mesh.send(peer, encode(Query(number, topic, argument))):
                raise ClientError(f"no connection to {peer.hex()}")
            answer = await future
        finally:
            del self._queries[number]
        if not answer.ok:
            raise ClientError(answer.body.decode("utf-8", "replace"))
        return answer.body

    async def query_json(self, peer: bytes, topic: str, argument: bytes = b"") -> Any:
        """The same, for topics that answer in JSON."""
        return json.loads(await self.query(peer, topic, argument))

    # ---- the mesh's handler -------------------------------------------------------------------

    def on_peer_up(self, peer: bytes) -> None:
        """A validator is connected."""
        self._changed.set()

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        """A validator is gone; the mesh dials it again."""
        self._changed.set()

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """Anything from a validator; what is not right is counted and forgotten."""
        try:
            message = decode_message(payload)
        except MalformedMessageError:
            self.refused_replies += 1
            return
        if isinstance(message, Reply):
            self._on_reply(peer, message, payload)
        elif isinstance(message, Answer):
            future = self._queries.get(message.number)
            if future is not None and not future.done():
                future.set_result(message)
        elif isinstance(message, Refused):
            self._on_refused(peer, message)

    # ---- inside -------------------------------------------------------------------------------

    def _send(self, transactions: Iterable[bytes], count: int) -> None:
        payload = encode(Request(tuple(transactions), relayed=False))
        # Connected ones first: a client must not wait for a validator that is down.
        up = sorted(self._mesh.connected() & self._keys.keys())
        for peer in up[:count]:
            self._mesh.send(peer, payload)

    def _on_reply(self, peer: bytes, reply: Reply, raw: bytes) -> None:
        try:
            if reply.sender != peer:
                raise RefusedSignatureError("wrong_sender", "a reply in another's name")
            check_message(reply, raw, self._chain_id, self._keys.get, self._checker)
        except RefusedSignatureError:
            self.refused_replies += 1
            return
        for proven in reply.receipts:
            if not merkle_path_leads_to(
                reply.receipts_root, proven.receipt, proven.index, reply.receipts_count, proven.path
            ):
                self.refused_replies += 1
                continue
            result = Result(reply.height, reply.digest, proven.index, proven.receipt)
            self._count(result, reply.sender)

    def _count(self, result: Result, sender: bytes) -> None:
        key = (result.height, result.digest, result.index, result.receipt)
        voters = self._tally.setdefault(key, set())
        before = len(voters)
        voters.add(sender)
        if len(voters) == before or len(voters) != self.fault_limit + 1:
            if len(voters) == len(self._keys):
                self._tally.pop(key, None)
            return
        while len(self._tally) > NOTICES_MAX:
            del self._tally[next(iter(self._tally))]
        open_request = self._open.get(self._transaction_of(result.receipt))
        if open_request is not None and not open_request.future.done():
            open_request.future.set_result(result)
        elif self._notice is not None:
            self._notice(result)

    def _on_refused(self, peer: bytes, refused: Refused) -> None:
        open_request = self._open.get(refused.transaction_id)
        if open_request is None or peer not in self._keys or open_request.future.done():
            return
        open_request.refusals[peer] = refused
        if len(open_request.refusals) > self.fault_limit:
            with contextlib.suppress(asyncio.InvalidStateError):
                open_request.future.set_exception(ClientError(f"refused: {refused.sentence}"))
