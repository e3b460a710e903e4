"""A client of the network: submits transactions and believes only f+1 equal replies.

Lives here: one household's side of CONSENSUS section 8. Never here: what a transaction means, the
ledger. Owns the invariant that a receipt is handed out only when f+1 members of the committee have
signed for it, or when a commit certificate and a Merkle path prove it.
"""

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import msgspec

from p2penergy.digests import TAG_REPLY, digest
from p2penergy.following import FollowError, Told, following
from p2penergy.genesis import Genesis
from p2penergy.light import Light, UnknownCommitteeError
from p2penergy.messages import (
    QUERY_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
    Answer,
    CommitteesRequest,
    CommitteesResponse,
    HeadersRequest,
    HeadersResponse,
    MalformedMessageError,
    Message,
    ProvenReceipts,
    Query,
    Refused,
    Reply,
    SealedRequest,
    decode_message,
    encode,
)
from p2penergy.peers import participant_of
from p2penergy.proofs import ProofError, check_proof, decode_proof, receipts_of
from p2penergy.questions import TIP, decode_tip
from p2penergy.request_frames import request_frames
from p2penergy.request_relay import preference
from p2penergy.signing import RefusedSignatureError, SignatureChecker, check_message
from p2penergy.vouchers import Believed, Signed, Vouchers
from transport import Mesh

T = TypeVar("T")

OPEN_REQUESTS_MAX = 100_000
OPEN_QUERIES_MAX = 10_000
RESEND_MS = 2_000
ASK_S_MAX = 5
"""For one node's answer about headers or committees, and for its word on what need not be believed."""
STRAGGLERS_S = 0.5
"""How long others may still tell their height once one has."""
NEXT_LEADER_S = 1
"""After so long the next node is asked for headers, too: a slow one must not hold a client up."""


class ClientError(Exception):
    """The network did not answer, or refused; the sentence says which."""


class RefusedError(ClientError):
    """f+1 validators, or all nodes that were asked, did not take a transaction; `code` is the last one's."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"refused: {sentence}")
        self.code = code


class Result(msgspec.Struct, frozen=True, gc=False):
    """A receipt that the chain holds, as f+1 members say or a certificate proves."""

    height: int
    digest: bytes
    index: int
    receipt: bytes


class Waiter(Protocol):
    """Whoever wants to know what becomes of a transaction."""

    def answered(self, transaction_id: bytes, answer: Result | ClientError) -> None:
        """Learn it, once. Must not block, and may submit further ones."""


class _Awaited:
    """A waiter whose answer is a future's."""

    __slots__ = ("future",)

    def __init__(self, future: "asyncio.Future[Result]") -> None:
        self.future = future

    def answered(self, transaction_id: bytes, answer: Result | ClientError) -> None:
        """See `Waiter`."""
        if self.future.done():
            return
        if isinstance(answer, ClientError):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


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
        self._checker = checker
        self.light = Light(genesis, checker)
        """The committees that the chain vouches for: genesis', until `follow` looks further."""
        self._transaction_of = transaction_of
        self._notice = notice
        self._open: dict[bytes, list[Waiter]] = {}
        """Who waits for f+1 members to tell alike what became of a transaction."""
        self._waiting = 0
        self._refusals: dict[bytes, set[bytes]] = {}
        """Who refused an open transaction."""
        self._asked: dict[bytes, frozenset[bytes]] = {}
        """The nodes that a newcomer applied to: when all of them refuse, nobody else will take it."""
        self._vouchers = Vouchers()
        self._queries: dict[int, tuple[bytes, asyncio.Future[Answer]]] = {}
        self._next_query = 0
        self._turns: dict[bytes, asyncio.Lock] = {}
        self._told: dict[bytes, asyncio.Future[Message]] = {}
        """Who is asked for headers or committees, one question at a time."""
        self._changed = asyncio.Event()
        self._stopped = False
        self.refused_replies = 0

    @property
    def validators(self) -> Mapping[bytes, bytes]:
        """The validation committee as far as it is known, with keys: whose replies count."""
        return self.light.validators()

    @property
    def fault_limit(self) -> int:
        """f: how many of them may lie together."""
        return (len(self.validators) - 1) // 3

    # ---- life -------------------------------------------------------------------------------

    async def start(self, addresses: Mapping[bytes, tuple[str, int]]) -> None:
        """Dial the validators; returns at once, `connected` tells when."""
        await self._mesh.start(self)
        for name, (host, port) in addresses.items():
            self._mesh.set_address(name, host, port)

    async def stop(self) -> None:
        """Hang up; whatever is open fails with `ClientError`."""
        self._stopped = True
        for transaction_id in tuple(self._open):
            self._close(transaction_id, ClientError("the client was stopped"))
        self._fail_queries(self._queries.values(), "the client was stopped")
        for told in self._told.values():
            told.cancel()
        self._changed.set()
        await self._mesh.stop()

    async def connected(self, count: int) -> None:
        """Wait until at least `count` validators are connected; `ClientError` once stopped."""
        while len(self._mesh.connected() & self.validators.keys()) < count:
            self._refuse_if_stopped()
            self._changed.clear()
            await self._changed.wait()

    # ---- what a household does ----------------------------------------------------------------

    def submit(self, transactions: Sequence[tuple[bytes, bytes]]) -> "list[asyncio.Future[Result]]":
        """Send (transaction id, bytes) pairs to f+1 members; one future per transaction.

        A future fails with `ClientError` when f+1 members refuse the transaction. Nothing is sent a
        second time: see `results`.

        Raises:
            ClientError: too many are open already, one has a size that no member takes, or stopped.
        """
        awaited = [_Awaited(asyncio.get_running_loop().create_future()) for _ in transactions]
        self._take(transactions, awaited)
        for (transaction_id, _), waiter in zip(transactions, awaited, strict=True):
            waiter.future.add_done_callback(partial(self._forget, transaction_id, waiter))
        return [waiter.future for waiter in awaited]

    def submit_for(self, waiter: Waiter, transactions: Sequence[tuple[bytes, bytes]]) -> None:
        """The same for somebody who submits thousands each second: one waiter is told of each, no futures.

        Raises:
            ClientError: as `submit` does.
        """
        self._take(transactions, [waiter] * len(transactions))

    def apply(self, request_id: bytes, request: SealedRequest) -> "asyncio.Future[Result]":
        """Send a sealed request to every node that is connected, validator or not; once, as `submit` does.

        The future fails with `RefusedError` when f+1 validators refuse, or all that were asked.

        Raises:
            ClientError: nobody is connected, or stopped.
        """
        self._refuse_if_stopped()
        asked = self._mesh.connected()
        if not asked:
            raise ClientError("no node is connected")
        waiter = _Awaited(asyncio.get_running_loop().create_future())
        self._expect(request_id, waiter)
        self._asked[request_id] = frozenset(asked)
        self._mesh.broadcast(sorted(asked), encode(request))
        waiter.future.add_done_callback(partial(self._forget, request_id, waiter))
        return waiter.future

    async def results(self, transactions: Sequence[tuple[bytes, bytes]]) -> list[Result]:
        """Submit, and wait for all receipts; asks everybody again every `RESEND_MS`."""
        if not transactions:
            return []
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
                self._send(late, len(self.validators))
        finally:
            for future in futures:
                if not future.cancel():
                    # Only the first error is raised above; asyncio complains of errors nobody looked at.
                    future.exception()

    async def query(self, peer: bytes, topic: str, argument: bytes = b"") -> bytes:
        """One node's word on a topic.

        Raises:
            ClientError: not connected, the connection was lost, or the node's own sentence why not.
        """
        self._refuse_if_stopped()
        if len(self._queries) >= OPEN_QUERIES_MAX:
            raise ClientError("too many questions are open")
        if len(argument) > QUERY_BYTES_MAX:
            raise ClientError(f"a question has at most {QUERY_BYTES_MAX} bytes, not {len(argument)}")
        self._next_query += 1
        number = self._next_query
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queries[number] = (peer, future)
        try:
            if not self._mesh.send(peer, encode(Query(number, topic, argument))):
                raise ClientError(f"no connection to {peer.hex()}")
            answer = await future
        finally:
            del self._queries[number]
        if not answer.ok:
            raise ClientError(_words(answer.body.decode("utf-8", "replace")))
        return answer.body

    async def follow(self) -> None:
        """Bring `light` to the present: who the committees are, as certified headers say.

        The highest first; a node that is mute, slow or keeps committees to itself holds nobody up beside
        one that answers.

        Raises:
            ClientError: none of those that are connected leads there.
        """
        tips, reason = await self._tips()
        waiting = deque(sorted(tips, reverse=True))
        led = False
        asked: set[asyncio.Task[None]] = set()
        try:
            while waiting or asked:
                if waiting:
                    height, peer = waiting.popleft()
                    asked.add(asyncio.create_task(self.follow_to(peer, height)))
                patience_s = NEXT_LEADER_S if waiting else None
                done, asked = await asyncio.wait(
                    asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        task.result()
                    except ClientError as error:
                        reason = str(error)
                    else:
                        led = True
                if led and self.light.knows_committees():
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not led:
            raise ClientError(f"the present committees can't be learnt: {reason}")

    async def _tips(self) -> tuple[list[tuple[int, bytes]], str]:
        """What heights the nodes claim, and why not the last one that tells none."""
        tips: list[tuple[int, bytes]] = []
        reason = "nobody is connected" if not self._mesh.connected() else "nobody answers"

        async def ask(peer: bytes) -> tuple[int, bytes]:
            return decode_tip(await self.query(peer, TIP)), peer

        async with self._ask_all(ask, self._mesh.connected()) as answers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S_MAX) as patience:
                    for answer in answers:
                        try:
                            tips.append(await answer)
                        except (ClientError, MalformedMessageError) as error:
                            reason = str(error)
                        else:
                            until = asyncio.get_running_loop().time() + STRAGGLERS_S
                            patience.reschedule(min(until, patience.when() or until))
        return tips, reason

    async def follow_to(self, peer: bytes, height: int) -> None:
        """Bring `light` to a height by one node's answers, each of which proves itself.

        Raises:
            ClientError: they do not, or the node does not answer.
        """
        if height < 1:
            return
        search = following(self.light, height)
        try:
            question = next(search)
            while True:
                question = search.send(cast(Told, await self._ask(peer, question)))
        except StopIteration:
            return
        except FollowError as error:
            raise ClientError(f"{peer.hex()} proves no committees: {error}") from None

    async def _ask(self, peer: bytes, question: HeadersRequest | CommitteesRequest) -> Message:
        async with self._turns.setdefault(peer, asyncio.Lock()):
            self._refuse_if_stopped()
            told = self._told[peer] = asyncio.get_running_loop().create_future()
            try:
                if not self._mesh.send(peer, encode(question)):
                    raise ClientError(f"no connection to {peer.hex()}")
                async with asyncio.timeout(ASK_S_MAX):
                    answer: Message = await told
                    return answer
            except TimeoutError:
                raise ClientError(f"{peer.hex()} does not tell its headers") from None
            finally:
                self._told.pop(peer, None)

    async def agreed(self, topic: str, argument: bytes = b"") -> bytes:
        """What f+1 validators answer alike; does not wait for those that stay mute beside them.

        Raises:
            ClientError: all that are connected have answered, and no f+1 of them agree.
        """
        bodies: Counter[bytes] = Counter()
        validators = self._mesh.connected() & self.validators.keys()
        async with self._ask_all(lambda peer: self.query(peer, topic, argument), validators) as answers:
            for answer in answers:
                with contextlib.suppress(ClientError):
                    body = await answer
                    bodies[body] += 1
                    if bodies[body] > self.fault_limit:
                        return body
        raise ClientError(f"no {self.fault_limit + 1} validators agree on {topic}")

    async def any_answer(self, topic: str, argument: bytes = b"") -> bytes:
        """The first connected node's word on a topic, for what need not be believed.

        Raises:
            ClientError: nobody answers.
        """
        for peer in sorted(self._mesh.connected(), key=self._preference):
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(ASK_S_MAX):
                    return await self.query(peer, topic, argument)
        raise ClientError(f"nobody answers about {topic}")

    async def proven(self, transaction_id: bytes) -> Result:
        """A decided transaction's receipt, proven by a certificate: one node's answer is enough.

        Raises:
            ClientError: all that are connected have answered, and no proof holds.
        """
        reason = "none is connected"
        ask = partial(self._proven_by, transaction_id)
        async with self._ask_all(ask, self._mesh.connected()) as answers:
            for answer in answers:
                try:
                    return await answer
                except ClientError as error:
                    reason = str(error)
        raise ClientError(f"no node proves the transaction: {reason}")

    async def query_json(self, peer: bytes, topic: str, argument: bytes = b"") -> Any:
        """The same, for topics that answer in JSON."""
        body = await self.query(peer, topic, argument)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise ClientError(f"{peer.hex()} answers about {topic} with no JSON") from None

    # ---- the mesh's handler -------------------------------------------------------------------

    def on_peer_up(self, peer: bytes) -> None:
        """A validator is connected."""
        self._changed.set()

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        """A validator is gone; the mesh dials it again, but what it was asked is lost."""
        told = self._told.pop(peer, None)
        if told is not None and not told.done():
            told.set_exception(ClientError(f"the connection to {peer.hex()} was lost"))
        asked = [question for question in self._queries.values() if question[0] == peer]
        self._fail_queries(asked, f"the connection to {peer.hex()} was lost")
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
            self._on_answer(peer, message)
        elif isinstance(message, Refused):
            self._on_refused(peer, message)
        elif isinstance(message, HeadersResponse | CommitteesResponse):
            told = self._told.get(peer)
            if told is not None and not told.done():
                told.set_result(message)

    # ---- inside -------------------------------------------------------------------------------

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ClientError("the client was stopped")

    def _take(self, transactions: Sequence[tuple[bytes, bytes]], waiters: Sequence[Waiter]) -> None:
        self._refuse_if_stopped()
        if self._waiting + len(transactions) > OPEN_REQUESTS_MAX:
            raise ClientError(f"more than {OPEN_REQUESTS_MAX} transactions wait for their receipts")
        for _, transaction in transactions:
            if not 1 <= len(transaction) <= TRANSACTION_BYTES_MAX:
                raise ClientError(
                    f"a transaction has 1 to {TRANSACTION_BYTES_MAX} bytes, not {len(transaction)}"
                )
        for (transaction_id, _), waiter in zip(transactions, waiters, strict=True):
            self._expect(transaction_id, waiter)
        self._send([transaction for _, transaction in transactions], self.fault_limit + 1)

    def _expect(self, transaction_id: bytes, waiter: Waiter) -> None:
        self._open.setdefault(transaction_id, []).append(waiter)
        self._waiting += 1

    def _forget(self, transaction_id: bytes, waiter: Waiter, _future: "asyncio.Future[Result]") -> None:
        """Nobody waits there any more; after an answer nobody is left to forget."""
        waiters = self._open.get(transaction_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
            self._waiting -= 1
            if not waiters:
                self._close(transaction_id, ClientError("given up"))

    def _close(self, transaction_id: bytes, answer: Result | ClientError) -> bool:
        """Tell all who wait; False: nobody does."""
        waiters = self._open.pop(transaction_id, None)
        if waiters is None:
            return False
        self._waiting -= len(waiters)
        self._refusals.pop(transaction_id, None)
        self._asked.pop(transaction_id, None)
        for waiter in waiters:
            waiter.answered(transaction_id, answer)
        return True

    def _send(self, transactions: Iterable[bytes], count: int) -> None:
        # Connected ones only: a client must not wait for a validator that is down. Each client has an
        # order of its own, so that all clients together burden all validators alike.
        up = sorted(self._mesh.connected() & self.validators.keys(), key=self._preference)
        for payload in request_frames(transactions, relayed=False):
            self._mesh.broadcast(up[:count], payload)

    def _preference(self, validator: bytes) -> bytes:
        return preference(participant_of(self._mesh.name), validator)

    @contextlib.asynccontextmanager
    async def _ask_all(
        self, ask: "Callable[[bytes], Coroutine[Any, Any, T]]", peers: Iterable[bytes]
    ) -> "AsyncIterator[Iterator[asyncio.Future[T]]]":
        """Ask these at once; the answers in their order of arrival."""
        asked = [asyncio.ensure_future(ask(peer)) for peer in sorted(peers)]
        try:
            yield asyncio.as_completed(asked)
        finally:
            for question in asked:
                question.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _proven_by(self, transaction_id: bytes, peer: bytes) -> Result:
        body = await self.query(peer, "proof", transaction_id)
        try:
            proof = decode_proof(body)
            try:
                check_proof(proof, self.light)
            except UnknownCommitteeError:
                await self.follow_to(peer, proof.header.height)
                check_proof(proof, self.light)
        except (MalformedMessageError, ProofError, UnknownCommitteeError) as error:
            raise ClientError(str(error)) from None
        header, proven = proof.header, proof.proven
        if self._transaction_of(proven.receipt) != transaction_id:
            raise ClientError("the receipt is another transaction's")
        return Result(header.height, proof.certificate.digest, proven.index, proven.receipt)

    def _on_answer(self, peer: bytes, answer: Answer) -> None:
        asked, future = self._queries.get(answer.number, (None, None))
        # Only who was asked may answer: the numbers are easy to guess.
        if asked == peer and future is not None and not future.done():
            future.set_result(answer)

    @staticmethod
    def _fail_queries(queries: "Iterable[tuple[bytes, asyncio.Future[Answer]]]", sentence: str) -> None:
        for _, future in queries:
            if not future.done():
                future.set_exception(ClientError(sentence))

    def _on_reply(self, peer: bytes, reply: Reply, raw: bytes) -> None:
        signed, name = Signed.of(reply), digest(TAG_REPLY, reply.receipts)
        believed = self._vouchers.believed(signed)
        if reply.sender == peer and believed is not None and self._is_done_with(believed, name):
            return
        try:
            if reply.sender != peer:
                raise RefusedSignatureError("wrong_sender", "a reply in another's name")
            check_message(reply, raw, self._chain_id, self.validators.get, self._checker)
            known, needed = self.validators.keys(), self.fault_limit + 1
            if believed is None and not self._vouchers.would_do(signed, reply.sender, known, needed):
                # What counts is the root: the receipts under it are looked at when it is believed.
                return
            proven = receipts_of(reply)
        except (RefusedSignatureError, MalformedMessageError, ProofError):
            self.refused_replies += 1
            return
        self._hand_out(signed, believed or self._vouchers.believe(signed), name, proven)

    def _is_done_with(self, believed: Believed, name: bytes) -> bool:
        # More members tell than are needed: what was handed out and nobody asks for again, needs no check.
        told = believed.told.get(name)
        return told is not None and self._open.keys().isdisjoint(told)

    def _hand_out(self, signed: Signed, believed: Believed, name: bytes, proven: ProvenReceipts) -> None:
        transaction_ids = [self._transaction_of(receipt) for receipt in proven.receipts]
        repeated = frozenset(proven.indices) & believed.handed_out
        self._vouchers.handed_out(believed, name, proven.indices, transaction_ids)
        for index, receipt, transaction_id in zip(
            proven.indices, proven.receipts, transaction_ids, strict=True
        ):
            result = Result(signed.height, signed.digest, index, receipt)
            if not self._close(transaction_id, result) and self._notice is not None and index not in repeated:
                self._notice(result)

    def _on_refused(self, peer: bytes, refused: Refused) -> None:
        transaction_id, members = refused.transaction_id, self.validators.keys()
        asked = self._asked.get(transaction_id, frozenset())
        if transaction_id not in self._open or peer not in members | asked:
            return
        refusals = self._refusals.setdefault(transaction_id, set())
        refusals.add(peer)
        if len(refusals & members) > self.fault_limit or (asked and asked <= refusals):
            self._close(transaction_id, RefusedError(refused.code, _words(refused.sentence)))


def _words(said: str) -> str:
    """A node's sentence for somebody's terminal, which it must not be able to steer."""
    return "".join(each if each.isprintable() else "?" for each in said)
